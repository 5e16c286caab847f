"""Links that keep class queues and choose whom to serve at each end of a service: two events per packet-hop."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshsim.links.aqm import CODEL_STATE, FQ_LISTS, codel, fq_charge, fq_join, fq_pick
from meshsim.links.queue import admits
from meshsim.links.schedulers import (
    DRR_TURN,
    drr_pick,
    drr_quanta,
    polling_pick,
    priority_pick,
    stride_head,
    wfq_head,
    wfq_pick,
)
from meshsim.sim.environment import Record
from meshsim.sim.kernel.state import DROPPED, LOST
from meshsim.sim.packets.road import SERVED
from meshsim.sim.packets.tally import LinkCount

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshsim.sim.kernel.network import PacketLink, Queue
    from meshsim.sim.packets.channel import Channel
    from meshsim.sim.packets.packet import Packet
    from meshsim.sim.packets.road import Road


class Discipline:
    """Who is served next: the class queues of one link with the state of its discipline, as `meshsim.links` wants it.

    Args:
        queue: What is declared.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        places = queue.queues
        weights = queue.weights or (1.0,) * places
        self._shares = list(drr_quanta(weights, queue.quantum) if queue.kind in ("drr", "polling") else weights)
        self._packets: list[deque[Packet]] = [deque() for _ in range(places)]
        self._waiting = [0] * places
        self._waiting_bytes = [0.0] * places
        self._head_bytes = [0.0] * places
        self._credits = [0.0] * places  # finish tags (WFQ), deficits (DRR, FQ-CoDel)
        self._clock = [0.0]
        self._turn = [0] * DRR_TURN
        self._following, self._status, self._lists = [0] * places, [0] * places, [0] * FQ_LISTS
        self._codel = [0.0] * (CODEL_STATE * places)

    def queue_of(self, packet: Packet) -> int:
        """The class queue, or bucket, that a packet belongs to."""
        if self._queue.kind == "fq_codel":
            return packet.origin.key % self._queue.buckets
        classes = self._queue.queue_of_class
        return classes[min(packet.origin.klass, len(classes) - 1)] if classes else 0

    def join(self, packet: Packet, own: int) -> None:
        """Puts a packet at the end of its queue."""
        self._packets[own].append(packet)
        self._waiting[own] += 1
        self._waiting_bytes[own] += packet.size
        if self._waiting[own] == 1:
            self._head(own)
        if self._queue.kind == "fq_codel":
            fq_join(own, self._queue.quantum, self._credits, self._following, self._status, self._lists, 0)

    def pick(self) -> int:
        """The queue to serve, -1 if nothing waits."""
        kind, places = self._queue.kind, len(self._waiting)
        if kind in ("wfq", "stride"):
            return wfq_pick(self._waiting, self._credits, self._clock, 0, 0, places)
        if kind in ("drr", "polling"):
            heads, shares = self._head_bytes, self._shares
            turned = drr_pick if kind == "drr" else polling_pick
            return turned(self._waiting, heads, shares, self._credits, self._turn, 0, 0, places)
        if kind == "fq_codel":
            quantum, lists = self._queue.quantum, self._lists
            return fq_pick(quantum, self._waiting, self._credits, self._following, self._status, lists, 0)
        return priority_pick(self._waiting, 0, places)

    def take(self, own: int) -> Packet:
        """Takes the head out of a queue."""
        packet = self._packets[own].popleft()
        self._waiting[own] -= 1
        self._waiting_bytes[own] = self._waiting_bytes[own] - packet.size if self._waiting[own] else 0.0
        if self._waiting[own]:
            self._head(own)
        return packet

    def drops(self, packet: Packet, own: int, now: float) -> bool:
        """Whether CoDel drops the packet that was taken out."""
        queue = self._queue
        if queue.kind not in ("codel", "fq_codel"):
            return False
        sojourn, behind = now - packet.joined, self._waiting_bytes[own]
        return codel(now, sojourn, behind, queue.target, queue.interval, self._codel, CODEL_STATE * own)

    def charge(self, packet: Packet, own: int) -> None:
        """Notes that the packet that was taken out is being sent."""
        if self._queue.kind == "fq_codel":
            fq_charge(own, packet.size, self._credits)

    def _head(self, own: int) -> None:
        size = self._head_bytes[own] = self._packets[own][0].size
        if self._queue.kind == "wfq":
            wfq_head(own, size, self._shares[own], self._credits, self._clock, 0)
        elif self._queue.kind == "stride":
            stride_head(own, size, self._shares[own], self._credits)


