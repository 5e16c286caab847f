from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from meshsim.mesh.errors import ConfigError
from meshsim.sim.kernel import Kernel, run_network
from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink, Queue, Sizes

LINK = PacketLink(rate_bps=1e6, propagation=0.01)
"""A packet of 1,250 bytes takes 10 ms and 10 ms more."""


def flow(*route: int, rate: float = 80.0, **more: object) -> PacketFlow:
    return PacketFlow(route=route or (0,), arrivals=Arrivals(rate=rate), **more)


def at(*times: float, route: tuple[int, ...] = (0,), **more: object) -> PacketFlow:
    return PacketFlow(route=route, arrivals=Arrivals(kind="times", times=times), **more)


def same_log(one, other) -> bool:
    names = ("flow", "number", "sent", "left", "fate")
    return all(np.array_equal(getattr(one.log, name), getattr(other.log, name)) for name in names)


def line(*flows: PacketFlow, links: int = 1) -> Network:
    return Network(links=(LINK,) * links, flows=flows)


def test_a_line_of_links_delays_by_what_each_takes() -> None:
    result = run_network(line(at(0.0, 0.001, route=(0, 1)), links=2), until=1.0, log=True)
    assert result.log.left == pytest.approx([0.04, 0.05])
    assert result.flows.delay_mean == pytest.approx([0.0445])
    assert result.flows.delay_variance == pytest.approx([0.0045**2])
    assert (result.flows.delay_min[0], result.flows.delay_max[0]) == pytest.approx((0.04, 0.049))
    assert result.flows.jitter == pytest.approx([0.009 / 16])
    assert (result.hops, result.in_flight) == (4, 0)


def test_links_report_what_they_did_in_the_time_measured() -> None:
    links = run_network(line(at(0.0, 0.001)), until=0.1).links
    assert (links.offered[0], links.sent[0], links.sent_bytes[0]) == (2, 2, 2500.0)
    assert links.busy == pytest.approx([0.2])
    assert links.waiting_mean == pytest.approx([0.0045])
    assert links.sojourn_mean == pytest.approx([0.0145])
    assert links.number_mean == pytest.approx([0.29])


@pytest.mark.parametrize("kind", ["fifo", "priority"])
def test_a_run_that_ends_amid_a_service_counts_the_part_that_was_done(kind) -> None:
    link = PacketLink(rate_bps=1e6, propagation=0.01, queue=Queue(kind=kind))
    result = run_network(Network(links=(link,), flows=(at(0.0, 0.001),)), until=0.015)
    assert (result.links.offered[0], result.links.sent[0], result.in_flight) == (2, 1, 2)
    assert result.links.busy == pytest.approx([1.0])
    assert result.links.number_mean == pytest.approx([(0.010 + 0.014) / 0.015])
    assert result.links.waiting_mean == pytest.approx([0.0], abs=1e-15)


@pytest.mark.parametrize("kind", ["fifo", "priority"])
def test_what_was_before_the_measured_time_does_not_count(kind) -> None:
    link = PacketLink(rate_bps=1e6, propagation=0.01, queue=Queue(kind=kind))
    network = Network(links=(link,), flows=(at(0.0, 0.001, 0.1),))
    result = run_network(network, until=0.2, measure_from=0.015)
    assert (result.flows.sent[0], result.flows.delivered[0]) == (1, 1)
    assert (result.links.offered[0], result.links.sent[0]) == (1, 2)
    assert result.links.busy == pytest.approx([0.015 / 0.185])
    assert result.links.number_mean == pytest.approx([0.015 / 0.185])
    assert result.links.sojourn_mean == pytest.approx([(0.019 + 0.01) / 2])


def test_nothing_measured_is_not_a_number() -> None:
    result = run_network(line(flow(rate=0.0)), until=1.0)
    assert result.flows.sent[0] == 0
    for name in ("delay_mean", "delay_variance", "delay_min", "delay_max", "jitter"):
        assert math.isnan(getattr(result.flows, name)[0])
    assert math.isnan(result.links.waiting_mean[0])
    assert (result.links.busy[0], result.links.number_mean[0]) == (0.0, 0.0)


def test_a_run_of_no_length_measures_nothing() -> None:
    result = run_network(line(flow()), until=0.0)
    assert (result.flows.sent[0], result.in_flight, result.hops) == (0, 0, 0)
    assert math.isnan(result.links.busy[0])


