"""Links that keep class queues and choose at each end of a service, by the functions of `meshsim.links`; compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshsim.links import aqm, schedulers
from meshsim.sim.kernel.jit import jit, link_step
from meshsim.sim.kernel.packets import discard, schedule
from meshsim.sim.kernel.passage import admits, fly, service_end
from meshsim.sim.kernel.state import (
    CONTROL,
    CREDIT,
    DROPPED,
    FLYING,
    FOLLOWING,
    HEAD,
    HEAD_BYTES,
    HELD,
    HELD_BYTES,
    MARKS,
    NONE,
    QUEUES,
    SERVED,
    SHARE,
    STATUS,
    TAIL,
    WAIT,
    WAIT_BYTES,
    WAITING,
)

if TYPE_CHECKING:
    from meshsim.sim.kernel.state import State

codel = link_step(aqm.codel)
fq_charge = link_step(aqm.fq_charge)
fq_join = link_step(aqm.fq_join)
fq_pick = link_step(aqm.fq_pick)
drr_pick = link_step(schedulers.drr_pick)
polling_pick = link_step(schedulers.polling_pick)
priority_pick = link_step(schedulers.priority_pick)
stride_head = link_step(schedulers.stride_head)
wfq_head = link_step(schedulers.wfq_head)
wfq_pick = link_step(schedulers.wfq_pick)

_CODEL, _FQ, _WFQ, _DRR = QUEUES["codel"], QUEUES["fq_codel"], QUEUES["wfq"], QUEUES["drr"]
_STRIDE, _POLLING = QUEUES["stride"], QUEUES["polling"]


@jit
def _queue_of(s: State, link: Any, packet: Any) -> int:
    """The class queue that a packet belongs to."""
    flow = s.flows[packet.flow]
    if link.kind == _FQ:
        return int(link.queue_first + flow.key % link.queues)
    if link.queue_mapped == 0:
        return int(link.queue_first)
    return int(link.queue_first + s.routes[link.queue_map + min(flow.klass, link.queue_mapped - 1)])


@jit
def _hold(link: Any, change: int, now: float) -> None:
    """Note that the number of packets at a link changes."""
    link.area += link.held * (now - link.changed)
    link.changed = now
    link.held += change


@jit
def join(s: State, index: int, slot: int, now: float) -> None:
    """The packet in `slot` comes to link `index`."""
    link, packet, q = s.links[index], s.packets[slot], s.queues
    own = _queue_of(s, link, packet)
    wait = q.amounts[HELD_BYTES, own] * 8.0 / s.ports[index].rate
    limits = link.limit_packets, link.limit_bytes, link.limit_seconds
    if not admits(q.counts[HELD, own], q.amounts[HELD_BYTES, own], wait, packet.size, *limits):
        link.dropped += 1
        discard(s, slot, DROPPED, now)
        return
    _hold(link, 1, now)
    _append(s, index, own, slot)
    if link.busy < link.servers:
        serve(s, index, now)


@jit
def _append(s: State, index: int, own: int, slot: int) -> None:
    link, packet, q = s.links[index], s.packets[slot], s.queues
    packet.place, packet.next = WAITING, NONE
    if q.counts[WAIT, own] == 0:
        q.counts[HEAD, own] = slot
        _head(s, index, own, packet.size)
    else:
        s.packets[q.counts[TAIL, own]].next = slot
    q.counts[TAIL, own] = slot
    q.counts[WAIT, own] += 1
    q.amounts[WAIT_BYTES, own] += packet.size
    q.counts[HELD, own] += 1
    q.amounts[HELD_BYTES, own] += packet.size
    if link.kind == _FQ:
        following, status = q.counts[FOLLOWING], q.counts[STATUS]
        fq_join(own, link.quantum, q.amounts[CREDIT], following, status, q.marks, MARKS * link.queue_first)


@jit
def _head(s: State, index: int, own: int, size: float) -> None:
    """A packet of `size` has become the head of queue `own`."""
    q, link = s.queues, s.links[index]
    q.amounts[HEAD_BYTES, own] = size
    if link.kind == _WFQ:
        wfq_head(own, size, q.amounts[SHARE, own], q.amounts[CREDIT], q.control, CONTROL * link.queue_first)
    elif link.kind == _STRIDE:
        stride_head(own, size, q.amounts[SHARE, own], q.amounts[CREDIT])


@jit
def _pick(s: State, index: int) -> int:
    """The queue to serve, -1 if nothing waits."""
    link, q = s.links[index], s.queues
    first, queues, marks = link.queue_first, link.queues, MARKS * link.queue_first
    waiting, heads, shares, credit = q.counts[WAIT], q.amounts[HEAD_BYTES], q.amounts[SHARE], q.amounts[CREDIT]
    if link.kind in (_WFQ, _STRIDE):
        return int(wfq_pick(waiting, credit, q.control, CONTROL * first, first, queues))
    if link.kind == _DRR:
        return int(drr_pick(waiting, heads, shares, credit, q.marks, marks, first, queues))
    if link.kind == _POLLING:
        return int(polling_pick(waiting, heads, shares, credit, q.marks, marks, first, queues))
    if link.kind == _FQ:
        return int(fq_pick(link.quantum, waiting, credit, q.counts[FOLLOWING], q.counts[STATUS], q.marks, marks))
    return int(priority_pick(waiting, first, queues))


@jit
def _take(s: State, index: int, own: int) -> int:
    """Take the head out of queue `own`; its slot."""
    q = s.queues
    slot = q.counts[HEAD, own]
    packet = s.packets[slot]
    q.counts[WAIT, own] -= 1
    q.amounts[WAIT_BYTES, own] = q.amounts[WAIT_BYTES, own] - packet.size if q.counts[WAIT, own] > 0 else 0.0
    q.counts[HEAD, own] = packet.next
    if q.counts[WAIT, own] > 0:
        _head(s, index, own, s.packets[packet.next].size)
    return int(slot)


@jit
def _let_go(s: State, own: int, size: float) -> None:
    q = s.queues
    q.counts[HELD, own] -= 1
    q.amounts[HELD_BYTES, own] = q.amounts[HELD_BYTES, own] - size if q.counts[HELD, own] > 0 else 0.0


@jit
def _controlled(s: State, link: Any, own: int, packet: Any, now: float) -> bool:
    """Whether CoDel drops a packet that was taken out of queue `own`."""
    if link.kind not in (_CODEL, _FQ):
        return False
    q, sojourn = s.queues, now - packet.joined
    behind = q.amounts[WAIT_BYTES, own]
    return bool(codel(now, sojourn, behind, link.target, link.interval, q.control, CONTROL * own))


@jit
def serve(s: State, index: int, now: float) -> None:
    """Begin the service of the packet whose turn it is, if any."""
    link = s.links[index]
    own = _pick(s, index)
    while own >= 0:
        slot = _take(s, index, own)
        packet = s.packets[slot]
        if not _controlled(s, link, own, packet, now):
            _begin(s, index, own, slot, now)
            break
        _let_go(s, own, packet.size)
        _hold(link, -1, now)
        link.dropped += 1
        discard(s, slot, DROPPED, now)
        own = _pick(s, index)


@jit
def _begin(s: State, index: int, own: int, slot: int, now: float) -> None:
    link, packet = s.links[index], s.packets[slot]
    if link.kind == _FQ:
        fq_charge(own, packet.size, s.queues.amounts[CREDIT])
    packet.place, packet.started = SERVED, now
    packet.left = service_end(s, index, packet, now)
    link.busy += 1
    schedule(s, packet.left, slot, 1)


@jit
def depart(s: State, slot: int, now: float) -> None:
    """The service of the packet in `slot` ends."""
    packet = s.packets[slot]
    index = s.routes[packet.cursor - 1]
    port, link = s.ports[index], s.links[index]
    _let_go(s, _queue_of(s, link, packet), packet.size)
    _hold(link, -1, now)
    link.busy -= 1
    port.bytes += packet.size
    port.waiting += packet.started - packet.joined
    port.service += now - packet.started
    packet.place = FLYING
    fly(s, index, slot, now)
    serve(s, index, now)
