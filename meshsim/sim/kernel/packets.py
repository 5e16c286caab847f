"""A packet's life between links: it sets out, is scheduled, and leaves the network; compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshsim.sim.kernel.heap import pop, push, replace
from meshsim.sim.kernel.jit import jit
from meshsim.sim.kernel.sources import following, packet_size
from meshsim.sim.kernel.state import DELIVERED, DROPPED, DUPLICATE, FREE, NONE, SLOT_BITS

if TYPE_CHECKING:
    from meshsim.sim.kernel.state import State

KIND_BITS = SLOT_BITS + 1
SLOT_MASK = (1 << SLOT_BITS) - 1


@jit
def schedule(s: State, time: float, slot: int, kind: int) -> None:
    """Put the arrival (`kind` 0) or the end of service (1) of the packet in `slot` on the agenda."""
    run = s.run[0]
    run.agenda = push(s.agenda, run.agenda, time, run.sequence << KIND_BITS | slot << 1 | kind)
    run.sequence += 1


@jit
def take_slot(s: State) -> int:
    """A free packet slot; the loop sees to it that there is one."""
    run = s.run[0]
    slot = run.free
    run.free = s.packets[slot].next
    run.slots -= 1
    return int(slot)


@jit
def release(s: State, slot: int) -> None:
    """Give a packet's slot back."""
    run, packet = s.run[0], s.packets[slot]
    run.inside -= 1 - packet.copy
    packet.place = FREE
    packet.next = run.free
    run.free = slot
    run.slots += 1


@jit
def _log(s: State, packet: Any, fate: int, now: float) -> None:
    run = s.run[0]
    row = s.log[run.rows]
    row.flow, row.fate, row.number, row.sent, row.left = packet.flow, fate, packet.number, packet.sent, now
    run.rows += 1
    run.room -= 1


@jit
def _measure(flow: Any, delay: float, size: float) -> None:
    """Take a delivered packet into its flow's sums; interarrival jitter as in RFC 3550, A.8."""
    if flow.delivered == 0:
        flow.delay_first = flow.delay_min = flow.delay_max = flow.delay_last = delay
    flow.delivered += 1
    flow.delivered_bytes += size
    excess = delay - flow.delay_first
    flow.delay_sum += excess
    flow.delay_squares += excess * excess
    flow.delay_min = min(flow.delay_min, delay)
    flow.delay_max = max(flow.delay_max, delay)
    flow.jitter += (abs(delay - flow.delay_last) - flow.jitter) / 16.0
    flow.delay_last = delay


@jit
def deliver(s: State, slot: int, now: float) -> None:
    """The packet in `slot` has reached the end of its route."""
    packet = s.packets[slot]
    flow = s.flows[packet.flow]
    if packet.sent >= s.run[0].measure_from:
        if packet.copy:
            flow.duplicated += 1
        else:
            _measure(flow, now - packet.sent, packet.size)
    if len(s.log) > 0:
        _log(s, packet, DUPLICATE if packet.copy else DELIVERED, now)
    release(s, slot)


@jit
def discard(s: State, slot: int, fate: int, now: float) -> None:
    """The packet in `slot` is dropped or lost."""
    packet = s.packets[slot]
    if not packet.copy:
        if packet.sent >= s.run[0].measure_from:
            flow = s.flows[packet.flow]
            if fate == DROPPED:
                flow.dropped += 1
            else:
                flow.lost += 1
        if len(s.log) > 0:
            _log(s, packet, fate, now)
    release(s, slot)


@jit
def launch(s: State, index: int, now: float) -> int:
    """Make the next packet of flow `index`; its slot. The flow's packet after it is put on the heap `outs`."""
    run, flow, slot = s.run[0], s.flows[index], take_slot(s)
    packet = s.packets[slot]
    packet.sent, packet.size = now, packet_size(s, flow)
    packet.flow, packet.number, packet.cursor = index, flow.number, flow.route
    packet.counted = packet.copy = 0
    packet.next = NONE
    run.inside += 1
    if now >= run.measure_from:
        flow.sent += 1
        flow.sent_bytes += packet.size
    flow.number += 1
    flow.next = following(s, flow, now)
    if flow.next < flow.stop:
        replace(s.outs, run.outs, flow.next, index)
    else:
        run.outs = pop(s.outs, run.outs)
    return slot
