"""A packet on its way, and what is noted of those that left."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meshsim.sim.kernel.network import FlowResults, PacketLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.sim.environment import Record


class Place(Protocol):
    """Where a packet comes to: a link, or its destination."""

    def offer(self, packet: Packet, now: float) -> None:
        """Takes a packet that came at `now`."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """The flow that packets belong to.

    Attributes:
        index: Of the flow.
        klass: Its class.
        key: Which bucket of FQ-CoDel it is in.
        route: Links in order, then the destination.
    """

    index: int
    klass: int
    key: int
    route: Sequence[Place]


class Packet:
    """One packet.

    Attributes:
        origin: Its flow.
        number: Of the packet in its flow.
        size: Bytes.
        sent: When it set out, seconds.
        route: That of its flow.
        hop: How many places of the route have taken it.
        copy: Whether it is a duplicate.
        arrival: The record of its arrival, pushed anew for each hop; there while it is in the network.
        offer: Its number among the packets offered to the link it is on.
        joined: When it came to that link, seconds.
        started: When it began to be sent there.
        left: When its last bit left, or will leave.
    """

    __slots__ = (
        *("arrival", "copy", "hop", "joined", "left", "number", "offer", "origin", "route", "sent", "size", "started"),
    )
    arrival: Record
    offer: int
    joined: float
    started: float
    left: float

    def __init__(self, origin: Origin, number: int, size: float, sent: float) -> None:
        self.origin, self.route = origin, origin.route
        self.number, self.size, self.sent = number, size, sent
        self.hop, self.copy = 0, False


@dataclass(slots=True, eq=False)
class FlowTally:
    """What became of one flow's packets; delays are summed as what they exceed the first: exact where all are equal."""

    sent: int = 0
    delivered: int = 0
    dropped: int = 0
    lost: int = 0
    duplicated: int = 0
    sent_bytes: float = 0.0
    delivered_bytes: float = 0.0
    delay_first: float = math.nan
    delay_last: float = math.nan
    delay_sum: float = 0.0
    delay_squares: float = 0.0
    delay_min: float = math.nan
    delay_max: float = math.nan
    jitter: float = math.nan

    def deliver(self, delay: float, size: float) -> None:
        """Notes a delivery; the interarrival jitter is that of RFC 3550, A.8."""
        if self.delivered == 0:
            self.delay_first = self.delay_last = self.delay_min = self.delay_max = delay
            self.jitter = 0.0
        self.delivered += 1
        self.delivered_bytes += size
        excess = delay - self.delay_first
        self.delay_sum += excess
        self.delay_squares += excess * excess
        if delay < self.delay_min:
            self.delay_min = delay
        elif delay > self.delay_max:
            self.delay_max = delay
        self.jitter += (abs(delay - self.delay_last) - self.jitter) / 16.0
        self.delay_last = delay

    @property
    def delay_mean(self) -> float:
        """Seconds; NaN without a delivery."""
        return self.delay_first + self.delay_sum / self.delivered if self.delivered else math.nan

    @property
    def delay_variance(self) -> float:
        """Of the delays, divided by their number; NaN without a delivery."""
        if not self.delivered:
            return math.nan
        mean = self.delay_sum / self.delivered
        return max(0.0, self.delay_squares / self.delivered - mean * mean)


@dataclass(slots=True, eq=False)
class Log:
    """Every packet that left."""

    rows: list[tuple[int, int, float, float, int]] = field(default_factory=list)

    def note(self, packet: Packet, fate: int, now: float) -> None:
        """Notes that `packet` left at `now`."""
        self.rows.append((packet.origin.index, packet.number, packet.sent, now, fate))

    def columns(self) -> PacketLog:
        """The log as arrays: in order of leaving, ties in order of setting out, of flow, number and fate."""
        rows = sorted(self.rows, key=lambda row: (row[3], row[2], row[0], row[1], row[4]))
        flow, number, sent, left, fate = zip(*rows, strict=True) if rows else ((),) * 5
        return PacketLog(
            flow=np.array(flow, dtype=np.int32),
            number=np.array(number, dtype=np.int64),
            sent=np.array(sent, dtype=np.float64),
            left=np.array(left, dtype=np.float64),
            fate=np.array(fate, dtype=np.int8),
        )


def flow_results(tallies: list[FlowTally]) -> FlowResults:
    """The tallies of F flows as arrays of shape (F,)."""

    def counts(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([getattr(tally, name) for tally in tallies], dtype=np.int64)

    def values(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([getattr(tally, name) for tally in tallies], dtype=np.float64)

    return FlowResults(
        sent=counts("sent"),
        delivered=counts("delivered"),
        dropped=counts("dropped"),
        lost=counts("lost"),
        duplicated=counts("duplicated"),
        sent_bytes=values("sent_bytes"),
        delivered_bytes=values("delivered_bytes"),
        delay_mean=values("delay_mean"),
        delay_variance=values("delay_variance"),
        delay_min=values("delay_min"),
        delay_max=values("delay_max"),
        jitter=values("jitter"),
    )
