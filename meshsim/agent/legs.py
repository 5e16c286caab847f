"""One route of a call as a node of its path knows it: its state, its keepalives, and how it was lived."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.agent.effects import OpenMedia
from meshsim.agent.messages import LOST, UNREACHABLE, CallKeepalive
from meshsim.agent.states import CallState, step
from meshsim.mesh.media import AicPolicy
from meshsim.mesh.quality import mos, poor, target, voice_mos
from meshsim.mesh.time import to_nanoseconds, to_seconds
from meshsim.trust import misconduct
from meshsim.trust.conduct import NO_PROMISE

if TYPE_CHECKING:
    from meshsim.agent.effects import MediaReport
    from meshsim.agent.messages import CallReject, CallSetup
    from meshsim.agent.states import CallEvent
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.media import MediaType
    from meshsim.mesh.time import Instant
    from meshsim.trust.conduct import Expectation

DEPARTURES = 32
"""Keepalives whose departure is remembered."""
LOSSY = 0.10
"""A route that loses more for a while is left for another."""


def label_of(call: CallId, attempt: int) -> int:
    """The label of one route of a call: 32 bits that every node of the path works out for itself, never 0."""
    digest = hashlib.blake2b(call + bytes([attempt]), digest_size=4).digest()
    return int.from_bytes(digest, "big") or 1


@dataclass(slots=True)
class Quality:
    """How a call was lived, added up report by report."""

    jitter: float = 0.0
    loss: float = 0.0
    rtt: float = 0.0
    reports: int = 0
    rtts: int = 0
    remote_jitter: float = 0.0
    remote_loss: float = 0.0
    remote_reports: int = 0

    def add(self, report: MediaReport) -> None:
        """Takes in what the driver measured here."""
        self.jitter += report.jitter
        self.loss += report.loss
        self.reports += 1
        if not math.isnan(report.rtt):
            self.add_rtt(report.rtt)

    def add_rtt(self, rtt: float) -> None:
        """Takes in a round trip from end to end, seconds."""
        self.rtt += rtt
        self.rtts += 1

    def add_remote(self, jitter: float, loss: float) -> None:
        """Takes in what the other end measured."""
        self.remote_jitter += jitter
        self.remote_loss += loss
        self.remote_reports += 1

    def means(self) -> tuple[float, float, float]:
        """RTT in seconds, jitter in seconds and loss of the worse direction; NaN for what was never measured."""
        rtt = self.rtt / self.rtts if self.rtts else math.nan
        here = (self.jitter / self.reports, self.loss / self.reports) if self.reports else (math.nan, math.nan)
        if not self.remote_reports:
            return rtt, *here
        there = self.remote_jitter / self.remote_reports, self.remote_loss / self.remote_reports
        if not self.reports:
            return rtt, *there
        return rtt, max(here[0], there[0]), max(here[1], there[1])

    def verdict(self, media: MediaType) -> tuple[float, bool]:
        """MOS, and whether the target of `media` was missed; without media reports the round trip alone decides.

        Where nothing was measured, for the call was too short, nothing is held against anybody: NaN, not poor.
        """
        rtt, jitter, loss = self._measured()
        if math.isnan(rtt):
            return math.nan, bool(loss > target(media).loss)
        return float(mos(media, rtt / 2, jitter, loss)), bool(poor(rtt, jitter, loss, media))

    def is_misconduct(self, media: MediaType, promised: Expectation) -> bool:
        """Whether the relays are to blame for it, where such a round trip, jitter and loss were expected."""
        return bool(misconduct(*self._measured(), media, promised))

    def clarity(self) -> float:
        """How a voice would have sounded, whatever the call carried: relays are praised by one scale; NaN likewise."""
        rtt, jitter, loss = self._measured()
        return math.nan if math.isnan(rtt) else float(voice_mos(rtt / 2, jitter, loss))

    def _measured(self) -> tuple[float, float, float]:
        """The means, with neither jitter nor loss where none was measured."""
        rtt, jitter, loss = self.means()
        return rtt, 0.0 if math.isnan(jitter) else jitter, 0.0 if math.isnan(loss) else loss


@dataclass(slots=True, kw_only=True)
class Leg:
    """One route of a call, at one node of its path.

    Attributes:
        setup: The set-up it came with.
        place: This node's position in the path.
        state: Where the route stands here.
        opened: When it was asked for, monotonic seconds.
        stood: When its acceptance was given here, or came through; NaN before.
        heard: When something last came from end to end.
        flowing: Whether this node's media are open.
        sent: Keepalives sent from here.
        echo: The last keepalive heard from the other end plus one, 0 for none.
        echoed: When it was heard.
        dark: Media reports in a row by which nothing came.
        left: Whether it worked when another took its place.
        beats: Beats for which it stood by.
        idle: Whether it stands by: media have never come this way.
        lossy: Since when media reports of either end tell of more than `LOSSY`; NaN while they do not.
        departures: When the last keepalives left, by sequence.
        quality: How this route was lived; its relays are judged by it.
        promised: What its relays are held to here.
        carried: Media bytes that came here, or were passed on, as last counted.
    """

    setup: CallSetup
    place: int
    state: CallState = CallState.IDLE
    opened: float
    stood: float = math.nan
    heard: float
    flowing: bool = False
    sent: int = 0
    echo: int = 0
    echoed: float = math.nan
    dark: int = 0
    left: bool = False
    beats: int = 0
    idle: bool = False
    lossy: float = math.nan
    departures: dict[int, float] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    promised: Expectation = NO_PROMISE
    carried: int = 0

    @property
    def key(self) -> tuple[CallId, int]:
        """Call and attempt."""
        return self.setup.call, self.setup.attempt

    @property
    def path(self) -> tuple[NodeId, ...]:
        """The route."""
        return self.setup.path

    @property
    def label(self) -> int:
        """The route's media label."""
        return label_of(self.setup.call, self.setup.attempt)

    @property
    def upstream(self) -> NodeId | None:
        """Neighbour towards the caller; None at the caller."""
        return self.path[self.place - 1] if self.place > 0 else None

    @property
    def downstream(self) -> NodeId | None:
        """Neighbour towards the callee; None at the callee."""
        return self.path[self.place + 1] if self.place + 1 < len(self.path) else None

    @property
    def is_first(self) -> bool:
        """Whether this node is the caller's."""
        return self.place == 0

    @property
    def wants_aic(self) -> bool:
        """Whether its media are to be compressed where all of its nodes can."""
        return self.setup.aic is not AicPolicy.OFF

    @property
    def next_hop(self) -> NodeId:
        """An end's only neighbour on the route."""
        return self.path[1] if self.is_first else self.path[self.place - 1]

    def is_disjoint(self, path: tuple[NodeId, ...]) -> bool:
        """Whether this route shares no relay with `path`, and is another."""
        return path != self.path and set(path[1:-1]).isdisjoint(self.path[1:-1])

    def is_right_side(self, source: NodeId, *, onward: bool) -> bool:
        """Whether a message that goes `onward` (or back) may come from `source`."""
        return source == (self.upstream if onward else self.downstream)

    def blamed(self, reject: CallReject) -> NodeId:
        """Who failed: the hop behind the one that complains of it, else the complainer, who is on the path."""
        at = self.path.index(reject.by) + (-1 if reject.onward else 1)
        behind = reject.reason in (LOST, UNREACHABLE) and 0 < at < len(self.path) - 1
        return self.path[at] if behind else reject.by

    def opening(self, *, aic: bool = False) -> OpenMedia:
        """What opens this route's media here, compressed or not."""
        return OpenMedia(
            call=self.setup.call,
            label=self.label,
            upstream=self.upstream,
            downstream=self.downstream,
            media=self.setup.media,
            aic=aic,
        )

    def next_keepalive(self, now: Instant) -> CallKeepalive:
        """What says to the other end that this way still works."""
        held = 0 if math.isnan(self.echoed) else to_nanoseconds(now.mono - self.echoed)
        message = CallKeepalive(*self.key, onward=self.is_first, sequence=self.sent, echo=self.echo, held_ns=held)
        self.departures[self.sent] = now.mono
        self.departures.pop(self.sent - DEPARTURES, None)
        self.sent += 1
        return message

    def take_keepalive(self, message: CallKeepalive, now: Instant) -> float | None:
        """The other end is there; the round trip in seconds, where it answers one of ours."""
        self.heard = self.echoed = now.mono
        self.echo = message.sequence + 1
        departed = self.departures.pop(message.echo - 1, None)
        return None if departed is None else max(0.0, now.mono - departed - to_seconds(message.held_ns))

    def suffers(self, loss: float, now: Instant) -> float:
        """Takes in what an end tells of lost media; seconds for which it has been too much, 0 if it is not."""
        if loss <= LOSSY:
            self.lossy = math.nan
            return 0.0
        self.lossy = now.mono if math.isnan(self.lossy) else self.lossy
        return now.mono - self.lossy

    def neighbours(self) -> list[NodeId]:
        """Both neighbours, as far as there are."""
        return [node for node in (self.upstream, self.downstream) if node is not None]

    def advance(self, event: CallEvent) -> None:
        """Moves the route's state.

        Raises:
            LocalProtocolError: If the table does not list it.
        """
        self.state = step(self.state, event)
