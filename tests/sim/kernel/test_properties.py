"""What holds for any network: nothing vanishes, Little's law, and time that is cut anywhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.sim.kernel import Kernel, run_network
from meshsim.sim.kernel.network import Arrivals, Jitter, Loss, Network, PacketFlow, PacketLink, Queue, Sizes

_UNTIL = 1.5

_LIMITS = {
    "limit_packets": st.sampled_from([0, 0, 1, 5]),
    "limit_bytes": st.sampled_from([math.inf, 6000.0]),
    "limit_seconds": st.sampled_from([math.inf, 0.05]),
    "weights": st.just((2.0, 1.0)),
    "target": st.sampled_from([0.005, 0.05]),
    "red": st.just((1.0, 4.0, 0.2, 0.1)),
}
_QUEUES = st.one_of(
    st.builds(Queue, kind=st.sampled_from(["fifo", "red", "codel", "fq_codel"]), **_LIMITS),
    st.builds(
        Queue,
        kind=st.sampled_from(["priority", "wfq", "drr", "stride", "polling"]),
        queue_of_class=st.just((0, 1)),
        **_LIMITS,
    ),
)
_LOSSES = st.one_of(
    st.just(Loss()),
    st.builds(Loss, kind=st.just("bernoulli"), probability=st.floats(0, 1)),
    st.builds(Loss, kind=st.just("gilbert_elliott"), p=st.floats(0, 1), r=st.floats(0, 1), good_loss=st.just(0.01)),
    st.just(Loss(kind="trace", trace=(0, 0, 1))),
)
_JITTERS = st.one_of(
    st.just(Jitter()),
    st.builds(
        Jitter,
        kind=st.sampled_from(["exponential", "normal", "uniform", "pareto", "gamma"]),
        scale=st.floats(0, 0.05),
        reorders=st.booleans(),
    ),
)


def one_server_for_red(*, queue: Queue, servers: int, **more: Any) -> PacketLink:
    return PacketLink(queue=queue, servers=1 if queue.kind == "red" else servers, **more)


_LINKS = st.builds(
    one_server_for_red,
    rate_bps=st.sampled_from([2e5, 1e6, 1e7]),
    propagation=st.sampled_from([0.0, 0.001, 0.03]),
    queue=_QUEUES,
    servers=st.sampled_from([1, 1, 1, 3]),
    redraw=st.sampled_from([0.0, 0.0, 0.01]),
    loss=_LOSSES,
    jitter=_JITTERS,
    duplicate=st.sampled_from([0.0, 0.0, 0.2]),
) | st.builds(PacketLink, rate_bps=st.sampled_from([5e5, 1e7]), propagation=st.sampled_from([0.0, 0.02]))
_ARRIVALS = st.one_of(
    st.builds(Arrivals, kind=st.sampled_from(["poisson", "cbr"]), rate=st.floats(0, 150)),
    st.just(Arrivals(kind="on_off", rate=100.0, on=0.2, off=0.1)),
    st.builds(lambda times: Arrivals(kind="times", times=tuple(sorted(times))), st.lists(st.floats(0, 1), max_size=30)),
)
_SIZES = st.sampled_from(
    [Sizes(mean=300.0), Sizes(kind="exponential"), Sizes(kind="listed", values=(60.0, 1500.0), shares=(0.5, 0.5))],
)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    links = draw(st.lists(_LINKS, min_size=1, max_size=4))
    routes = st.lists(st.integers(0, len(links) - 1), min_size=1, max_size=5).map(tuple)
    starts = st.sampled_from([0.0, 0.2])
    flows = st.builds(
        PacketFlow,
        route=routes,
        arrivals=_ARRIVALS,
        sizes=_SIZES,
        klass=st.integers(0, 2),
        start=starts,
        stop=st.just(1.2),
    )
    return Network(links=tuple(links), flows=tuple(draw(st.lists(flows, max_size=4))))


def columns(log) -> list:
    return [getattr(log, name).tolist() for name in ("flow", "number", "sent", "left", "fate")]


@given(network=networks(), seed=st.integers(0, 5))
def test_what_was_sent_was_delivered_dropped_or_lost_or_is_in_flight(network, seed) -> None:
    result = run_network(network, seed=seed, until=0.7)
    flows, links = result.flows, result.links
    gone = flows.delivered + flows.dropped + flows.lost
    assert flows.sent.sum() == gone.sum() + result.in_flight
    assert (gone <= flows.sent).all()
    assert (links.sent + links.dropped + links.lost <= links.offered).all()


@given(network=networks(), seed=st.integers(0, 5))
def test_an_emptied_network_holds_nothing_and_obeys_littles_law(network, seed) -> None:
    kernel = Kernel(network, seed=seed)
    kernel.advance(math.inf)
    kernel.advance(kernel.now + 1.0)
    result = kernel.results()
    links = result.links
    assert result.in_flight == 0
    assert np.array_equal(links.offered, links.sent + links.dropped + links.lost)
    # Packets that CoDel takes out of the queue waited too, without being sent.
    codel = np.array([link.queue.kind in ("codel", "fq_codel") for link in network.links])
    exact = (links.sent > 0) & ~(codel & (links.dropped > 0))
    time_in_link = links.sojourn_mean * links.sent / kernel.now
    assert links.number_mean[exact] == pytest.approx(time_in_link[exact], rel=1e-9)
    servers = np.array([link.servers for link in network.links])
    in_service = (links.sojourn_mean - links.waiting_mean) * links.sent / kernel.now / servers
    assert links.busy[links.sent > 0] == pytest.approx(in_service[links.sent > 0], rel=1e-6, abs=1e-12)


@settings(max_examples=60)
@given(network=networks(), cuts=st.lists(st.floats(0, _UNTIL), max_size=8), data=st.data())
def test_time_may_be_cut_anywhere(network, cuts, data) -> None:
    measure_from = data.draw(st.sampled_from([0.0, 0.3]))
    whole = run_network(network, until=_UNTIL, measure_from=measure_from, log=True)
    kernel = Kernel(network, measure_from=measure_from, log=True)
    for cut in [*sorted(cuts), _UNTIL]:
        kernel = kernel.copy()
        kernel.advance(cut)
    result = kernel.results()
    assert columns(result.log) == columns(whole.log)
    for part in ("flows", "links"):
        for name in getattr(whole, part).__slots__:
            one, other = getattr(getattr(whole, part), name), getattr(getattr(result, part), name)
            assert np.array_equal(one, other, equal_nan=True), name


@settings(max_examples=60)
@given(network=networks())
def test_no_packet_is_faster_than_light_and_the_log_says_what_the_counters_say(network) -> None:
    result = run_network(network, until=_UNTIL, log=True)
    log, flows = result.log, result.flows
    for index, flow in enumerate(network.flows):
        own = log.flow == index
        arrived = own & ((log.fate == 0) | (log.fate == 3))
        floor = sum(network.links[link].propagation for link in flow.route)
        assert (log.left[arrived] - log.sent[arrived] >= floor - 1e-12).all()
        counts = [int((own & (log.fate == fate)).sum()) for fate in range(4)]
        assert counts == [getattr(flows, name)[index] for name in ("delivered", "dropped", "lost", "duplicated")]
        delays = (log.left - log.sent)[own & (log.fate == 0)]
        if len(delays):
            assert flows.delay_mean[index] == pytest.approx(delays.mean())
            assert flows.delay_variance[index] == pytest.approx(delays.var(), rel=1e-6, abs=1e-15)
    assert (np.diff(log.left) >= 0.0).all()


@settings(max_examples=60)
@given(network=networks(), rate=st.floats(0, 300))
def test_a_what_if_leaves_the_world_as_it_was(network, rate) -> None:
    whole = run_network(network, until=_UNTIL, log=True)
    kernel = Kernel(network, log=True)
    kernel.advance(0.6)
    for size in (200.0, 1200.0):
        twin = kernel.copy()
        twin.open(PacketFlow(route=(0,), arrivals=Arrivals(rate=rate), sizes=Sizes(mean=size)))
        twin.advance(1.0)
    kernel.advance(_UNTIL)
    assert columns(kernel.results().log) == columns(whole.log)
