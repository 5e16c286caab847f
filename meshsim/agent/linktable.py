"""What an agent believes of its area: its own links as measured, others' as they state them, and the view made of both.

Statements are ordered by (epoch, sequence) of their origin. Each one taken in gets a revision; a round of gossip tells
a neighbour what has a higher revision than what it was told last. The table is bounded and forgets the silent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.agent.messages import LINK_ENTRIES, LinkEntry, LinkState, Told, is_signed, sign
from meshsim.mesh.time import to_nanoseconds, to_seconds
from meshsim.mesh.view import LinkBelief, Nat, NetworkView, NodeBelief, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshsim.agent.core import Core
    from meshsim.agent.neighbours import Neighbour, Neighbourhood
    from meshsim.agent.reputation import TrustBook
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

REFRESH_ROUNDS = 3
"""An unchanged statement is made again after so many rounds, to show that its origin lives."""

DELAY_CHANGE, DELAY_STEP = 0.1, 0.002
LOSS_STEP, LOAD_STEP = 0.005, 0.1
"""Smaller changes are not worth a new statement."""

FORGET = 3
"""A node silent for so many times `stale_after` is forgotten."""

SUSPECTS = 1024
"""Most nodes under suspicion; the one found dead longest ago is let off for a new one."""

Row = tuple[int, int, float, float, float, float, float]
"""src, dst, delay, jitter, loss, rate, age of one link."""


@dataclass(slots=True, kw_only=True)
class Known:
    """A node in mind.

    Attributes:
        record: What it says of itself.
        statement: Its latest; None if it was only named by a neighbour's Hello or the directory.
        stated: Monotonic second at which the statement was made, as far as known.
        heard: When the node was last known to live.
        revision: When it came in, as a count of changes.
        teller: Who told it.
    """

    record: NodeRecord
    statement: LinkState | None = None
    stated: float = -math.inf
    heard: float = -math.inf
    revision: int = 0
    teller: NodeId | None = None


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
        self._known: dict[NodeId, Known] = {core.node: Known(record=core.record, heard=math.inf)}
        self._suspects: dict[NodeId, float] = {}
        self._sequence = 0
        self._issued = -math.inf
        self.revision = 1
        self._base = (int.from_bytes(core.node[:4], "big") >> 1) << 32
        self._built: NetworkView | None = None

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, node: NodeId) -> bool:
        return node in self._known

    def statement(self, node: NodeId) -> LinkState | None:
        """The latest statement of `node`, if any."""
        known = self._known.get(node)
        return None if known is None else known.statement

    def touch(self) -> int:
        """Notes a change of belief: the next view has a new version. Returns the revision."""
        self.revision += 1
        return self.revision

    # What comes in ----------------------------------------------------------------------------------------------------

    def learn(self, record: NodeRecord, now: Instant) -> None:
        """Takes in a verified record from a Hello or the directory."""
        known = self._known.get(record.node_id)
        if known is None and not self._make_room(now):
            return
        if known is None:
            known = self._known[record.node_id] = Known(record=record)
        elif known.record == record:
            known.heard = max(known.heard, now.mono)
            return
        known.record, known.heard = record, max(known.heard, now.mono)
        self.touch()

    def renew(self) -> None:
        """This node has a new record: the next round of gossip makes a new statement."""
        self._known[self._core.node].record = self._core.record
        self._issued = -math.inf
        self.touch()

    def accept(self, told: Told, source: NodeId, now: Instant) -> bool:
        """Takes in a statement; False if it is no news or does not hold (then it is counted)."""
        statement = told.statement
        known = self._known.get(statement.origin)
        if statement.origin == self._core.node:
            return False
        if known is not None and known.statement is not None and statement.version <= known.statement.version:
            return False
        if not self._holds(statement, now) or (known is None and not self._make_room(now)):
            return False
        stated = now.mono - to_seconds(told.age_ns)
        heard = max(stated, known.heard if known is not None else -math.inf)
        self._known[statement.origin] = Known(
            record=statement.record,
            statement=statement,
            stated=stated,
            heard=heard,
            revision=self.touch(),
            teller=source,
        )
        return True

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

    def _make_room(self, now: Instant) -> bool:
        """Whether one more node fits, after the one unheard of for longest was forgotten."""
        if len(self._known) < self._core.config.max_nodes:
            return True
        loose = [(k.heard, node) for node, k in self._known.items() if not self._is_kept(node)]
        if not loose or min(loose)[0] >= now.mono:
            return False
        self._drop(min(loose)[1])
        return True

    def _is_kept(self, node: NodeId) -> bool:
        return node == self._core.node or node in self._neighbourhood

    def _drop(self, node: NodeId) -> None:
        del self._known[node]
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

    def age(self, now: Instant) -> None:
        """Forgets nodes that were silent for long."""
        horizon = now.mono - FORGET * self._core.config.stale_after
        for node in sorted(n for n, k in self._known.items() if k.heard < horizon and not self._is_kept(n)):
            self._drop(node)

    # What goes out ----------------------------------------------------------------------------------------------------

    def state(self, load: float, calls: int, now: Instant) -> None:
        """Makes a new statement of this node's own, if there is something to say."""
        links = tuple(self._entry(neighbour, load) for neighbour in self._measured()[:LINK_ENTRIES])
        own = self._known[self._core.node]
        fresh = now.mono - self._issued < (REFRESH_ROUNDS - 0.5) * self._core.config.digest_period
        if own.statement is not None and fresh and _is_alike(own.statement, links, load):
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
        own.statement = sign(statement, self._core.signer)
        own.revision = self.touch()

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
        for known in self._known.values():
            statement = known.statement
            if statement is None or known.revision <= neighbour.told:
                continue
            if neighbour.node in (known.teller, statement.origin):
                continue
            age = to_nanoseconds(max(0.0, now.mono - known.stated))
            entries.append((known.revision, Told(age, statement)))
        return sorted(entries, key=lambda entry: entry[0])

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
            fresh=_links(self._own_rows(built.index, now)),
        )

    def _build(self, now: Instant) -> NetworkView:
        if self._built is not None and self._built.version == self._base + self.revision:
            self.touch()
        ids = tuple(sorted(self._known))
        index = {node: i for i, node in enumerate(ids)}
        return NetworkView(
            version=self._base + self.revision,
            owner=index[self._core.node],
            at=now.mono,
            nodes=self._nodes(ids, now),
            links=_links(self._stated_rows(ids, index, now)),
        )

    def _stated_rows(self, ids: Sequence[NodeId], index: dict[NodeId, int], now: Instant) -> Iterable[Row]:
        for node in ids:
            known = self._known[node]
            if known.statement is None:
                continue
            age = max(0.0, now.mono - known.stated)
            for entry in known.statement.links:
                if entry.to in index:
                    yield _row(index[node], index[entry.to], entry, age)

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

    def _is_online(self, node: NodeId, now: Instant) -> bool:
        if node == self._core.node:
            return True
        if self._suspects.get(node, -math.inf) > now.mono:
            return False
        if node in self._neighbourhood and self._neighbourhood[node].since > -math.inf:
            return self._neighbourhood.is_up(node)
        return now.mono - self._known[node].heard < self._core.config.stale_after

    def _silence(self, node: NodeId, now: Instant) -> float:
        heard = self._known[node].heard
        if node in self._neighbourhood:
            heard = max(heard, self._neighbourhood[node].heard)
        return max(0.0, now.mono - heard)

    def _nodes(self, ids: tuple[NodeId, ...], now: Instant) -> NodeBelief:
        records = [self._known[node].record for node in ids]
        statements = [self._known[node].statement for node in ids]
        score = self._trust.table(ids, now.mono)
        return NodeBelief(
            ids=ids,
            role=np.array([Role[record.role.upper()] for record in records], dtype=np.int8),
            nat=np.array([nat_of(record) for record in records], dtype=np.int8),
            latitude=np.array([record.latitude for record in records]),
            longitude=np.array([record.longitude for record in records]),
            aic=np.array([record.aic for record in records], dtype=np.bool_),
            online=np.array([self._is_online(node, now) for node in ids], dtype=np.bool_),
            load=np.array([0.0 if statement is None else statement.load for statement in statements]),
            max_calls=np.array([record.max_calls for record in records], dtype=np.int32),
            capacity=np.array([record.capacity_bps for record in records]),
            reputation=score.mean,
            reputation_low=score.low,
            reputation_high=score.high,
            evidence=score.evidence,
            age=np.array([self._silence(node, now) for node in ids]),
        )


