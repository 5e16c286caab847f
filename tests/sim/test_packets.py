from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meshsim.mesh.errors import ConfigError
from meshsim.sim.kernel import run_network
from meshsim.sim.kernel.network import Arrivals, Jitter, Loss, Network, PacketFlow, PacketLink, Queue, Results, Sizes
from meshsim.sim.packets import run_core

MEGABIT = PacketLink(rate_bps=1e6, propagation=0.02)  # 10 ms for a packet of 1,250 bytes
ENGINES = pytest.mark.parametrize("engine", [run_core, run_network], ids=["core", "kernel"])
Engine = Callable[..., Results]


def at(*times: float, **more: object) -> PacketFlow:
    return PacketFlow(**{"route": (0,), "arrivals": Arrivals(kind="times", times=times), **more})


def one(link: PacketLink, *flows: PacketFlow, until: float = 100.0, **more: object) -> Results:
    return run_core(Network(links=(link,), flows=flows), until=until, log=True, **more)


def chancy(flows: int = 3, *, links: int = 2) -> Network:
    """Every kind of draw on links in a row; more flows or links come behind the others."""
    link = PacketLink(
        rate_bps=1e6,
        propagation=0.01,
        redraw=0.004,
        loss=Loss(kind="gilbert_elliott", p=0.1, r=0.4),
        jitter=Jitter(kind="gamma", scale=0.005, reorders=True),
        duplicate=0.05,
        queue=Queue(kind="red", red=(1.0, 5.0, 0.2, 0.1)),
    )
    arrivals = Arrivals(kind="on_off", rate=80.0, on=0.3, off=0.2)
    crossing = tuple(PacketFlow(route=(0, 1), arrivals=arrivals, sizes=Sizes(kind="exponential")) for _ in range(flows))
    beyond = tuple(PacketFlow(route=(index,), arrivals=arrivals) for index in range(2, links))
    return Network(links=(link,) * links, flows=crossing + beyond)


def digest(results: Results) -> str:
    assert results.log is not None
    columns = [getattr(results.log, field.name) for field in dataclasses.fields(results.log)]
    return hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()


def packets_of(results: Results, flow: int) -> list[tuple[float, ...]]:
    log = results.log
    assert log is not None
    mine = log.flow == flow
    return list(zip(log.number[mine], log.sent[mine], log.left[mine], log.fate[mine], strict=True))


def test_a_packet_waits_for_those_before_it_is_sent_and_travels() -> None:
    done = one(MEGABIT, at(0.0, 0.001, 0.5))
    assert done.log is not None
    np.testing.assert_allclose(done.log.left - done.log.sent, [0.03, 0.039, 0.03])
    assert done.hops == 3


def test_what_a_link_did_is_counted_to_the_packet_and_the_second() -> None:
    links = one(MEGABIT, at(0.0, 0.001), until=1.0).links
    assert links.offered.tolist() == links.sent.tolist() == [2]
    np.testing.assert_allclose(links.waiting_mean, [0.009 / 2])
    np.testing.assert_allclose(links.sojourn_mean, [0.009 / 2 + 0.010])
    np.testing.assert_allclose(links.busy, [0.020])
    np.testing.assert_allclose(links.number_mean, [0.029])


def test_a_run_that_ends_amid_a_service_counts_the_part_of_it() -> None:
    links = one(MEGABIT, at(0.0, 0.001), until=0.012).links
    assert links.sent.tolist() == [1]
    np.testing.assert_allclose(links.busy, [1.0])
    np.testing.assert_allclose(links.number_mean, [(0.010 + 0.011) / 0.012])


@pytest.mark.parametrize("kind", ["fifo", "codel"])
def test_measuring_begins_amid_traffic_with_what_is_there(kind: str) -> None:
    link = dataclasses.replace(MEGABIT, queue=Queue(kind=kind))
    done = one(link, at(0.0, 0.001, 0.002), until=0.100, measure_from=0.015)
    assert done.links.sent.tolist() == [2]  # the one half sent at 15 ms, and the next
    assert done.flows.sent.tolist() == [0]
    np.testing.assert_allclose(done.links.busy, [0.015 / 0.085])
    np.testing.assert_allclose(done.links.number_mean, [(2 * 0.005 + 0.010) / 0.085])


@pytest.mark.parametrize("name", ["limit_packets", "limit_bytes", "limit_seconds"])
def test_a_full_queue_refuses_and_the_one_being_sent_counts(name: str) -> None:
    limit = {"limit_packets": 2, "limit_bytes": 2600.0, "limit_seconds": 0.012}[name]
    done = one(dataclasses.replace(MEGABIT, queue=Queue(**{name: limit})), at(0.0, 0.001, 0.002, 0.0105))
    assert done.log is not None
    assert done.flows.dropped.tolist() == [1]
    assert done.log.left[done.log.fate == 1].tolist() == [0.002]


def test_interarrival_jitter_is_that_of_rfc_3550() -> None:
    link = dataclasses.replace(MEGABIT, jitter=Jitter(kind="trace", trace=(0.0, 0.016, 0.0)))
    jitter = one(link, at(0.0, 1.0, 2.0)).flows.jitter
    np.testing.assert_allclose(jitter, [0.001 + (0.016 - 0.001) / 16])


