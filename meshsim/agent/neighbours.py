"""The links an agent has: who is at the other end, whether it is alive, and what pings say of the way there.

Estimates: smoothed RTT with gain 1/8 (RFC 6298, section 2), jitter as in RFC 3550, A.8 with gain 1/16, loss as the
share of pings that were never answered, over about the last hundred. A ping measures both directions, so one direction
is believed to have half the RTT, jitter divided by the square root of 2, and loss 1 - sqrt(1 - loss).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.agent.effects import Channel, Dial, Undial
from meshsim.agent.messages import Error, Hello, Ping, Pong
from meshsim.agent.samples import EventSample
from meshsim.identity.records import verify_record
from meshsim.mesh.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from meshsim.agent.core import Core
    from meshsim.agent.legs import Leg
    from meshsim.agent.messages import CallSetup, Fault
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

RTT_GAIN = 1 / 8
JITTER_GAIN = 1 / 16
LOSS_WINDOW = 100
PENDING_PINGS = 64
SCOLD_PAUSE = 1.0
"""Seconds between two errors told to one neighbour."""


@dataclass(slots=True, kw_only=True)
class Neighbour:
    """One link, as measured from this side.

    Attributes:
        node: Who is at the other end.
        record: What it says of itself; None until its Hello came.
        up: Whether the link is believed to work.
        since: Monotonic second since which it could have been heard.
        heard: When it was last heard.
        measured: When a ping was last answered.
        rtt: Smoothed, seconds; NaN before the first answer.
        last_rtt: Of the last ping that was answered, seconds; NaN before the first.
        jitter: Of the round trip, seconds.
        loss: Of the round trip.
        told: Revision of the link table up to which this neighbour was told.
        shown: Revision of the ledger up to which it was shown receipts.
        noted: How many notices of abuse had been heard when it was told of them.
        gossips: Whether it was heard to gossip.
        leaving: Whether it said that it goes.
        scolded: When it was last told that it sent something unreadable.
        dialled: Whether the link was made from here, for calls.
        used: When a call was last seen to go over it.
    """

    node: NodeId
    record: NodeRecord | None = None
    up: bool = False
    since: float = -math.inf
    heard: float = -math.inf
    measured: float = -math.inf
    rtt: float = math.nan
    last_rtt: float = math.nan
    jitter: float = 0.0
    loss: float = 0.0
    told: int = 0
    shown: int = 0
    noted: int = 0
    gossips: bool = False
    leaving: bool = False
    scolded: float = -math.inf
    dialled: bool = False
    used: float = -math.inf
    _probes: int = 0
    _sequence: int = 0
    _pending: dict[int, float] = field(default_factory=dict)

    @property
    def delay(self) -> float:
        """One-way, seconds."""
        return self.rtt / 2

    @property
    def one_way_jitter(self) -> float:
        """Seconds."""
        return self.jitter / math.sqrt(2)

    @property
    def one_way_loss(self) -> float:
        """Probability."""
        return 1 - math.sqrt(1 - self.loss)

    def welcome(self, now: float) -> None:
        """The link works (again): what the other end knows is unknown."""
        self.up, self.since, self.told, self.shown, self.noted = True, now, 0, 0, 0

    def ping(self, now: float, timeout: float) -> Ping:
        """The next ping; those that waited longer than `timeout` count as lost."""
        for sequence in [s for s, sent in self._pending.items() if now - sent > timeout]:
            del self._pending[sequence]
            self._count(lost=True)
        if len(self._pending) >= PENDING_PINGS:
            del self._pending[next(iter(self._pending))]
        self._sequence += 1
        self._pending[self._sequence] = now
        return Ping(self._sequence)

    def pong(self, sequence: int, now: float) -> bool:
        """Takes in an answer; False if nothing with this number is waiting."""
        sent = self._pending.pop(sequence, None)
        if sent is None:
            return False
        sample = now - sent
        if math.isnan(self.rtt):
            self.rtt = sample
        else:
            self.jitter += (abs(sample - self.last_rtt) - self.jitter) * JITTER_GAIN
            self.rtt += (sample - self.rtt) * RTT_GAIN
        self.last_rtt = sample
        self.measured = now
        self._count(lost=False)
        return True

    def forget_pings(self) -> None:
        """Pings on their way when the link broke say nothing of its loss."""
        self._pending.clear()

    def _count(self, *, lost: bool) -> None:
        self._probes = min(self._probes + 1, LOSS_WINDOW)
        self.loss += (float(lost) - self.loss) / self._probes


class Neighbourhood:
    """All links of an agent.

    Args:
        core: The agent's common ground.
        nodes: Neighbours it keeps links to.

    Attributes:
        changes: How often a neighbour was added or taken away.
    """

    def __init__(self, core: Core, nodes: Sequence[NodeId]) -> None:
        self._core = core
        self._neighbours = {node: Neighbour(node=node) for node in sorted(nodes)}
        self._kept = frozenset(nodes)
        self._waiting: dict[NodeId, list[CallSetup]] = {}
        self._sorted: list[Neighbour] = list(self._neighbours.values())
        self.changes = 0

    def __contains__(self, node: NodeId) -> bool:
        return node in self._neighbours

    def __getitem__(self, node: NodeId) -> Neighbour:
        return self._neighbours[node]

    def all(self) -> list[Neighbour]:
        """Every neighbour, by id."""
        return list(self._sorted)

    def _changed(self) -> None:
        self._sorted = [self._neighbours[node] for node in sorted(self._neighbours)]
        self.changes += 1

    def alive(self) -> list[Neighbour]:
        """The neighbours whose link is up, by id."""
        return [neighbour for neighbour in self._sorted if neighbour.up]

    def gossiping(self) -> list[Neighbour]:
        """The neighbours to tell the news, by id: those it keeps links to, and those that tell it theirs.

        Links made for calls carry no gossip, or areas would run into each other. A node that keeps no links tells all.
        """
        alive = self.alive()
        return [n for n in alive if n.gossips or n.node in self._kept] if self._kept else alive

    def is_kept(self, node: NodeId) -> bool:
        """Whether this node keeps a link to `node`, calls or not."""
        return node in self._kept

    def part(self, busy: Collection[NodeId], now: Instant) -> None:
        """Closes links made from here for calls that none has used for a while.

        Args:
            busy: Nodes with which calls are shared now.
            now: The time.
        """
        for neighbour in self.all():
            if neighbour.node in busy:
                neighbour.used = now.mono
            idle = now.mono - max(neighbour.used, neighbour.since)
            if neighbour.dialled and not self.is_kept(neighbour.node) and idle > self._core.config.idle:
                self.close(neighbour.node)
                self._core.outbox.append(Undial(node=neighbour.node))

    def is_up(self, node: NodeId) -> bool:
        """Whether there is a working link to `node`."""
        return node in self._neighbours and self._neighbours[node].up

    def open(self, node: NodeId, now: Instant) -> list[CallSetup]:
        """The driver has a link to `node`: says Hello; returns the set-ups that waited for it.

        A link too many is not taken note of: what comes over it is from a stranger.
        """
        if node not in self._neighbours and self.is_full():
            self._core.reject("too_many_neighbours")
            return []
        if node not in self._neighbours:
            self._neighbours[node] = Neighbour(node=node)
            self._changed()
        neighbour = self._neighbours[node]
        neighbour.welcome(now.mono)
        neighbour.leaving = False
        neighbour.dialled |= node in self._waiting
        self._core.alarms.cancel(("dial", node, 0))
        self._core.send(node, Hello(self._core.record, self._core.config.epoch))
        self.probe(neighbour, now)
        return self._waiting.pop(node, [])

    def close(self, node: NodeId) -> list[CallSetup]:
        """There is no link to `node` (any more); returns the set-ups that waited for one."""
        self._core.alarms.cancel(("dial", node, 0))
        if node in self._neighbours:
            self.mark_down(node)
            if node not in self._kept:
                del self._neighbours[node]
                self._changed()
        return self._waiting.pop(node, [])

    def mark_down(self, node: NodeId) -> None:
        """`node` is silent; its link stays, and one word from it brings it back."""
        self._neighbours[node].up = False
        self._neighbours[node].forget_pings()

    def is_leaving(self, node: NodeId) -> bool:
        """Whether `node` said that it goes, and has not made a new link since."""
        return node in self._neighbours and self._neighbours[node].leaving

    def scold(self, node: NodeId, fault: Fault, now: Instant) -> None:
        """Tells a neighbour that it sent something unreadable; now and then, however often it does."""
        neighbour = self._neighbours.get(node)
        if neighbour is not None and now.mono - neighbour.scolded >= SCOLD_PAUSE:
            neighbour.scolded = now.mono
            self._core.send(node, Error(fault))

    def is_full(self) -> bool:
        """Whether there may be no further neighbour."""
        return len(self._neighbours) >= self._core.config.max_neighbours

    def reach(self, node: NodeId, setup: CallSetup, now: Instant) -> bool:
        """Sends a set-up to `node`, over a new link if need be; False if there may be none."""
        if self.is_up(node):
            self._core.send(node, setup)
            return True
        if node in self._neighbours or self.is_full():
            return False
        if node not in self._waiting:
            self._core.outbox.append(Dial(node=node))
            self._core.alarms.set(("dial", node, 0), now.mono + self._core.config.dial_timeout)
        self._waiting.setdefault(node, []).append(setup)
        return True

    def hear(self, source: NodeId, now: Instant) -> bool:
        """A message came from `source`: it is alive. False if it is no neighbour."""
        neighbour = self._neighbours.get(source)
        if neighbour is None:
            return False
        neighbour.heard = now.mono
        if not neighbour.up:
            was_linked = neighbour.since > -math.inf
            neighbour.welcome(now.mono)
            if not was_linked:
                return True
            self._core.emit(EventSample(at=now.mono, kind="neighbour_back", node=source))
        return True

    def greet(self, hello: Hello, source: NodeId, now: Instant) -> NodeRecord | None:
        """Takes in a neighbour's Hello; its record if it holds and is news."""
        if hello.record.node != source:
            self._core.reject("forged")
            return None
        neighbour = self._neighbours[source]
        if hello.record == neighbour.record:
            return None
        try:
            neighbour.record = verify_record(hello.record, self._core.verifier, now.unix)
        except IdentityError:
            self._core.reject("bad_record")
            return None
        return neighbour.record

    def probe(self, neighbour: Neighbour, now: Instant) -> None:
        """Pings one neighbour."""
        ping = neighbour.ping(now.mono, self._core.config.probe_timeout)
        self._core.send(neighbour.node, ping, Channel.REALTIME)

    def answer(self, ping: Ping, source: NodeId) -> None:
        """Answers a ping."""
        self._core.send(source, Pong(ping.sequence), Channel.REALTIME)

    def measure(self, pong: Pong, source: NodeId, now: Instant) -> None:
        """Takes in an answer to a ping."""
        if not self._neighbours[source].pong(pong.sequence, now.mono):
            self._core.reject("unasked_pong")

    def silent(self, now: Instant, span: float) -> list[NodeId]:
        """The neighbours believed up that were silent for longer than `span` seconds, by id."""
        return [n.node for n in self.alive() if now.mono - max(n.heard, n.since) > span]

    def suspects(self, leg: Leg, now: Instant) -> set[NodeId]:
        """Who may be at fault for a silent route: not the next relay, if it answers pings and there are others."""
        relays, near = leg.path[1:-1], leg.next_hop
        answers = near in self and now.mono - self[near].heard <= self._core.config.silence
        return set(relays) - {near} if answers and len(relays) > 1 else set(relays)