class Serving:
    """A link with class queues, or with several servers.

    Args:
        index: Of the link.
        link: What is declared.
        channel: Its channel.
        road: What the engine offers.
    """

    def __init__(self, index: int, link: PacketLink, channel: Channel, road: Road) -> None:
        self._index, self._link, self._channel, self._road = index, link, channel, road
        self._discipline = Discipline(link.queue)
        self._held = [0] * link.queue.queues  # by class queue, those in service included
        self._held_bytes = [0.0] * link.queue.queues
        self._served: list[Packet] = []
        self._here, self._changed = 0, 0.0
        self._offered = self._sent = self._dropped = self._lost = 0
        self._bytes = self._waiting = self._service = self._area = 0.0

    def offer(self, packet: Packet, now: float) -> None:
        """Loses, refuses or queues the packet."""
        packet.hop += 1
        packet.joined, packet.offer = now, self._offered
        self._offered += 1
        if self._channel.loses(packet.offer):
            self._lost += 1
            self._road.discard(packet, LOST, now)
        elif self._refuses(packet):
            self._drop(packet, now)
        else:
            self._join(packet, now)

    def serve_next(self, packet: Packet, now: float) -> None:
        """The service of `packet` has ended."""
        self._served.remove(packet)
        self._leave(packet, now)
        self._sent += 1
        self._bytes += packet.size
        self._waiting += packet.started - packet.joined
        self._service += now - packet.started
        arrival = self._channel.arrives_at(now, packet.offer)
        self._road.carry(packet, arrival)
        if self._channel.doubles(packet.offer):
            self._road.double(packet, arrival)
        self._serve(now)

    def count(self, now: float, _standing: Iterable[Packet]) -> LinkCount:
        """What the link did before `now`."""
        busy = self._service + sum(now - packet.started for packet in self._served)
        area = self._area + self._here * (now - self._changed)
        sums = self._bytes, self._waiting, self._service
        return LinkCount(self._offered, self._sent, self._dropped, self._lost, *sums, busy, area)

    def _refuses(self, packet: Packet) -> bool:
        queue, own = self._link.queue, self._discipline.queue_of(packet)
        wait = self._held_bytes[own] * 8.0 / self._channel.rate
        limits = queue.limit_packets, queue.limit_bytes, queue.limit_seconds
        return not admits(self._held[own], self._held_bytes[own], wait, packet.size, *limits)

    def _drop(self, packet: Packet, now: float) -> None:
        self._dropped += 1
        self._road.discard(packet, DROPPED, now)

    def _join(self, packet: Packet, now: float) -> None:
        own = self._discipline.queue_of(packet)
        self._note(1, now)
        self._held[own] += 1
        self._held_bytes[own] += packet.size
        self._discipline.join(packet, own)
        if len(self._served) < self._link.servers:
            self._serve(now)

    def _serve(self, now: float) -> None:
        """Begins the service of the packet whose turn it is; CoDel may drop some before it."""
        while (own := self._discipline.pick()) >= 0:
            packet = self._discipline.take(own)
            if not self._discipline.drops(packet, own, now):
                self._discipline.charge(packet, own)
                self._begin(packet, now)
                return
            self._leave(packet, now)
            self._drop(packet, now)

    def _begin(self, packet: Packet, now: float) -> None:
        self._served.append(packet)
        packet.started = now
        packet.left = self._channel.sent_at(now, packet.size, packet.offer)
        self._road.env.push(packet.left, Record(SERVED, self._index, packet))

    def _leave(self, packet: Packet, now: float) -> None:
        own = self._discipline.queue_of(packet)
        self._note(-1, now)
        self._held[own] -= 1
        self._held_bytes[own] = self._held_bytes[own] - packet.size if self._held[own] else 0.0

    def _note(self, change: int, now: float) -> None:
        """The number of packets at the link changes."""
        self._area += self._here * (now - self._changed)
        self._changed = now
        self._here += change