def test_a_network_without_flows_or_links_runs() -> None:
    assert run_network(Network(links=(LINK,), flows=()), until=1.0).hops == 0
    assert run_network(Network(links=(), flows=()), until=math.inf).in_flight == 0


def test_time_does_not_go_back() -> None:
    kernel = Kernel(line(flow()))
    kernel.advance(2.0)
    before = kernel.results()
    for until in (1.0, 2.0, math.nan, -math.inf):
        kernel.advance(until)
    assert kernel.now == 2.0
    assert kernel.results().flows.sent == before.flows.sent


def test_a_run_takes_the_events_before_its_end_and_leaves_the_others_to_the_next() -> None:
    kernel = Kernel(line(at(0.5, 1.0)))
    kernel.advance(1.0)
    assert kernel.flow_counters(0).sent == 1
    kernel.advance(1.1)
    assert kernel.flow_counters(0).sent == 2


def test_a_run_without_end_stops_when_nothing_happens_any_more() -> None:
    kernel = Kernel(line(at(0.5, 1.0)))
    kernel.advance(math.inf)
    assert kernel.now == pytest.approx(1.02)
    assert kernel.flow_counters(0).delivered == 2
    with pytest.raises(ConfigError, match="never ends"):
        run_network(line(at(0.5), flow()), until=math.inf)


def test_steps_of_any_length_give_the_same_packets() -> None:
    network = line(flow(0, 1), flow(1, rate=30.0), links=2)
    whole = run_network(network, until=5.0, log=True)
    assert same_log(whole, run_network(network, until=5.0, log=True, quantum=0.0123))
    assert len(whole.log.flow) == whole.flows.delivered.sum()


def test_a_pickled_kernel_goes_on_as_if_nothing_had_happened() -> None:
    kernel = Kernel(line(flow(0, 1), links=2), log=True)
    kernel.advance(1.0)
    thawed = pickle.loads(pickle.dumps(kernel))  # noqa: S301 - our own bytes
    for one in (kernel, thawed):
        one.advance(3.0)
    assert same_log(kernel.results(), thawed.results())


def test_what_happens_to_a_copy_does_not_reach_the_original() -> None:
    kernel = Kernel(line(flow(0, 1), links=2), log=True)
    kernel.advance(1.0)
    twin = kernel.copy()
    twin.open(flow(0, rate=500.0))
    twin.set_rate(0, 1.0)
    twin.add_link(LINK)
    twin.advance(3.0)
    kernel.advance(3.0)
    assert same_log(kernel.results(), run_network(line(flow(0, 1), links=2), until=3.0, log=True))
    assert twin.flow_counters(1).sent > 500


def test_another_seed_gives_other_packets() -> None:
    one, other = (run_network(line(flow()), seed=seed, until=2.0, log=True) for seed in (1, 2))
    assert not same_log(one, other)


def test_a_flow_or_link_more_shifts_nobodys_draws() -> None:
    links = (LINK, PacketLink(rate_bps=1e9))
    few = run_network(Network(links=(LINK,), flows=(flow(0),)), until=2.0, log=True)
    many = run_network(Network(links=links, flows=(flow(0), flow(1))), until=2.0, log=True)
    assert np.array_equal(many.log.sent[many.log.flow == 0], few.log.sent)
    assert np.array_equal(many.log.left[many.log.flow == 0], few.log.left)


def test_a_flow_opened_later_sends_from_then_on() -> None:
    kernel = Kernel(line(), log=True)
    kernel.advance(1.0)
    assert [kernel.open(at(0.5, 1.5)), kernel.open(flow(rate=50.0))] == [0, 1]
    kernel.advance(2.0)
    log = kernel.results().log
    assert log.sent[log.flow == 0].tolist() == [1.5]
    assert log.sent[log.flow == 1].min() >= 1.0


def test_an_opened_flow_has_the_draws_of_one_that_was_there() -> None:
    declared = run_network(line(flow(), flow(start=1.0)), until=2.0, log=True)
    kernel = Kernel(line(flow()), log=True)
    kernel.advance(0.7)
    kernel.open(flow(start=1.0))
    kernel.advance(2.0)
    assert same_log(declared, kernel.results())


def test_many_flows_can_be_opened() -> None:
    kernel = Kernel(line())
    for number in range(100):
        kernel.advance(number * 0.1)
        kernel.open(flow(rate=5.0))
    kernel.advance(11.0)
    assert (kernel.results().flows.sent[:90] > 0).all()