def nat_of(record: NodeRecord) -> Nat:
    """The NAT type a record names; an unknown word is taken for the most restrictive."""
    return Nat[record.nat.upper()] if record.nat.upper() in Nat.__members__ else Nat.SYMMETRIC


def _row(src: int, dst: int, entry: LinkEntry, age: float) -> Row:
    return src, dst, to_seconds(entry.delay_ns), to_seconds(entry.jitter_ns), entry.loss, entry.rate_bps, age


def _links(rows: Iterable[Row]) -> LinkBelief:
    table = sorted(rows)
    columns = np.array(table, dtype=np.float64).reshape(len(table), 7).T
    return LinkBelief(
        src=columns[0].astype(np.int32),
        dst=columns[1].astype(np.int32),
        delay=columns[2].copy(),
        jitter=columns[3].copy(),
        loss=columns[4].copy(),
        rate=columns[5].copy(),
        age=columns[6].copy(),
        observed=np.ones(len(table), dtype=np.bool_),
    )


def _is_alike(last: LinkState, links: tuple[LinkEntry, ...], load: float) -> bool:
    if [entry.to for entry in last.links] != [entry.to for entry in links] or abs(last.load - load) > LOAD_STEP:
        return False
    return all(_is_close(a, b) for a, b in zip(last.links, links, strict=True))


def _is_close(a: LinkEntry, b: LinkEntry) -> bool:
    delays = to_seconds(a.delay_ns), to_seconds(b.delay_ns)
    moved = abs(delays[0] - delays[1])
    return moved <= max(DELAY_STEP, DELAY_CHANGE * max(delays)) and abs(a.loss - b.loss) <= LOSS_STEP
