"""From the kernel's sums to `Results`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meshsim.sim.kernel.network import FlowResults, LinkResults, PacketLog, Results
from meshsim.sim.kernel.state import FREE, PASSING, SERVED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.sim.kernel.state import Records, State


class LinkSums(NamedTuple):
    """What links did from the start up to an instant; arrays have shape (E,).

    Attributes:
        offered, sent, dropped, lost: Packets.
        sent_bytes: Bytes.
        waiting, service: Seconds that the packets sent spent, summed.
        busy: Seconds of servers at work.
        area: Integral of the number of packets over time.
    """

    offered: NDArray[np.int64]
    sent: NDArray[np.int64]
    dropped: NDArray[np.int64]
    lost: NDArray[np.int64]
    sent_bytes: NDArray[np.float64]
    waiting: NDArray[np.float64]
    service: NDArray[np.float64]
    busy: NDArray[np.float64]
    area: NDArray[np.float64]


def link_sums(state: State, now: float) -> LinkSums:
    """The sums at `now`. A FIFO sums a packet up when it is accepted: those that leave no earlier are taken out."""
    ports, links = state.ports[: state.run["links"][0]], state.links[: state.run["links"][0]]
    packets = state.packets[state.packets["place"] != FREE]
    at = state.routes[packets["cursor"] - 1]

    def per_link(chosen: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(at[chosen], values[chosen], len(links)).astype(np.float64)

    here = (packets["place"] == PASSING) & (packets["left"] >= now)
    begun = here | (packets["place"] == SERVED)
    waiting = ports["waiting"] - per_link(here, packets["started"] - packets["joined"])
    service = ports["service"] - per_link(here, packets["left"] - packets["started"])
    inside = per_link(here, np.ones(len(packets)))
    passed = waiting + service + per_link(here, now - packets["joined"])
    queued = links["queued"] != 0
    held = np.where(queued, links["held"], inside).astype(np.int64)
    return LinkSums(
        offered=ports["offered"].copy(),
        sent=ports["offered"] - links["dropped"] - links["lost"] - held,
        dropped=links["dropped"].copy(),
        lost=links["lost"].copy(),
        sent_bytes=ports["bytes"] - per_link(here, packets["size"]),
        waiting=waiting,
        service=service,
        busy=service + per_link(begun, np.maximum(now - packets["started"], 0.0)),
        area=np.where(queued, links["area"] + links["held"] * (now - links["changed"]), passed),
    )


def _ratio(values: NDArray[np.float64], numbers: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Means; NaN of nothing."""
    whole = np.full(len(values), np.nan)
    np.divide(values, numbers, out=whole, where=numbers > 0)
    return whole


def link_results(state: State, before: LinkSums, since: float, now: float) -> LinkResults:
    """What links did in [since, now), of which `before` was done earlier."""
    sums = link_sums(state, now)
    done = LinkSums(*(after - _padded(earlier, len(after)) for after, earlier in zip(sums, before, strict=True)))
    span = np.full(len(done.sent), max(now - since, 0.0))
    return LinkResults(
        offered=done.offered,
        sent=done.sent,
        dropped=done.dropped,
        lost=done.lost,
        sent_bytes=done.sent_bytes,
        busy=_ratio(done.busy, span * state.links["servers"][: len(span)]),
        waiting_mean=_ratio(done.waiting, done.sent),
        sojourn_mean=_ratio(done.waiting + done.service, done.sent),
        number_mean=_ratio(done.area, span),
    )


def _padded(values: NDArray[Any], length: int) -> NDArray[Any]:
    """`values` with zeros for links that were added since."""
    return np.concatenate([values, np.zeros(length - len(values), dtype=values.dtype)])


def flow_results(flows: Records) -> FlowResults:
    """What became of the packets of flows."""
    number = flows["delivered"]
    excess = _ratio(flows["delay_sum"], number)
    some = np.where(number > 0, 0.0, np.nan)
    return FlowResults(
        **{name: flows[name].copy() for name in _COUNTS},
        delay_mean=flows["delay_first"] + excess,
        delay_variance=np.maximum(_ratio(flows["delay_squares"], number) - excess * excess, 0.0),
        delay_min=flows["delay_min"] + some,
        delay_max=flows["delay_max"] + some,
        jitter=flows["jitter"] + some,
    )


_COUNTS = ("sent", "delivered", "dropped", "lost", "duplicated", "sent_bytes", "delivered_bytes")


def packet_log(rows: Records) -> PacketLog:
    """The log in order of leaving; ties in order of setting out."""
    order = np.lexsort((rows["fate"], rows["number"], rows["flow"], rows["sent"], rows["left"]))
    return PacketLog(**{name: rows[name][order] for name in ("flow", "number", "sent", "left", "fate")})


def results(state: State, before: LinkSums, now: float) -> Results:
    """What a run has measured up to `now`."""
    run = state.run[0]
    return Results(
        flows=flow_results(state.flows[: run["flows"]]),
        links=link_results(state, before, float(run["measure_from"]), now),
        in_flight=int(run["inside"]),
        hops=int(run["hops"]),
        log=packet_log(state.log[: run["rows"]]) if len(state.log) else None,
    )
