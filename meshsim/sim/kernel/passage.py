"""How a packet passes a link with a FIFO, by the functions of `meshsim.links`; compiled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from meshsim.links import aqm, delay, loss, queue, rate
from meshsim.sim.kernel.draws import draw
from meshsim.sim.kernel.jit import jit, link_step
from meshsim.sim.kernel.packets import discard, schedule, take_slot
from meshsim.sim.kernel.sources import exponential
from meshsim.sim.kernel.state import CONTROL, DROPPED, FLYING, LOSSES, LOST, NONE, PASSING, QUEUES

if TYPE_CHECKING:
    from meshsim.sim.kernel.state import State

admits = link_step(queue.admits)
bernoulli = link_step(loss.bernoulli)
fifo = link_step(queue.fifo)
gilbert_elliott = link_step(loss.gilbert_elliott)
jitter_delay = link_step(delay.jitter_delay)
lost_in_trace = link_step(loss.lost_in_trace)
ordered = link_step(delay.ordered)
red = link_step(aqm.red)
transmit = link_step(rate.transmit)

_BERNOULLI, _GILBERT = LOSSES["bernoulli"], LOSSES["gilbert_elliott"]
_RED = QUEUES["red"]


@jit
def carry(port: Any, packet: Any, now: float) -> float:
    """A packet through a plain FIFO: only serialisation and propagation. When it arrives."""
    started = max(now, port.free_at)
    departure, port.free_at, _ = fifo(now, packet.size, port.rate, port.free_at, math.inf)
    packet.joined = now
    _account(port, packet, started, departure)
    packet.place = PASSING
    packet.cursor += 1
    port.offered += 1
    return float(departure + port.propagation)


@jit
def _account(port: Any, packet: Any, started: float, departure: float) -> None:
    """Take a packet with a departure into its link's sums."""
    packet.started, packet.left = started, departure
    port.bytes += packet.size
    port.waiting += started - packet.joined
    port.service += departure - started


@jit
def channel_loses(s: State, link: Any, n: int) -> bool:
    """Whether the channel loses packet `n`."""
    if link.loss == _BERNOULLI:
        return bool(bernoulli(draw(s.streams, link.loss_stream, n), link.p))
    if link.loss == _GILBERT:
        u_state, u_loss = draw(s.streams, link.loss_stream, 2 * n), draw(s.streams, link.loss_stream, 2 * n + 1)
        bad, lost = gilbert_elliott(link.bad != 0, u_state, u_loss, link.p, link.r, link.good_loss, link.bad_loss)
        link.bad = 1 if bad else 0
        return bool(lost)
    return bool(lost_in_trace(n, s.pool, link.loss_first, link.loss_count))


@jit
def service_end(s: State, index: int, packet: Any, started: float) -> float:
    """When the service at link `index` that began at `started` ends."""
    link = s.links[index]
    if link.redraw > 0.0:
        return started + exponential(draw(s.streams, link.service_stream, packet.offer), link.redraw, 0.0)
    if link.rate_count > 0:
        first, count = link.rate_first, link.rate_count
        times, values = s.pool[first : first + count], s.pool[first + count : first + 2 * count]
        carried = s.pool[first + 2 * count : first + 3 * count]
        return float(transmit(started, packet.size * 8.0, times, values, carried, 0, count))
    return float(started + packet.size * 8.0 / s.ports[index].rate)


@jit
def fly(s: State, index: int, slot: int, departure: float) -> None:
    """Schedule the arrival of a packet that leaves link `index` at `departure`, and its duplicate's."""
    link, packet = s.links[index], s.packets[slot]
    arrival = departure + s.ports[index].propagation
    if link.jitter != 0:
        u = draw(s.streams, link.jitter_stream, packet.offer) if link.jitter_stream != NONE else 0.0
        first, count = link.jitter_first, link.jitter_count
        arrival += jitter_delay(link.jitter, u, packet.offer, link.scale, link.shape, s.pool, first, count)
    if link.reorders == 0:
        arrival = ordered(arrival, link.last_arrival)
        link.last_arrival = arrival
    schedule(s, arrival, slot, 0)
    if link.duplicate > 0.0 and draw(s.streams, link.duplicate_stream, packet.offer) < link.duplicate:
        _duplicate(s, packet, arrival)


@jit
def _duplicate(s: State, packet: Any, arrival: float) -> None:
    slot = take_slot(s)
    twin = s.packets[slot]
    twin.sent, twin.size, twin.flow, twin.number = packet.sent, packet.size, packet.flow, packet.number
    twin.cursor, twin.next = packet.cursor, NONE
    twin.place, twin.counted, twin.copy = FLYING, 0, 1
    schedule(s, arrival, slot, 0)


@jit
def forget(s: State, link: Any, now: float) -> None:
    """Let go of the packets of a FIFO that have left by `now`."""
    while link.head != NONE and s.packets[link.head].left <= now:
        packet = s.packets[link.head]
        link.held -= 1
        link.held_bytes = link.held_bytes - packet.size if link.held > 0 else 0.0
        link.head = packet.next
        packet.counted = 0


@jit
def _remember(s: State, link: Any, slot: int) -> None:
    packet = s.packets[slot]
    packet.counted, packet.next = 1, NONE
    if link.head == NONE:
        link.head = slot
    else:
        s.packets[link.tail].next = slot
    link.tail = slot
    link.held += 1
    link.held_bytes += packet.size


@jit
def _refuses(s: State, index: int, packet: Any, now: float) -> bool:
    """Whether the queue of link `index` refuses a packet. RED hears of every packet, before the limits do."""
    port, link = s.ports[index], s.links[index]
    early = False
    if link.kind == _RED:
        u, typical = draw(s.streams, link.red_stream, packet.offer), packet.size * 8.0 / port.rate
        rule = (link.red_least, link.red_most, link.red_largest, link.red_weight)
        early = red(now, link.held, port.free_at, typical, u, rule, s.queues.control, CONTROL * link.queue_first)
    wait = max(0.0, port.free_at - now)
    limits = link.limit_packets, link.limit_bytes, link.limit_seconds
    return early or not admits(link.held, link.held_bytes, wait, packet.size, *limits)


@jit
def pass_fifo(s: State, index: int, slot: int, now: float) -> None:
    """The packet in `slot` through a FIFO with one server: departure, arrival and duplicate are settled at once."""
    port, link, packet = s.ports[index], s.links[index], s.packets[slot]
    if port.counted != 0:
        forget(s, link, now)
    if _refuses(s, index, packet, now):
        link.dropped += 1
        discard(s, slot, DROPPED, now)
        return
    started = max(now, port.free_at)
    port.free_at = service_end(s, index, packet, started)
    _account(port, packet, started, port.free_at)
    packet.place = PASSING
    if port.counted != 0:
        _remember(s, link, slot)
    fly(s, index, slot, port.free_at)


@jit
def lose(s: State, link: Any, slot: int, now: float) -> None:
    """The channel of `link` loses the packet in `slot`."""
    link.lost += 1
    discard(s, slot, LOST, now)
