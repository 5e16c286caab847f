"""What every link needs of the engine: the clock's queue, and where packets that go no further are noted."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.sim.environment import Record
from meshsim.sim.kernel.state import DELIVERED, DROPPED, DUPLICATE, LOST

if TYPE_CHECKING:
    from meshsim.sim.environment import Environment
    from meshsim.sim.packets.packet import FlowTally, Log, Packet

ARRIVE, SERVED = "packet.arrive", "packet.served"
"""Kinds of records: a packet reaches the end of a link; a link has sent a packet that it chose."""


@dataclass(slots=True, eq=False)
class Road:
    """The way of packets through the network, shared by all links and flows.

    Attributes:
        env: The clock.
        flows: By flow.
        measure_from: Packets that set out before count in no flow's tally, seconds.
        log: Every packet that left; None notes nothing.
        in_flight: Packets in the network, duplicates left out.
    """

    env: Environment
    flows: list[FlowTally]
    measure_from: float
    log: Log | None
    in_flight: int = 0

    def set_out(self, packet: Packet) -> None:
        """Lets a new packet into the network."""
        packet.arrival = Record(ARRIVE, packet.origin.index, packet)
        self.in_flight += 1
        if packet.sent >= self.measure_from:
            tally = self.flows[packet.origin.index]
            tally.sent += 1
            tally.sent_bytes += packet.size

    def carry(self, packet: Packet, arrival: float) -> None:
        """Has `packet` arrive at the end of its link."""
        self.env.push(arrival, packet.arrival)

    def double(self, packet: Packet, arrival: float) -> None:
        """Has a duplicate of `packet` arrive, which travels on by itself; at this link it counts for nothing more."""
        twin = copy(packet)
        twin.copy, twin.left, twin.arrival = True, -1.0, Record(ARRIVE, packet.origin.index, twin)
        self.env.push(arrival, twin.arrival)

    def offer(self, packet: Packet, now: float) -> None:
        """The packet has reached its destination."""
        tally = self.flows[packet.origin.index]
        if packet.sent >= self.measure_from:
            if packet.copy:
                tally.duplicated += 1
            else:
                tally.deliver(now - packet.sent, packet.size)
        self._end(packet, DUPLICATE if packet.copy else DELIVERED, now)

    def discard(self, packet: Packet, fate: int, now: float) -> None:
        """The packet is dropped or lost; of a duplicate nothing remains."""
        if packet.sent >= self.measure_from and not packet.copy:
            tally = self.flows[packet.origin.index]
            if fate == DROPPED:
                tally.dropped += 1
            elif fate == LOST:
                tally.lost += 1
        self._end(packet, fate, now)

    def _end(self, packet: Packet, fate: int, now: float) -> None:
        del packet.arrival  # packet and record name each other: parted, both are freed at once
        if not packet.copy:
            self.in_flight -= 1
        if self.log is not None and (not packet.copy or fate == DUPLICATE):
            self.log.note(packet, fate, now)
