"""When a flow's next packet sets out, and how big a packet is; compiled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from meshsim.links import delay
from meshsim.sim.kernel.draws import draw
from meshsim.sim.kernel.jit import jit, link_step
from meshsim.sim.kernel.state import ARRIVALS, SIZES

if TYPE_CHECKING:
    from meshsim.sim.kernel.state import State

exponential = link_step(delay.exponential)

_CBR, _ON_OFF, _TIMES = ARRIVALS["cbr"], ARRIVALS["on_off"], ARRIVALS["times"]
_EXPONENTIAL, _LISTED, _EACH = SIZES["exponential"], SIZES["listed"], SIZES["each"]


@jit
def _gap(s: State, flow: Any) -> float:
    u = draw(s.streams, flow.gap_stream, flow.gaps)
    flow.gaps += 1
    return exponential(u, 1.0 / flow.rate, flow.cap)


@jit
def begin_period(s: State, flow: Any, start: float) -> float:
    """Begin an on period at `start`, which its first packet sets out at."""
    flow.period_end = start + exponential(draw(s.streams, flow.on_stream, flow.periods), flow.on, 0.0)
    return start


@jit
def _on_off(s: State, flow: Any, now: float) -> float:
    later = now + (flow.left if flow.steady != 0 else _gap(s, flow))
    flow.left = 1.0 / flow.rate if later < flow.period_end else later - flow.period_end
    if later < flow.period_end:
        return later
    off = exponential(draw(s.streams, flow.off_stream, flow.periods), flow.off, 0.0)
    flow.periods += 1
    return begin_period(s, flow, flow.period_end + off)


@jit
def following(s: State, flow: Any, now: float) -> float:
    """When packet `flow.number` would set out, after one that set out at `now`; infinite for never."""
    if flow.arrivals == _TIMES:
        place = flow.times_first + flow.number
        return float(s.pool[place]) if place < flow.times_stop else math.inf
    if flow.rate == 0.0:
        return math.inf
    if flow.arrivals == _CBR:
        return float(flow.anchor + (flow.number - flow.anchored) / flow.rate)
    if flow.arrivals == _ON_OFF:
        return _on_off(s, flow, now)
    return now + _gap(s, flow)


@jit
def opening(s: State, flow: Any, start: float) -> float:
    """When the first packet of a flow that starts at `start` sets out."""
    if flow.rate > 0.0 and flow.arrivals == _CBR:
        flow.anchor = start + draw(s.streams, flow.gap_stream, 0) / flow.rate
        flow.anchored = flow.number
    if flow.rate > 0.0 and flow.arrivals == _ON_OFF:
        flow.left = draw(s.streams, flow.gap_stream, 0) / flow.rate
        return begin_period(s, flow, start)
    return following(s, flow, start)


@jit
def change_rate(s: State, flow: Any, rate: float, now: float) -> None:
    """Give a flow another rate: what is left of the gap that runs scales with the mean gap (not for on-off flows)."""
    old, flow.rate = flow.rate, rate
    begin = max(now, flow.start)
    if rate == 0.0:
        flow.next = math.inf
    elif old == 0.0:
        flow.periods += 1
        flow.next = opening(s, flow, begin)
    elif flow.arrivals != _ON_OFF:
        flow.next = begin + (flow.next - begin) * (old / rate)
        flow.anchor, flow.anchored = flow.next, flow.number


@jit
def packet_size(s: State, flow: Any) -> float:
    """Bytes of packet `flow.number`."""
    if flow.sizes == _EXPONENTIAL:
        return exponential(draw(s.streams, flow.size_stream, flow.number), flow.size, 0.0)
    if flow.sizes == _EACH:
        return float(s.pool[flow.sizes_first + flow.number % flow.sizes_count])
    if flow.sizes == _LISTED:
        return _listed(s, flow, draw(s.streams, flow.size_stream, flow.number))
    return float(flow.size)


@jit
def _listed(s: State, flow: Any, u: float) -> float:
    """Sizes stand first in the slice, their cumulative shares after them."""
    last = flow.sizes_count - 1
    place = 0
    while place < last and u >= s.pool[flow.sizes_first + flow.sizes_count + place]:
        place += 1
    return float(s.pool[flow.sizes_first + place])
