from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.kernel import run_network
from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink, Sizes

LINK = PacketLink(rate_bps=1e12)


def stream(name: str):
    return SeedTree(1).stream(name, 0)


def instants(arrivals: Arrivals, until: float = 10.0, **more: float) -> np.ndarray:
    flow = PacketFlow(route=(0,), arrivals=arrivals, **more)
    return run_network(Network(links=(LINK,), flows=(flow,)), until=until, log=True).log.sent


def exponential(name: str, n: int, mean: float, cap: float = math.inf) -> float:
    return min(-math.log1p(-stream(name).at(n)), cap) * mean


@pytest.mark.parametrize("cap", [0.0, 1.5])
def test_poisson_packets_set_out_one_drawn_gap_after_another(cap) -> None:
    gaps = (exponential("flow.gap", n, 1 / 30.0, cap or math.inf) for n in itertools.count())
    expected = list(itertools.takewhile(lambda t: t < 10.0, itertools.accumulate(gaps, initial=0.0)))[1:]
    assert instants(Arrivals(rate=30.0, cap=cap)) == pytest.approx(expected, abs=1e-12)


def test_a_constant_rate_has_a_drawn_phase_and_no_drift() -> None:
    first = 2.0 + stream("flow.gap").at(0) / 7.0
    expected = [first + n / 7.0 for n in range(20)]
    assert instants(Arrivals(kind="cbr", rate=7.0), until=100.0, start=2.0)[:20].tolist() == expected


def test_on_off_packets_come_in_periods_that_each_begin_with_one() -> None:
    expected, gaps, begin = [], itertools.count(), 0.0
    for period in range(40):
        end, now = begin + exponential("flow.on", period, 0.5), begin
        while now < end:
            expected.append(now)
            now += exponential("flow.gap", next(gaps), 1 / 20.0, 10.0)
        begin = end + exponential("flow.off", period, 0.3)
    got = instants(Arrivals(kind="on_off", rate=20.0, on=0.5, off=0.3, cap=10.0))
    assert got == pytest.approx([time for time in expected if time < 10.0], abs=1e-9)


def test_given_instants_are_kept_within_start_and_stop() -> None:
    times = np.array([0.0, 0.5, 1.0, 1.0, 2.0, 3.0])
    assert instants(Arrivals(kind="times", times=times), start=0.5, stop=3.0).tolist() == [0.5, 1.0, 1.0, 2.0]


@pytest.mark.parametrize("kind", ["poisson", "cbr", "on_off"])
def test_packets_set_out_between_start_and_stop(kind) -> None:
    got = instants(Arrivals(kind=kind, rate=50.0, on=1.0, off=1.0), start=3.0, stop=6.0)
    assert 3.0 <= got.min() <= got.max() < 6.0
    assert len(got) > 20


@pytest.mark.parametrize("kind", ["poisson", "cbr", "on_off"])
def test_a_rate_of_zero_sends_nothing(kind) -> None:
    assert len(instants(Arrivals(kind=kind, rate=0.0, on=1.0))) == 0


def sizes(given: Sizes) -> np.ndarray:
    """Read off a link that takes a second per byte, one packet at a time."""
    flow = PacketFlow(
        route=(0,), arrivals=Arrivals(kind="times", times=tuple(1e7 * n for n in range(200))), sizes=given
    )
    log = run_network(Network(links=(PacketLink(rate_bps=8.0),), flows=(flow,)), until=math.inf, log=True).log
    return log.left - log.sent


def test_sizes_are_drawn_by_the_number_of_the_packet() -> None:
    u = stream("flow.size").uniform(0, 200)
    assert sizes(Sizes(kind="fixed", mean=700.0)) == pytest.approx(np.full(200, 700.0))
    assert sizes(Sizes(kind="exponential", mean=700.0)) == pytest.approx(-np.log1p(-u) * 700.0, abs=1e-5)
    listed = Sizes(kind="listed", values=(60.0, 500.0, 1500.0), shares=(0.2, 0.5, 0.3))
    expected = np.array(listed.values)[np.searchsorted([0.2, 0.7], u, side="right")]
    assert sizes(listed) == pytest.approx(expected)
    assert sizes(Sizes(kind="each", values=(1.0, 2.0, 3.0))) == pytest.approx(np.arange(200) % 3 + 1.0)
