"""The event loop of the kernel; compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshsim.sim.kernel.heap import pop, push, replace
from meshsim.sim.kernel.jit import cached, jit
from meshsim.sim.kernel.packets import KIND_BITS, SLOT_MASK, deliver, launch, schedule
from meshsim.sim.kernel.passage import carry, channel_loses, forget, lose, pass_fifo
from meshsim.sim.kernel.service import depart, join
from meshsim.sim.kernel.sources import change_rate, opening
from meshsim.sim.kernel.state import NONE

if TYPE_CHECKING:
    from meshsim.sim.kernel.state import State

DONE, NO_SLOTS, NO_ROOM = 0, 1, 2
"""Why the loop came back: the time is over, or the packets or the log need longer arrays."""

_MOST_SLOTS = 2  # that one event takes: a packet and its duplicate


@jit
def _offer(s: State, index: int, slot: int, now: float) -> None:
    """The packet in `slot` comes to a link that is no plain FIFO."""
    port, link, packet = s.ports[index], s.links[index], s.packets[slot]
    packet.joined, packet.offer = now, port.offered
    packet.cursor += 1
    port.offered += 1
    if link.loss != 0 and channel_loses(s, link, packet.offer):
        lose(s, link, slot, now)
    elif link.queued != 0:
        join(s, index, slot, now)
    else:
        pass_fifo(s, index, slot, now)


@jit
def _glide(run: Any, agenda: Any, packets: Any, ports: Any, routes: Any, until: float, out: float) -> None:
    """Take the events for as long as they are arrivals at plain FIFO links: no queue, no draw, no array but these.

    Most events of most networks are such, hence the few arguments and the counters in registers. It stops before
    `until`, and before a packet sets out (at `out`); arrivals at that very instant come first.
    """
    size, sequence, hops, now = run.agenda, run.sequence, run.hops, run.now
    while agenda[0].time < until and agenda[0].time <= out:
        code = agenda[0].code
        slot = (code >> 1) & SLOT_MASK
        packet = packets[slot]
        index = routes[packet.cursor]
        if code & 1 or packet.counted != 0 or index == NONE or ports[index].plain == 0:
            break
        now = agenda[0].time
        replace(agenda, size, carry(ports[index], packet, now), sequence << KIND_BITS | slot << 1)
        sequence += 1
        hops += 1
    run.sequence, run.hops, run.now = sequence, hops, now


@jit
def _arrive(s: State, slot: int, now: float) -> None:
    """The packet in `slot`, first on the agenda, reaches the end of a link, and no plain FIFO follows."""
    run, packet = s.run[0], s.packets[slot]
    run.hops += 1
    if packet.counted != 0:
        forget(s, s.links[s.routes[packet.cursor - 1]], now)
    index = s.routes[packet.cursor]
    run.agenda = pop(s.agenda, run.agenda)
    if index == NONE:
        deliver(s, slot, now)
    elif s.ports[index].plain != 0:
        schedule(s, carry(s.ports[index], packet, now), slot, 0)
    else:
        _offer(s, index, slot, now)


@jit
def _set_out(s: State, index: int, now: float) -> None:
    """The next packet of flow `index`, first of `outs`, sets out."""
    run = s.run[0]
    if s.flows[index].next != now:
        run.outs = pop(s.outs, run.outs)
        return
    slot = launch(s, index, now)
    packet = s.packets[slot]
    first = s.routes[packet.cursor]
    if s.ports[first].plain != 0:
        schedule(s, carry(s.ports[first], packet, now), slot, 0)
    else:
        _offer(s, first, slot, now)


@jit
def _events(s: State, until: float) -> int:
    """Take the events before `until`."""
    run, agenda, outs = s.run[0], s.agenda, s.outs
    while True:
        if run.slots < _MOST_SLOTS:
            return NO_SLOTS
        if run.room < len(s.packets):  # CoDel may drop all that wait in one event
            return NO_ROOM
        _glide(run, agenda, s.packets, s.ports, s.routes, until, outs[0].time)
        now = min(agenda[0].time, outs[0].time)
        if now >= until:
            return DONE
        run.now = now
        if agenda[0].time == now:
            slot = (agenda[0].code >> 1) & SLOT_MASK
            if agenda[0].code & 1:
                run.agenda = pop(agenda, run.agenda)
                depart(s, slot, now)
            else:
                _arrive(s, slot, now)
        else:
            _set_out(s, outs[0].code, now)


@jit
def _expect(s: State, index: int) -> None:
    """Put the next packet of flow `index` on the heap, if there is one."""
    run, flow = s.run[0], s.flows[index]
    if flow.next < flow.stop:
        run.outs = push(s.outs, run.outs, flow.next, index)


@cached
def advance(s: State, until: float) -> int:
    """Take the events before `until`; why it came back: `DONE`, or which arrays must be longer before it goes on."""
    return _events(s, until)


@cached
def set_off(s: State, first: int) -> None:
    """Let the flows from index `first` on begin; until now `next` is when each starts."""
    for index in range(first, s.run[0].flows):
        flow = s.flows[index]
        flow.next = opening(s, flow, flow.next)
        _expect(s, index)


@cached
def resume(s: State, index: int, rate: float, now: float) -> None:
    """Give flow `index` another rate from `now` on."""
    flow = s.flows[index]
    before = flow.next
    change_rate(s, flow, rate, now)
    if flow.next != before:
        _expect(s, index)
