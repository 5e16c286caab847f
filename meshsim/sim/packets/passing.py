"""FIFO links with one server: all is settled when a packet is offered, one event per packet-hop.

Exact because nothing that comes later changes when a packet leaves. `Plain` links only send and carry; `Passing` links
also lose, jitter, double, refuse and change their rate.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshsim.links.aqm import RED_STATE, red
from meshsim.links.queue import admits
from meshsim.sim.kernel.state import DROPPED, LOST
from meshsim.sim.packets.draws import Draws
from meshsim.sim.packets.tally import LinkCount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meshsim.mesh.seeds import SeedTree
    from meshsim.sim.environment import Record
    from meshsim.sim.kernel.network import PacketLink
    from meshsim.sim.packets.channel import Channel
    from meshsim.sim.packets.packet import Packet
    from meshsim.sim.packets.road import Road


class Sums:
    """Sums over the packets that were given a departure, which may lie ahead."""

    __slots__ = ("bytes", "dropped", "lost", "offered", "service", "waiting")

    def __init__(self) -> None:
        self.offered = self.dropped = self.lost = 0
        self.bytes = self.waiting = self.service = 0.0

    def count(self, now: float, standing: Iterable[Packet]) -> LinkCount:
        """What the link did before `now`, if the packets `standing` have not left by then."""
        sent, held, waiting, service = self.offered - self.dropped - self.lost, self.bytes, self.waiting, self.service
        busy, area = service, waiting + service
        for packet in standing:
            sent -= 1
            held -= packet.size
            waiting -= packet.started - packet.joined
            service -= packet.left - packet.started
            busy -= packet.left - max(now, packet.started)
            area -= packet.left - now
        return LinkCount(self.offered, sent, self.dropped, self.lost, held, waiting, service, busy, area)


class Plain:
    """A link with a constant rate, endless room and nothing left to chance.

    Args:
        link: What is declared.
        push: Puts a record on the clock's queue.
    """

    __slots__ = ("_bytes", "_free_at", "_offered", "_propagation", "_push", "_rate", "_waiting")

    def __init__(self, link: PacketLink, push: Callable[[float, Record], None]) -> None:
        self._rate, self._propagation = link.rate_bps, link.propagation
        self._push = push
        self._free_at = 0.0
        self._offered, self._bytes, self._waiting = 0, 0.0, 0.0

    def offer(self, packet: Packet, now: float) -> None:
        """Gives the packet its departure and its arrival. Every packet-hop of most runs passes here.

        This is `links.fifo` with endless room, written out because a call costs a sixth of a hop; the kernel calls it,
        and the two are held equal to the bit.
        """
        size, start = packet.size, self._free_at
        if start > now:
            self._waiting += start - now
        else:
            start = now
        departure = self._free_at = start + size * 8.0 / self._rate
        packet.left = departure
        packet.joined = now
        packet.hop += 1
        self._offered += 1
        self._bytes += size
        self._push(departure + self._propagation, packet.arrival)

    def count(self, now: float, standing: Iterable[Packet]) -> LinkCount:
        """What the link did before `now`; `standing` are the packets that have not left by then."""
        sums = Sums()
        sums.offered, sums.bytes, sums.waiting = self._offered, self._bytes, self._waiting
        sums.service = self._bytes * 8.0 / self._rate
        for packet in standing:
            packet.started = packet.left - packet.size * 8.0 / self._rate
        return sums.count(now, standing)


class Passing:
    """A FIFO link with one server of any kind.

    Args:
        link: What is declared.
        channel: Its channel.
        key: Names its streams of draws.
        seeds: Root of the draws.
        road: What the engine offers.
    """

    def __init__(self, link: PacketLink, channel: Channel, key: int, seeds: SeedTree, road: Road) -> None:
        self._queue, self._channel, self._road = link.queue, channel, road
        self._draws = Draws(seeds.stream("link.red", key))
        self._average = [0.0] * RED_STATE
        self._free_at = 0.0
        self._sums = Sums()
        self._held: deque[tuple[float, float]] = deque()
        self._held_bytes = 0.0

    def offer(self, packet: Packet, now: float) -> None:
        """Loses, refuses or carries the packet."""
        sums = self._sums
        packet.hop += 1
        packet.joined, packet.offer = now, sums.offered
        sums.offered += 1
        if self._channel.loses(packet.offer):
            sums.lost += 1
            self._road.discard(packet, LOST, now)
            return
        self._forget(now)
        if self._refuses(packet, now):
            sums.dropped += 1
            self._road.discard(packet, DROPPED, now)
            return
        self._send(packet, now)

    def _refuses(self, packet: Packet, now: float) -> bool:
        """RED hears of every packet, before the limits do."""
        queue, held = self._queue, len(self._held)
        if queue.kind == "red":
            typical = packet.size * 8.0 / self._channel.rate
            u = self._draws.at(packet.offer)
            if red(now, held, self._free_at, typical, u, queue.red, self._average, 0):
                return True
        wait = max(0.0, self._free_at - now)
        limits = queue.limit_packets, queue.limit_bytes, queue.limit_seconds
        return not admits(held, self._held_bytes, wait, packet.size, *limits)

    def _send(self, packet: Packet, now: float) -> None:
        sums, n = self._sums, packet.offer
        started = max(now, self._free_at)
        departure = self._free_at = self._channel.sent_at(started, packet.size, n)
        packet.started, packet.left = started, departure
        sums.bytes += packet.size
        sums.waiting += started - now
        sums.service += departure - started
        self._held.append((departure, packet.size))
        self._held_bytes += packet.size
        arrival = self._channel.arrives_at(departure, n)
        self._road.carry(packet, arrival)
        if self._channel.doubles(n):
            self._road.double(packet, arrival)

    def _forget(self, now: float) -> None:
        """Lets go of the packets that have left by `now`."""
        while self._held and self._held[0][0] <= now:
            _, size = self._held.popleft()
            self._held_bytes = self._held_bytes - size if self._held else 0.0

    def count(self, now: float, standing: Iterable[Packet]) -> LinkCount:
        """What the link did before `now`; `standing` are the packets that have not left by then."""
        return self._sums.count(now, standing)
