"""The compiled kernel and the Python core give every packet the same fate at the same instant, on the same draws."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.mesh.errors import ConfigError
from meshsim.sim.kernel import run_network
from meshsim.sim.kernel.network import (
    Arrivals,
    Jitter,
    Loss,
    Network,
    PacketFlow,
    PacketLink,
    Queue,
    Results,
    Sizes,
)
from meshsim.sim.packets import run_core

POISSON = Arrivals(kind="poisson", rate=90.0)
BURSTS = Arrivals(kind="on_off", rate=200.0, on=0.2, off=0.3, cap=10.0)
VOICE = Arrivals(kind="cbr", rate=50.0)
MIXED = Sizes(kind="listed", values=(160.0, 1200.0), shares=(0.4, 0.6))
CHANGING = {"rate_bps": 1e3, "rate_trace": (0.0, 0.5, 0.8, 1.3), "rate_values": (2e6, 0.0, 8e5, 0.0)}
WEIGHTS = {"queue_of_class": (0, 1, 2), "weights": (3.0, 2.0, 1.0), "limit_packets": 12}


def link(**more: object) -> PacketLink:
    return PacketLink(**{"rate_bps": 1e6, "propagation": 0.01, **more})


def flows(*routes: tuple[int, ...]) -> tuple[PacketFlow, ...]:
    """Three kinds of flows in three classes on each route."""
    kinds = ((POISSON, MIXED), (VOICE, Sizes(mean=200.0)), (BURSTS, Sizes(kind="exponential", mean=400.0)))
    return tuple(
        PacketFlow(route=route, arrivals=arrivals, sizes=sizes, klass=klass, start=0.1 * klass, stop=5.0)
        for route in routes
        for klass, (arrivals, sizes) in enumerate(kinds)
    )


def chain(*links: PacketLink) -> Network:
    """All links in a row, with cross traffic on each."""
    return Network(links=links, flows=flows(tuple(range(len(links))), *((i,) for i in range(len(links)))))


NETWORKS = {
    "plain": chain(link(), link(rate_bps=2e6), link()),
    "limits": chain(
        link(queue=Queue(limit_packets=5)),
        link(queue=Queue(limit_bytes=3000.0)),
        link(queue=Queue(limit_seconds=0.02)),
    ),
    "channels": chain(
        link(loss=Loss(kind="bernoulli", probability=0.1), jitter=Jitter(kind="exponential", scale=0.01)),
        link(
            loss=Loss(kind="gilbert_elliott", p=0.05, r=0.3, good_loss=0.01, bad_loss=0.7),
            jitter=Jitter(kind="gamma", scale=0.01, shape=0.7, reorders=True),
        ),
        link(
            loss=Loss(kind="trace", trace=(0, 0, 1, 0, 1, 1, 0)),
            jitter=Jitter(kind="trace", trace=(0.0, 0.02, 0.001)),
            duplicate=0.2,
        ),
    ),
    "jitters": chain(
        link(jitter=Jitter(kind="normal", scale=0.01, reorders=True), duplicate=0.1),
        link(jitter=Jitter(kind="uniform", scale=0.03)),
        link(jitter=Jitter(kind="pareto", scale=0.01, shape=2.5, reorders=True)),
    ),
    "servers": chain(link(servers=3, rate_bps=4e5), link(servers=2, redraw=0.008, queue=Queue(limit_packets=6))),
    "redrawn": chain(link(redraw=0.003), link(redraw=0.002, queue=Queue(limit_packets=20))),
    "red": chain(link(queue=Queue(kind="red", red=(2.0, 6.0, 0.2, 0.05))), link(queue=Queue(kind="red"))),
    "codel": chain(link(queue=Queue(kind="codel"), rate_bps=7e5), link(queue=Queue(kind="codel", limit_packets=30))),
    "fq_codel": chain(link(queue=Queue(kind="fq_codel", buckets=4), rate_bps=7e5), link(queue=Queue(kind="fq_codel"))),
    "priority": chain(link(queue=Queue(kind="priority", **WEIGHTS), rate_bps=8e5), link()),
    "wfq": chain(link(queue=Queue(kind="wfq", **WEIGHTS), rate_bps=8e5), link()),
    "drr": chain(link(queue=Queue(kind="drr", quantum=700.0, **WEIGHTS), rate_bps=8e5), link()),
    "stride": chain(link(queue=Queue(kind="stride", **WEIGHTS), rate_bps=8e5), link()),
    "polling": chain(link(queue=Queue(kind="polling", quantum=700.0, **WEIGHTS), rate_bps=8e5), link()),
    "changing rate": chain(
        link(rate_trace=(0.0, 0.5, 0.8, 1.3), rate_values=(2e6, 0.0, 8e5, 0.0)),
        link(rate_trace=(0.0, 1.0, 2.0), rate_values=(4e5, 3e6, 0.0), queue=Queue(kind="codel")),
    ),
    "limits under a changing rate": chain(  # a rate that a trace overrides is not looked at
        link(**CHANGING, queue=Queue(kind="codel", limit_seconds=0.02)),
        link(**CHANGING, queue=Queue(kind="red", red=(2.0, 6.0, 0.2, 0.05))),
        link(**CHANGING, queue=Queue(limit_seconds=0.02)),
    ),
}


def assert_equal(ours: Results, theirs: Results) -> None:
    """Every packet alike to the bit, every number to rounding."""
    assert ours.log is not None
    assert theirs.log is not None
    for field in dataclasses.fields(ours.log):
        np.testing.assert_array_equal(getattr(ours.log, field.name), getattr(theirs.log, field.name), field.name)
    for part in ("flows", "links"):
        for field in dataclasses.fields(getattr(ours, part)):
            one, other = getattr(getattr(ours, part), field.name), getattr(getattr(theirs, part), field.name)
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=f"{part}.{field.name}")
            assert one.dtype == other.dtype
    assert (ours.in_flight, ours.hops) == (theirs.in_flight, theirs.hops)


def assert_engines_agree(network: Network, seed: int, until: float, measure_from: float) -> Results:
    core = run_core(network, seed=seed, until=until, measure_from=measure_from, log=True)
    assert_equal(core, run_network(network, seed=seed, until=until, measure_from=measure_from, log=True))
    return core


@pytest.mark.parametrize("name", NETWORKS)
def test_both_engines_give_every_packet_the_same_fate(name: str) -> None:
    done = assert_engines_agree(NETWORKS[name], seed=3, until=4.0, measure_from=0.5)
    assert done.flows.delivered.sum() > 500
    assert done.in_flight > 0  # the run ends amid traffic: what is under way is counted alike


@pytest.mark.parametrize("name", ["limits", "channels", "red", "codel", "fq_codel", "wfq", "drr", "servers"])
def test_the_networks_do_lose_what_they_are_meant_to_lose(name: str) -> None:
    done = run_core(NETWORKS[name], seed=3, until=4.0)
    assert (done.flows.dropped + done.flows.lost).sum() > 5


def test_packets_that_set_out_at_one_instant_go_in_the_order_of_their_flows() -> None:
    at_once = Arrivals(kind="times", times=(0.0, 0.5, 0.5, 1.0))
    network = Network(
        links=(link(), link(propagation=0.0)),
        flows=tuple(PacketFlow(route=route, arrivals=at_once) for route in ((0,), (0, 1), (0,), (1, 0))),
    )
    done = assert_engines_agree(network, seed=1, until=3.0, measure_from=0.0)
    assert done.flows.delivered.tolist() == [4, 4, 4, 4]
    np.testing.assert_allclose(done.flows.delay_min[[0, 2]], [0.02, 0.04])


def test_what_happens_at_the_end_of_a_run_is_left_by_both() -> None:
    network = Network(
        links=(link(),), flows=(PacketFlow(route=(0,), arrivals=Arrivals(kind="times", times=(0.0, 1.0, 2.0))),)
    )
    assert (
        assert_engines_agree(network, seed=1, until=1.02, measure_from=0.0).in_flight == 1
    )  # it would arrive just then
    assert assert_engines_agree(network, seed=1, until=1.0, measure_from=0.5).flows.sent.tolist() == [0]
    assert np.isnan(assert_engines_agree(network, seed=1, until=1.0, measure_from=2.0).links.busy).all()
    assert assert_engines_agree(network, seed=1, until=0.01, measure_from=0.0).links.sent.tolist() == [0]  # left then


def test_a_run_without_end_goes_on_in_both_until_nothing_happens_any_more() -> None:
    network = Network(
        links=(link(), link(servers=2)),
        flows=(PacketFlow(route=(0, 1), arrivals=POISSON, stop=1.0), *flows((1,))),
    )
    done = assert_engines_agree(network, seed=1, until=math.inf, measure_from=0.5)
    assert done.in_flight == 0
    assert (done.links.busy > 0.0).all()
    endless = Network(links=(link(),), flows=(PacketFlow(route=(0,), arrivals=VOICE),))
    for engine in (run_core, run_network):
        with pytest.raises(ConfigError, match="flow 0 never ends"):
            engine(endless, until=math.inf)


queues = st.one_of(
    st.builds(
        Queue,
        kind=st.sampled_from(["fifo", "codel", "red"]),
        limit_packets=st.sampled_from([0, 1, 4]),
        limit_bytes=st.sampled_from([float("inf"), 2500.0]),
        limit_seconds=st.sampled_from([float("inf"), 0.03]),
        red=st.just((1.0, 4.0, 0.3, 0.1)),
    ),
    st.builds(
        Queue,
        kind=st.sampled_from(["priority", "wfq", "drr", "stride", "polling"]),
        limit_packets=st.sampled_from([0, 3]),
        limit_seconds=st.sampled_from([float("inf"), 0.03]),
        queue_of_class=st.sampled_from([(), (0, 1), (1, 0, 1)]),
        weights=st.sampled_from([(1.0, 1.0), (1.0, 5.0)]),
        quantum=st.sampled_from([300.0, 1514.0]),
    ),
    st.builds(Queue, kind=st.just("fq_codel"), buckets=st.sampled_from([1, 3]), target=st.sampled_from([0.001, 0.02])),
)
losses = st.one_of(
    st.just(Loss()),
    st.builds(Loss, kind=st.just("bernoulli"), probability=st.floats(0.0, 0.5)),
    st.builds(Loss, kind=st.just("gilbert_elliott"), p=st.floats(0.01, 0.5), r=st.floats(0.1, 1.0)),
)
jitters = st.builds(
    Jitter,
    kind=st.sampled_from(["none", "exponential", "normal", "uniform", "pareto", "gamma"]),
    scale=st.floats(0.0, 0.02),
    shape=st.floats(1.1, 3.0),
    reorders=st.booleans(),
)


def any_link(*, queue: Queue, servers: int, changing: dict[str, object], **more: object) -> PacketLink:
    """RED has one server."""
    return PacketLink(**{**more, **changing, "queue": queue, "servers": 1 if queue.kind == "red" else servers})


links = st.builds(
    any_link,
    rate_bps=st.sampled_from([2e5, 1e6]),
    propagation=st.sampled_from([0.0, 0.01]),
    queue=queues,
    servers=st.sampled_from([1, 1, 2]),
    changing=st.sampled_from([{}, {}, CHANGING]),
    redraw=st.sampled_from([0.0, 0.0, 0.01]),
    loss=losses,
    jitter=jitters,
    duplicate=st.sampled_from([0.0, 0.0, 0.3]),
)
arrivals = st.one_of(
    st.builds(Arrivals, kind=st.just("poisson"), rate=st.floats(0.0, 60.0), cap=st.sampled_from([0.0, 2.0])),
    st.builds(Arrivals, kind=st.just("cbr"), rate=st.floats(1.0, 60.0)),
    st.builds(
        Arrivals,
        kind=st.just("on_off"),
        rate=st.floats(5.0, 90.0),
        on=st.just(0.2),
        off=st.just(0.2),
        steady=st.booleans(),
    ),
    st.builds(
        Arrivals,
        kind=st.just("times"),
        times=st.lists(st.sampled_from([0.0, 0.1, 0.11, 0.5]), max_size=6).map(lambda times: tuple(sorted(times))),
    ),
)
sizes = st.one_of(
    st.just(MIXED),
    st.builds(Sizes, mean=st.just(800.0), kind=st.sampled_from(["fixed", "exponential"])),
    st.just(Sizes(kind="each", values=(100.0, 1400.0, 600.0))),
)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Up to three links, up to four flows, routes of any shape."""
    drawn = draw(st.lists(links, min_size=1, max_size=3))
    routes = st.lists(st.integers(0, len(drawn) - 1), min_size=1, max_size=4).map(tuple)
    flow = st.builds(
        PacketFlow,
        route=routes,
        arrivals=arrivals,
        sizes=sizes,
        klass=st.integers(0, 3),
        start=st.sampled_from([0.0, 0.25]),
        stop=st.sampled_from([float("inf"), 0.8]),
    )
    return Network(links=tuple(drawn), flows=tuple(draw(st.lists(flow, min_size=1, max_size=4))))


@given(network=networks(), seed=st.integers(0, 99), measure_from=st.sampled_from([0.0, 0.3]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_engines_agree_on_any_network(network: Network, seed: int, measure_from: float) -> None:
    done = assert_engines_agree(network, seed=seed, until=1.0, measure_from=measure_from)
    if measure_from == 0.0:
        gone = done.flows.delivered + done.flows.dropped + done.flows.lost
        assert int((done.flows.sent - gone).sum()) == done.in_flight
