"""What an agent believes of its area: its own links as measured, others' as both ends state them, and the view of both.

Statements are ordered by (epoch, sequence) of their origin. Each one taken in gets a revision; a round of gossip tells
a neighbour what has a higher revision than what it was told last. The table is bounded: it forgets the silent, and
keeps its own neighbours and the nodes nearest to it on the map.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meshsim.agent import wanted
from meshsim.agent.messages import LINK_ENTRIES, Equivocation, LinkEntry, LinkState, Told
from meshsim.agent.quarantine import Quarantine
from meshsim.agent.signing import is_signed, sign
from meshsim.agent.views import are_alike, chord, links_of, place_of, stated_links, traits_of
from meshsim.mesh.time import to_nanoseconds, to_seconds
from meshsim.mesh.view import NetworkView, NodeBelief
from meshsim.routing.testimony import attested

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshsim.agent.core import Core
    from meshsim.agent.neighbours import Neighbour, Neighbourhood
    from meshsim.agent.reputation import TrustBook
    from meshsim.agent.views import Row, Traits
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

REFRESH_ROUNDS = 3
"""An unchanged statement is made again after so many rounds, to show that its origin lives."""

FORGET = 3
"""A node silent for so many times `stale_after` is forgotten."""

SUSPECTS = 1024
"""Most nodes under suspicion; the one found dead longest ago is let off for a new one."""


@dataclass(slots=True, kw_only=True)
class Known:
    """A node in mind.

    Attributes:
        record: What it says of itself.
        statement: Its latest; None if it was only named by a neighbour's Hello or the directory.
        stated: Monotonic second at which the statement was made, as far as known.
        heard: When the node was last known to live.
        revision: When it came in, as a count of changes.
        tellers: Who told it; they need not be told.
        traits: The record in numbers.
        distance: From the agent, as `views.chord` has it.
        learned: When the record came from the directory or a neighbour's Hello.
        told: The statement as passed on last, with its age.
        told_at: Monotonic second of that age.
    """

    record: NodeRecord
    traits: Traits
    distance: float = 0.0
    learned: float = -math.inf
    statement: LinkState | None = None
    stated: float = -math.inf
    heard: float = -math.inf
    revision: int = 0
    tellers: set[NodeId] = field(default_factory=set)
    told: Told | None = None
    told_at: float = -math.inf

    def pass_on(self, statement: LinkState, now: float) -> Told:
        """The statement with its age, one object for all neighbours who are told at this instant."""
        if self.told is None or self.told_at != now:
            self.told = Told(to_nanoseconds(max(0.0, now - self.stated)), statement)
            self.told_at = now
        return self.told


class LinkTable:
    """An agent's belief.

    Args:
        core: The agent's common ground.
        neighbourhood: Its own links.
        trust: Its reputations.
    """

    def __init__(self, core: Core, neighbourhood: Neighbourhood, trust: TrustBook) -> None:
        self._core = core
        self._neighbourhood = neighbourhood
        self._trust = trust
        own = Known(record=core.record, traits=traits_of(core.record), heard=math.inf)
        self._known: dict[NodeId, Known] = {core.node: own}  # in the order in which statements came in
        self._ranked: list[tuple[float, NodeId]] = []
        self._oldest = math.inf
        self._last: tuple[int, NodeId | None] | None = None
        self.ruled_out: frozenset[NodeId] = frozenset()
        """Who must not relay, and for whom nothing is relayed, for people have complained."""
        self.quarantine = Quarantine(core, neighbourhood)
        self._suspects: dict[NodeId, float] = {}
        self._sequence, self._issued = 0, -math.inf
        self.revision = 1
        self._base = (int.from_bytes(core.node[:4], "big") >> 1) << 32
        self._built: NetworkView | None = None
        self.wanted = wanted.Wanted()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, node: NodeId) -> bool:
        return node in self._known

    def statement(self, node: NodeId) -> LinkState | None:
        """The latest statement of `node`, if any."""
        known = self._known.get(node)
        return None if known is None else known.statement

    def records(self) -> list[NodeRecord]:
        """What all known nodes say of themselves, this one first."""
        return [known.record for known in self._known.values()]

    def told(self, node: NodeId, now: Instant) -> Told | None:
        """The latest statement of `node` to be passed on; None if there is none, or it is believed offline."""
        known = self._known.get(node)
        fresh = known is not None and known.heard > self._horizon(now)
        return known.pass_on(known.statement, now.mono) if known and known.statement and fresh else None

    def support_aic(self, path: Sequence[NodeId]) -> bool:
        """Whether all nodes of `path` are known to support AIC; its first, who asks for it, unless known not to."""
        known = enumerate(self._known.get(node) for node in path)
        return all(one.record.aic if one is not None else place == 0 for place, one in known)

    @property
    def banned(self) -> frozenset[NodeId]:
        """Who must not relay, and for whom nothing is relayed."""
        return self.ruled_out | self.quarantine.nodes if self.quarantine.nodes else self.ruled_out

    def touch(self) -> int:
        """Notes a change of belief: the next view has a new version. Returns the revision."""
        self.revision += 1
        return self.revision

    # What comes in ----------------------------------------------------------------------------------------------------

    def learn(self, record: NodeRecord, now: Instant) -> None:
        """Takes in a verified record from a Hello or the directory."""
        known = self._known.get(record.node_id)
        if known is None and not self._make_room(None, now):
            return
        if known is not None and (known.record is record or known.record == record):
            known.heard = max(known.heard, now.mono)
            return
        if known is None:
            known = Known(record=record, traits=traits_of(record))
        else:
            self._unrank(record.node_id, known)
        known.record, known.traits, known.learned = record, traits_of(record), now.mono
        known.heard = max(known.heard, now.mono)
        self._known[record.node_id] = known
        self._rank(record.node_id, known)
        self.touch()

    def renew(self) -> None:
        """This node has a new record: the next round of gossip makes a new statement."""
        own = self._known[self._core.node]
        own.record, own.traits = self._core.record, traits_of(self._core.record)
        for known in self._known.values():
            known.distance = self._distance(known.record)
        self._ranked = sorted((known.distance, node) for node, known in self._known.items() if known is not own)
        self._issued = -math.inf
        self.touch()

    def accept(self, told: Told, source: NodeId, now: Instant) -> bool:
        """Takes in a statement; False if it is no news or does not hold (then it is counted)."""
        statement = told.statement
        origin = statement.record.node_id
        known = self._known.get(origin)
        if known is not None and known.statement is not None and statement.version == known.statement.version:
            known.tellers.add(source)
            if statement is not known.statement and statement != known.statement:
                self.contradict(Equivocation(known.statement, statement), now)
            return False
        if origin in self.quarantine:
            self._core.reject("quarantined")
            return False
        if known is None:
            place = None if self.wanted.speaks_of(statement) else statement.record
            if not self._make_room(place, now, forget=False) or not self._holds(statement, now):
                return False
            self._make_room(place, now)
        elif not _is_newer(statement, known.statement) or origin == self._core.node or not self._holds(statement, now):
            return False
        self._keep(origin, statement, now.mono - to_seconds(told.age_ns), source)
        return True

    def contradict(self, proof: Equivocation, now: Instant, source: NodeId | None = None) -> bool:
        """Takes in what may prove that a node told two things at once; whether it does, and is news."""
        proven = self.quarantine.contradict(proof, now, source)
        if proven:
            self.touch()
        return proven

    def _keep(self, origin: NodeId, statement: LinkState, stated: float, source: NodeId) -> None:
        last = self._known.pop(origin, None)
        record = statement.record
        known = Known(
            record=record,
            traits=last.traits if last is not None and last.record is record else traits_of(record),
            statement=statement,
            stated=stated,
            heard=max(stated, last.heard if last is not None else -math.inf),
            revision=self.touch(),
            tellers={source},
        )
        self._known[origin] = known
        if last is not None and last.record is record:
            known.distance, known.learned = last.distance, last.learned
            if self._last is not None and self._last[1] == origin:
                self._last = None  # it is no longer the one unheard of for longest
            return
        if last is not None:
            self._unrank(origin, last)
        self._rank(origin, known)

    def _holds(self, statement: LinkState, now: Instant) -> bool:
        ends = {entry.to for entry in statement.links}
        lifetime = statement.expires_ns - to_nanoseconds(now.unix)
        if not 0 < lifetime <= 2 * to_nanoseconds(self._core.config.statement_lifetime):
            self._core.reject("expired")
        elif len(ends) != len(statement.links) or statement.origin in ends:
            self._core.reject("bad_statement")
        elif not is_signed(statement, statement.origin, self._core.verifier):
            self._core.reject("forged")
        else:
            return True
        return False

    def _distance(self, record: NodeRecord) -> float:
        own = self._core.record
        return chord(place_of(own.latitude, own.longitude), record)

    def _rank(self, node: NodeId, known: Known) -> None:
        known.distance = self._distance(known.record)
        insort(self._ranked, (known.distance, node))
        self._last = None
        self._oldest = min(self._oldest, max(known.heard, known.learned))

    def _unrank(self, node: NodeId, known: Known) -> None:
        self._last = None
        del self._ranked[bisect_left(self._ranked, (known.distance, node))]

    def _make_room(self, record: NodeRecord | None, now: Instant, *, forget: bool = True) -> bool:
        """Whether one more node fits, after another was forgotten: a silent one, else the farthest if it is farther.

        Of several that are as far it is the one unheard of for longest. A node that is needed (`record` is None) is let
        in, however far it is, and a few beyond the limit.

        Args:
            record: Of the node that comes in.
            now: The time.
            forget: Whether to forget the other already.
        """
        if len(self._known) < self._core.config.max_nodes:
            return True
        last = self._silent(now) or self._farthest()
        if last is None:
            return record is None and len(self._known) < self._core.config.max_nodes + wanted.MOST
        known = self._known[last]
        if record is not None and now.mono < max(known.heard, known.learned) + self._core.config.stale_after:
            distance = self._distance(record)
            if distance > known.distance or (distance == known.distance and known.heard >= now.mono):
                return False
        if forget:
            self._drop(last)
        return True

    def _silent(self, now: Instant) -> NodeId | None:
        """The node that was silent for longest, if it is not believed online any more."""
        horizon = self._horizon(now)
        if self._oldest > horizon:
            return None
        ages = [(max(known.heard, known.learned), node) for node, known in self._known.items()]
        loose = [entry for entry in ages if not self._is_kept(entry[1])]
        self._oldest, last = min(loose, default=(math.inf, None))
        return last if self._oldest <= horizon else None

    def _farthest(self) -> NodeId | None:
        """The farthest node that is no neighbour; of several the one unheard of for longest."""
        if self._last is None or self._last[0] != self._neighbourhood.changes:
            self._last = self._neighbourhood.changes, self._find_farthest()
        return self._last[1]

    def _find_farthest(self) -> NodeId | None:
        farthest: list[NodeId] = []
        for distance, node in reversed(self._ranked):
            if farthest and distance < self._known[farthest[0]].distance:
                break
            if not self._is_kept(node):
                farthest.append(node)
        return min(farthest, key=lambda node: (self._known[node].heard, node), default=None)

    def _is_kept(self, node: NodeId) -> bool:
        return node == self._core.node or node in self._neighbourhood or node in self.wanted

    def _drop(self, node: NodeId) -> None:
        self._unrank(node, self._known.pop(node))
        self._suspects.pop(node, None)
        self.touch()

    def suspect(self, node: NodeId, now: Instant) -> None:
        """`node` was found dead: it is taken for offline for a while, whatever others say."""
        self._suspects.pop(node, None)
        self._suspects[node] = now.mono + self._core.config.suspicion
        if len(self._suspects) > SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        self.touch()

    def clear(self, node: NodeId) -> None:
        """`node` was heard: no suspicion any more."""
        if self._suspects.pop(node, None) is not None:
            self.touch()

    def is_cut_off(self, node: NodeId, now: Instant) -> bool:
        """Whether only the own lost link speaks for `node` being offline, which has stated something not long ago."""
        known = self._known.get(node)
        return known is not None and known.stated > self._horizon(now) and not self._online((node,), now)[0]

    def age(self, now: Instant) -> None:
        """Forgets nodes that were silent for long; those whose quarantine is over are believed again."""
        self.quarantine.release(now)
        self.wanted.age(now)
        horizon = now.mono - FORGET * self._core.config.stale_after
        for node in sorted(n for n, k in self._known.items() if k.heard < horizon and not self._is_kept(n)):
            self._drop(node)

    # What goes out ----------------------------------------------------------------------------------------------------

    def state(self, load: float, calls: int, now: Instant) -> None:
        """Makes a new statement of this node's own, if there is something to say."""
        links = tuple(self._entry(neighbour, load) for neighbour in self._measured()[:LINK_ENTRIES])
        own = self._known[self._core.node]
        fresh = now.mono - self._issued < (REFRESH_ROUNDS - 0.5) * self._core.config.digest_period
        if own.statement is not None and fresh and are_alike(own.statement, links, load):
            return
        self._sequence += 1
        self._issued = own.stated = now.mono
        statement = LinkState(
            record=self._core.record,
            epoch=self._core.config.epoch,
            sequence=self._sequence,
            load=float(load),
            calls=calls,
            links=links,
            expires_ns=self._core.expiry_ns(now, self._core.config.statement_lifetime),
        )
        own.statement, own.told = sign(statement, self._core.signer), None
        own.revision = self.touch()
        self._known[self._core.node] = self._known.pop(self._core.node)

    def _entry(self, neighbour: Neighbour, load: float) -> LinkEntry:
        return LinkEntry(
            to=neighbour.node,
            delay_ns=to_nanoseconds(neighbour.delay),
            jitter_ns=to_nanoseconds(neighbour.one_way_jitter),
            loss=float(neighbour.one_way_loss),
            rate_bps=self._spare(neighbour, load),
        )

    def _spare(self, neighbour: Neighbour, load: float) -> float:
        own = self._core.record.capacity_bps * (1 - load)
        return float(own if neighbour.record is None else min(own, neighbour.record.capacity_bps))

    def _measured(self) -> list[Neighbour]:
        return [n for n in self._neighbourhood.alive() if not math.isnan(n.rtt)]

    def news(self, neighbour: Neighbour, now: Instant) -> list[tuple[int, Told]]:
        """Statements that `neighbour` was not told yet, oldest first, each with its revision."""
        entries = []
        node, revision = neighbour.node, neighbour.told
        for origin, known in reversed(self._known.items()):
            statement = known.statement
            if statement is None:
                continue
            if known.revision <= revision:
                break  # and so are all before
            if node != origin and node not in known.tellers:
                entries.append((known.revision, known.pass_on(statement, now.mono)))
        entries.reverse()
        return entries

    # The view ---------------------------------------------------------------------------------------------------------

    def view(self, now: Instant) -> NetworkView:
        """The belief of this moment; its version is no other agent's, so that agents can share an engine.

        Nodes are in order of id. `nodes` and `links` stay as they are, with their version, until belief changes;
        `fresh` holds the agent's own links as last measured.
        """
        built = self._built
        if (
            built is None
            or built.version != self._base + self.revision
            or now.mono - built.at > self._core.config.stale_after
        ):
            self._built = built = self._build(now)
        return NetworkView(
            version=built.version,
            owner=built.owner,
            at=now.mono,
            nodes=built.nodes,
            links=built.links,
            fresh=links_of(self._own_rows(built.index, now)),
        )

    def _build(self, now: Instant) -> NetworkView:
        if self._built is not None and self._built.version == self._base + self.revision:
            self.touch()
        ids = tuple(sorted(self._known))
        index = {node: i for i, node in enumerate(ids)}
        nodes = self._nodes(ids, now)
        return NetworkView(
            version=self._base + self.revision,
            owner=index[self._core.node],
            at=now.mono,
            nodes=nodes,
            links=attested(stated_links(self._stated(ids, now), index), nodes),
        )

    def _stated(self, ids: tuple[NodeId, ...], now: Instant) -> list[tuple[int, float, LinkState]]:
        """Row, age and statement of every node of which there is one."""
        known = (self._known[node] for node in ids)
        ages = ((row, max(0.0, now.mono - one.stated), one.statement) for row, one in enumerate(known))
        return [(row, age, statement) for row, age, statement in ages if statement is not None]

    def _own_rows(self, index: dict[NodeId, int], now: Instant) -> Iterable[Row]:
        own = index[self._core.node]
        for n in self._measured():
            there = index.get(n.node)
            if there is None:
                continue
            age = max(0.0, now.mono - n.measured)
            rate = self._spare(n, 0.0)
            yield own, there, n.delay, n.one_way_jitter, n.one_way_loss, rate, age
            yield there, own, n.delay, n.one_way_jitter, n.one_way_loss, rate, age

    def _online(self, ids: tuple[NodeId, ...], now: Instant) -> list[bool]:
        """Which nodes are believed online: neighbours as their links are, others unless unheard of for long."""
        horizon = self._horizon(now)
        online = {node: self._known[node].heard > horizon for node in ids}
        linked = {n.node: n.up for n in self._neighbourhood.all() if n.since > -math.inf}
        suspected = {node: False for node, until in self._suspects.items() if until > now.mono}
        for known in (linked, suspected, {self._core.node: True}):
            online.update((node, is_up) for node, is_up in known.items() if node in online)
        return list(online.values())

    def _horizon(self, now: Instant) -> float:
        """Who was not heard of since then is not believed online."""
        return now.mono - self._core.config.stale_after

    def _silence(self, ids: tuple[NodeId, ...], now: Instant) -> list[float]:
        """Seconds since each node was heard of."""
        heard = {node: self._known[node].heard for node in ids}
        for neighbour in self._neighbourhood.all():
            if neighbour.node in heard:
                heard[neighbour.node] = max(heard[neighbour.node], neighbour.heard)
        return [max(0.0, now.mono - at) for at in heard.values()]

    def _nodes(self, ids: tuple[NodeId, ...], now: Instant) -> NodeBelief:
        role, nat, latitude, longitude, aic, max_calls, capacity = np.array(
            [self._known[n].traits for n in ids]
        ).T.copy()
        statements = [self._known[node].statement for node in ids]
        score = self._trust.table(ids, now.mono)
        return NodeBelief(
            ids=ids,
            role=role.astype(np.int8),
            nat=nat.astype(np.int8),
            latitude=latitude,
            longitude=longitude,
            aic=aic.astype(np.bool_),
            online=np.array(self._online(ids, now), dtype=np.bool_),
            load=np.array([0.0 if statement is None else statement.load for statement in statements]),
            max_calls=max_calls.astype(np.int32),
            capacity=capacity,
            reputation=score.mean,
            reputation_low=score.low,
            reputation_high=score.high,
            evidence=score.evidence,
            age=np.array(self._silence(ids, now)),
        )


def _is_newer(statement: LinkState, last: LinkState | None) -> bool:
    return last is None or (statement is not last and statement.version > last.version)