def test_delays_that_are_all_equal_vary_by_rounding_alone() -> None:
    flows = one(MEGABIT, at(0.0, 1.0, 2.0)).flows
    assert 0.0 <= flows.delay_variance[0] < 1e-30
    np.testing.assert_allclose([flows.delay_min, flows.delay_max], 0.03)


def test_a_duplicate_arrives_besides_and_does_not_count_as_delivered() -> None:
    done = one(dataclasses.replace(MEGABIT, duplicate=1.0), at(0.0, 1.0))
    assert done.log is not None
    assert (done.flows.delivered.tolist(), done.flows.duplicated.tolist()) == ([2], [2])
    assert sorted(done.log.fate.tolist()) == [0, 0, 3, 3]


@ENGINES
def test_what_set_out_is_delivered_dropped_lost_or_under_way(engine: Engine) -> None:
    flows = (done := engine(chancy(), until=7.0)).flows
    assert done.in_flight == (flows.sent - flows.delivered - flows.dropped - flows.lost).sum()


@ENGINES
def test_littles_law_holds_exactly_on_a_link_that_runs_empty(engine: Engine) -> None:
    arrivals = Arrivals(kind="poisson", rate=90.0)
    flow = PacketFlow(route=(0, 1), arrivals=arrivals, sizes=Sizes(kind="exponential", mean=1000.0), stop=20.0)
    servers = dataclasses.replace(MEGABIT, servers=2, queue=Queue(limit_packets=9))
    links = engine(Network(links=(MEGABIT, servers), flows=(flow, flow)), until=60.0).links
    np.testing.assert_allclose(links.number_mean * 60.0, links.sojourn_mean * links.sent, rtol=1e-12)


@ENGINES
def test_a_run_of_no_length_and_one_without_packets_say_so(engine: Engine) -> None:
    network = Network(links=(MEGABIT,), flows=(at(), PacketFlow(route=(0,), arrivals=Arrivals(rate=0.0))))
    for until in (0.0, 5.0):
        done = engine(network, until=until)
        assert done.flows.sent.tolist() == [0, 0]
        assert np.isnan(done.flows.delay_mean).all()
        assert np.isnan(done.links.waiting_mean).all()
        assert done.in_flight == done.hops == 0


@ENGINES
@pytest.mark.parametrize("measure_from", [-1.0, math.nan])
def test_nothing_is_measured_from_before_the_beginning(engine: Engine, measure_from: float) -> None:
    with pytest.raises(ConfigError, match="measure_from"):
        engine(chancy(), until=1.0, measure_from=measure_from)


@ENGINES
def test_five_runs_log_the_same_bytes(engine: Engine) -> None:
    assert len({digest(engine(chancy(), seed=4, until=5.0, log=True)) for _ in range(5)}) == 1
    assert digest(engine(chancy(), seed=5, until=5.0, log=True)) != digest(
        engine(chancy(), seed=4, until=5.0, log=True)
    )


@pytest.mark.full
def test_the_hash_seed_changes_no_byte_of_the_log() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_packets as t;"
        "print(t.digest(t.run_core(t.chancy(), seed=4, until=5.0, log=True)))"
    )
    env = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(run_core(chancy(), seed=4, until=5.0, log=True))  # under another hash seed


@ENGINES
def test_a_flow_elsewhere_and_another_link_shift_no_draw(engine: Engine) -> None:
    alone = engine(chancy(), seed=4, until=5.0, log=True)
    beside = engine(chancy(links=4), seed=4, until=5.0, log=True)
    for flow in range(3):
        assert packets_of(beside, flow) == packets_of(alone, flow)
    assert packets_of(beside, 3)


@ENGINES
def test_one_more_flow_on_a_shared_link_leaves_the_others_packets_their_instants(engine: Engine) -> None:
    few, more = (engine(chancy(flows), seed=4, until=5.0) for flows in (2, 3))
    assert more.flows.sent[:2].tolist() == few.flows.sent.tolist()
    assert more.flows.sent_bytes[:2].tolist() == few.flows.sent_bytes.tolist()
    assert more.flows.sent[2] > 0


@ENGINES
def test_keys_name_the_draws_whatever_the_order(engine: Engine) -> None:
    flows = chancy().flows
    named = [dataclasses.replace(flow, key=10 + number) for number, flow in enumerate(flows)]
    quiet = PacketLink(rate_bps=1e9)
    forth = engine(Network(links=(quiet, quiet), flows=tuple(named)), until=5.0)
    back = engine(Network(links=(quiet, quiet), flows=tuple(reversed(named))), until=5.0)
    assert forth.flows.sent.tolist() == back.flows.sent.tolist()[::-1]
    assert len(set(forth.flows.sent_bytes.tolist())) == 3


def test_a_link_that_never_sends_lets_nothing_arrive() -> None:
    stalled = dataclasses.replace(MEGABIT, rate_trace=(0.0, 1.0, 60.0), rate_values=(0.0, 1e6, 0.0))
    done = one(stalled, at(0.0), until=0.9)
    assert done.in_flight == 1
    assert math.isnan(done.flows.delay_mean[0])
