from __future__ import annotations

import math

import numpy as np
import pytest

from meshsim.sim.kernel import run_network
from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink, Queue, Sizes


def link(kind: str, **more: object) -> PacketLink:
    """A packet of 1,250 bytes takes 10 ms."""
    return PacketLink(rate_bps=1e6, queue=Queue(kind=kind, **more))


def flow(klass: int, rate: float, size: float = 1250.0) -> PacketFlow:
    return PacketFlow(route=(0,), arrivals=Arrivals(rate=rate), klass=klass, sizes=Sizes(mean=size))


def at(klass: int, *times: float) -> PacketFlow:
    return PacketFlow(route=(0,), arrivals=Arrivals(kind="times", times=times), klass=klass)


def run(one: PacketLink, *flows: PacketFlow, until: float = 100.0, measure_from: float = 0.0):
    return run_network(Network(links=(one,), flows=flows), until=until, log=True, measure_from=measure_from)


CLASSES = {"queue_of_class": (0, 1), "weights": (1.0, 3.0)}


def test_priority_serves_the_first_class_first_and_interrupts_nobody() -> None:
    log = run(link("priority", **CLASSES), at(0, 0.005), at(1, 0.0, 0.001, 0.002)).log
    assert log.flow.tolist() == [1, 0, 1, 1]
    assert log.left == pytest.approx([0.01, 0.02, 0.03, 0.04])


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [("wfq", (1250.0, 400.0)), ("drr", (1250.0, 400.0)), ("stride", (1250.0, 1250.0)), ("polling", (1250.0, 1250.0))],
)
def test_a_crowded_link_is_shared_by_weight(kind, sizes) -> None:
    flows = (flow(0, 2e5 / sizes[0], sizes[0]), flow(1, 2e5 / sizes[1], sizes[1]))
    carried = run(link(kind, limit_packets=50, **CLASSES), *flows).flows.delivered_bytes
    assert carried[1] / carried[0] == pytest.approx(3.0, rel=0.03)
    assert carried.sum() * 8 / 100.0 == pytest.approx(1e6, rel=0.01)


@pytest.mark.parametrize("kind", ["priority", "wfq", "drr", "stride", "polling", "codel", "fq_codel"])
def test_no_discipline_idles_while_packets_wait(kind) -> None:
    how = CLASSES if kind not in ("codel", "fq_codel") else {"target": 10.0}  # a target that no packet waits for
    flows = (flow(0, 30.0), flow(1, 40.0))
    result, plain = run(link(kind, **how), *flows), run(link("fifo"), *flows)
    assert result.links.busy == pytest.approx(plain.links.busy, abs=1e-9)


def test_fair_queueing_keeps_a_thin_flow_from_a_thick_ones_queue() -> None:
    thick, thin = flow(0, 200.0), flow(0, 5.0)
    fair = run(link("fq_codel", limit_packets=50), thick, thin).flows
    single = run(link("fifo", limit_packets=50), thick, thin).flows
    assert fair.delay_mean[1] < 0.03
    assert single.delay_mean[1] > 0.4
    assert fair.dropped[1] == 0 < single.dropped[1]


def test_codel_keeps_the_standing_wait_short() -> None:
    steady = PacketFlow(route=(0,), arrivals=Arrivals(kind="cbr", rate=105.0))
    result = run(link("codel"), steady, until=100.0, measure_from=20.0)
    assert result.links.waiting_mean[0] < 0.1
    assert result.flows.dropped[0] / result.flows.sent[0] == pytest.approx(5 / 105, abs=0.02)
    assert run(link("fifo"), steady, until=100.0).links.waiting_mean[0] > 1.0


def test_each_class_queue_has_its_own_limit() -> None:
    result = run(link("priority", limit_packets=2, **CLASSES), at(0, *[0.0] * 5), at(1, *[0.0] * 5), until=math.inf)
    assert result.flows.dropped.tolist() == [3, 3]
    assert result.links.dropped[0] == 6


def test_limits_of_class_queues_count_the_packet_in_service() -> None:
    for limits in ({"limit_packets": 1}, {"limit_bytes": 1300.0}, {"limit_seconds": 0.0}):
        result = run(link("priority", **limits), at(0, 0.0, 0.009, 0.011), until=math.inf)
        assert result.flows.dropped[0] == 1


def test_two_servers_send_two_packets_at_once() -> None:
    log = run(PacketLink(rate_bps=1e6, servers=2), at(0, 0.0, 0.001, 0.002)).log
    assert log.left == pytest.approx([0.01, 0.011, 0.02])


@pytest.mark.parametrize("limits", [{}, {"limit_packets": 4}, {"limit_bytes": 4000.0}])
def test_one_class_queue_and_a_fifo_are_the_same(limits) -> None:
    flows = (flow(0, 50.0, 1500.0), flow(1, 60.0, 300.0))
    one, other = run(link("fifo", **limits), *flows), run(link("priority", **limits), *flows)
    for name in ("flow", "number", "sent", "fate"):
        assert np.array_equal(getattr(one.log, name), getattr(other.log, name))
    assert one.log.left == pytest.approx(other.log.left, abs=1e-9)
    for name in ("offered", "sent", "dropped", "sent_bytes", "busy", "waiting_mean", "sojourn_mean", "number_mean"):
        assert getattr(one.links, name) == pytest.approx(getattr(other.links, name), rel=1e-9)
