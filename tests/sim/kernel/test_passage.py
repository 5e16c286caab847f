from __future__ import annotations

import math

import numpy as np
import pytest

from meshsim.links.delay import JITTERS, jitter_delay
from meshsim.links.loss import gilbert_elliott
from meshsim.mesh.seeds import SeedTree
from meshsim.sim.kernel import run_network
from meshsim.sim.kernel.network import Arrivals, Jitter, Loss, Network, PacketFlow, PacketLink, Queue, Sizes


def stream(name: str):
    return SeedTree(1).stream(name, 0)


def at(*times: float, sizes: Sizes | None = None, route: tuple[int, ...] = (0,)) -> PacketFlow:
    arrivals = Arrivals(kind="times", times=times)
    return PacketFlow(route=route, arrivals=arrivals, sizes=sizes or Sizes(mean=1250.0))


def run(link: PacketLink, *flows: PacketFlow, until: float = math.inf):
    return run_network(Network(links=(link,), flows=flows), until=until, log=True)


def evenly(count: int) -> PacketFlow:
    return at(*(0.1 * n for n in range(count)))


def test_a_fifo_waits_as_lindley_says() -> None:
    sizes, gaps = (-np.log1p(-stream(name).uniform(0, 400)) for name in ("flow.size", "flow.gap"))
    service, gaps, wait = sizes * 8e-3, gaps * 0.01, [0.0]
    for n in range(1, 400):
        wait.append(max(0.0, wait[-1] + service[n - 1] - gaps[n]))
    flow = PacketFlow(route=(0,), arrivals=Arrivals(rate=100.0), sizes=Sizes(kind="exponential", mean=1000.0))
    log = run(PacketLink(rate_bps=1e6), flow, until=3.0).log
    got = (log.left - log.sent)[:200]
    assert got == pytest.approx((np.array(wait) + service)[:200], abs=1e-9)


def test_a_limit_in_packets_counts_the_one_being_sent() -> None:
    log = run(PacketLink(rate_bps=1e6, queue=Queue(limit_packets=2)), at(0.0, 0.001, 0.002, 0.011)).log
    assert log.fate[np.argsort(log.sent)].tolist() == [0, 0, 1, 0]


def test_a_limit_in_bytes_counts_whole_packets() -> None:
    link = PacketLink(rate_bps=1e6, queue=Queue(limit_bytes=2600.0))
    log = run(link, at(0.0, 0.001, 0.009, 0.011)).log
    assert log.fate[np.argsort(log.sent)].tolist() == [0, 0, 1, 0]


def test_a_limit_in_seconds_is_of_the_wait() -> None:
    link = PacketLink(rate_bps=1e6, queue=Queue(limit_seconds=0.0095))
    assert run(link, at(0.0, 0.0, 0.001, 0.0015)).log.fate.tolist() == [1, 1, 0, 0]


def test_a_packet_that_leaves_at_the_instant_of_an_arrival_makes_room() -> None:
    link = PacketLink(rate_bps=1e6, queue=Queue(limit_packets=1))
    assert run(link, at(0.0, 0.01)).flows.delivered[0] == 2


def test_redrawn_service_does_not_ask_for_the_size() -> None:
    link = PacketLink(rate_bps=1e3, redraw=0.02)
    log = run(link, evenly(20)).log
    got = (log.left - log.sent)[:1]
    assert got == pytest.approx([-math.log1p(-stream("link.service").at(0)) * 0.02])
    assert run(link, evenly(3000)).links.sojourn_mean[0] == pytest.approx(0.02, rel=0.15)


def test_a_rate_trace_is_followed() -> None:
    link = PacketLink(rate_bps=1.0, rate_trace=(0.0, 1.0, 2.0), rate_values=(1e6, 0.0, 0.0))
    assert run(link, at(0.0, 0.995, 1.5)).log.left == pytest.approx([0.01, 2.005, 2.015])