def test_a_closed_flow_sends_nothing_more_and_what_it_sent_arrives() -> None:
    kernel = Kernel(line(flow(), flow(rate=10.0)))
    kernel.advance(1.0)
    kernel.close(0)
    sent = kernel.flow_counters(0).sent
    kernel.advance(2.0)
    counters = kernel.flow_counters(0)
    assert (counters.sent, counters.delivered) == (sent, sent)
    assert kernel.flow_counters(1).sent > 10
    kernel.set_rate(0, 100.0)
    kernel.advance(3.0)
    assert kernel.flow_counters(0).sent == sent


@pytest.mark.parametrize("kind", ["poisson", "cbr", "on_off"])
def test_a_changed_rate_holds_from_then_on(kind) -> None:
    arrivals = Arrivals(kind=kind, rate=20.0, on=5.0, off=0.0)
    kernel = Kernel(Network(links=(PacketLink(rate_bps=1e9),), flows=(PacketFlow(route=(0,), arrivals=arrivals),)))
    counts = []
    for second in range(60):
        kernel.set_rate(0, 200.0 if second >= 20 else 0.0 if second >= 10 else 20.0)
        before = kernel.flow_counters(0).sent
        kernel.advance(second + 1.0)
        counts.append(kernel.flow_counters(0).sent - before)
    assert 0.7 < np.mean(counts[:10]) / 20.0 < 1.3
    assert sum(counts[10:20]) == 0
    assert 0.9 < np.mean(counts[20:]) / 200.0 < 1.1


@pytest.mark.parametrize("kind", ["poisson", "cbr"])
@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_a_rate_changed_before_the_start_brings_no_packet_before_it(kind, rate) -> None:
    kernel = Kernel(line(PacketFlow(route=(0,), arrivals=Arrivals(kind=kind, rate=rate), start=10.0)), log=True)
    kernel.advance(5.0)
    kernel.set_rate(0, 50.0)
    kernel.advance(12.0)
    sent = kernel.results().log.sent
    assert len(sent) > 50
    assert sent.min() >= 10.0


def test_half_the_rate_doubles_what_is_left_of_the_gap() -> None:
    network = Network(links=(LINK,), flows=(PacketFlow(route=(0,), arrivals=Arrivals(kind="cbr", rate=1.0)),))
    first, second = run_network(network, until=2.5, log=True).log.sent[:2]
    kernel = Kernel(network, log=True)
    kernel.advance(first + 0.25)
    kernel.set_rate(0, 0.5)
    kernel.advance(first + 6.0)
    expected = [first, second + 0.75, second + 2.75, second + 4.75]
    assert kernel.results().log.sent == pytest.approx(expected)


def test_a_link_added_later_carries_packets() -> None:
    kernel = Kernel(line(flow()))
    kernel.advance(1.0)
    assert kernel.add_link(PacketLink(rate_bps=1e7, queue=Queue(kind="codel"))) == 1
    opened = kernel.open(flow(1, 0))
    kernel.advance(2.0)
    assert kernel.flow_counters(opened).delivered > 30
    links = kernel.results().links
    assert links.offered[1] == kernel.flow_counters(opened).sent
    assert len(links.busy) == 2


def test_counters_tell_what_results_tell() -> None:
    kernel = Kernel(line(flow(rate=90.0)), measure_from=0.5)
    kernel.advance(20.0)
    counters, flows = kernel.flow_counters(0), kernel.results().flows
    assert counters.delivered == flows.delivered[0]
    assert counters.delay_sum / counters.delivered == pytest.approx(flows.delay_mean[0])
    variance = counters.delay_squares / counters.delivered - flows.delay_mean[0] ** 2
    assert variance == pytest.approx(flows.delay_variance[0])


def test_what_is_not_there_is_refused_by_name() -> None:
    kernel = Kernel(line(at(0.0)))
    with pytest.raises(ConfigError, match="no flow 3"):
        kernel.close(3)
    with pytest.raises(ConfigError, match="not there"):
        kernel.open(flow(1))
    with pytest.raises(ConfigError, match="instants"):
        kernel.set_rate(0, 1.0)
    with pytest.raises(ConfigError, match="out of range"):
        kernel.set_rate(0, -1.0)


def test_a_thousand_packets_at_once_find_room() -> None:
    result = run_network(line(at(*([0.0] * 5000), sizes=Sizes(mean=1.0))), until=math.inf, log=True)
    assert result.flows.delivered[0] == 5000
    assert np.array_equal(result.log.number, np.arange(5000))