def test_independent_losses_are_those_of_the_draws() -> None:
    result = run(PacketLink(rate_bps=1e9, loss=Loss(kind="bernoulli", probability=0.3)), evenly(300))
    order = np.argsort(result.log.sent)
    assert np.array_equal(result.log.fate[order] == 2, stream("link.loss").uniform(0, 300) < 0.3)
    assert result.links.lost[0] == result.flows.lost[0] == (result.log.fate == 2).sum()


def test_bursts_of_losses_are_those_of_the_draws() -> None:
    loss, u, bad, expected = Loss(kind="gilbert_elliott", p=0.1, r=0.4, good_loss=0.05, bad_loss=0.9), [], False, []
    u = stream("link.loss").uniform(0, 600)
    for n in range(300):
        bad, lost = gilbert_elliott(bad, u[2 * n], u[2 * n + 1], 0.1, 0.4, 0.05, 0.9)
        expected.append(lost)
    log = run(PacketLink(rate_bps=1e9, loss=loss), evenly(300)).log
    assert (log.fate[np.argsort(log.sent)] == 2).tolist() == expected


def test_a_trace_of_losses_is_repeated() -> None:
    log = run(PacketLink(rate_bps=1e9, loss=Loss(kind="trace", trace=(0, 1, 1))), evenly(7)).log
    assert log.fate[np.argsort(log.sent)].tolist() == [0, 2, 2, 0, 2, 2, 0]


@pytest.mark.parametrize("kind", [*JITTERS[1:-1], "trace"])
def test_jitter_comes_on_top_of_propagation_packet_by_packet(kind) -> None:
    trace = (0.001, 0.03) if kind == "trace" else ()
    jitter = Jitter(kind=kind, scale=0.004, shape=1.5, trace=trace)
    log = run(PacketLink(rate_bps=1e9, propagation=0.02, jitter=jitter), evenly(50)).log
    u = stream("link.jitter").uniform(0, 50)
    extra = [jitter_delay(JITTERS.index(kind), u[n], n, 0.004, 1.5, list(trace), 0, len(trace)) for n in range(50)]
    assert log.left - log.sent == pytest.approx(np.array(extra) + 0.02 + 1e-5, abs=1e-12)


@pytest.mark.parametrize("reorders", [False, True])
def test_packets_overtake_only_where_they_may(reorders) -> None:
    jitter = Jitter(kind="trace", trace=(0.5, 0.0), reorders=reorders)
    log = run(PacketLink(rate_bps=1e9, jitter=jitter), at(0.0, 0.1)).log
    assert log.number.tolist() == ([1, 0] if reorders else [0, 1])
    assert log.left == pytest.approx([0.10001, 0.50001] if reorders else [0.50001, 0.50001], abs=1e-6)


def test_duplicates_arrive_are_counted_and_travel_on_by_themselves() -> None:
    links = (PacketLink(rate_bps=1e9, duplicate=1.0), PacketLink(rate_bps=1e6))
    result = run_network(Network(links=links, flows=(at(0.0, 1.0, route=(0, 1)),)), until=math.inf, log=True)
    assert (result.flows.delivered[0], result.flows.duplicated[0]) == (2, 2)
    assert result.links.offered.tolist() == [2, 4]
    assert result.log.fate.tolist() == [0, 3, 0, 3]
    assert result.log.left[1] - result.log.left[0] == pytest.approx(0.01)
    assert result.in_flight == 0


def test_duplicates_are_those_of_the_draws() -> None:
    result = run(PacketLink(rate_bps=1e9, duplicate=0.2), evenly(200))
    twice = result.log.number[result.log.fate == 3]
    assert twice.tolist() == np.flatnonzero(stream("link.duplicate").uniform(0, 200) < 0.2).tolist()


def test_red_drops_between_its_bounds_and_all_above() -> None:
    flow = PacketFlow(route=(0,), arrivals=Arrivals(rate=120.0))
    result = run(PacketLink(rate_bps=1e6, queue=Queue(kind="red")), flow, until=200.0)
    assert 0.1 < result.flows.dropped[0] / result.flows.sent[0] < 0.25
    assert 4.0 < result.links.number_mean[0] < 16.0
