from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.measure.external.gnnet import Sample, find_samples, read_sample
from meshsim.mesh.errors import ConfigError
from meshsim.sim.gnnet import MODELS, hops_per_second, network_of, predict_sample, simulate_sample
from meshsim.sim.kernel import run_network
from meshsim.sim.packets import run_core

if TYPE_CHECKING:
    from meshsim.measure.external.gnnet.values import Policy

Write = Callable[..., Path]


def only(folder: Path) -> Sample:
    (place,) = find_samples(folder)
    return read_sample(place)


def test_links_and_queues_are_those_of_the_source(tmp_path: Path, gnnet: Write) -> None:
    network = network_of(only(gnnet(tmp_path, "2022")))
    assert len(network.links) == 4
    for link in network.links:
        assert (link.rate_bps, link.queue.kind, link.queue.limit_bytes) == (10000.0, "stride", 1000.0)
        assert link.queue.queue_of_class == (0, 1, 2)
    assert network.flows[0].sizes.values == (62.5, 187.5)
    assert network.flows[0].arrivals.steady


def test_on_off_flows_begin_on_as_often_as_they_are_on(tmp_path: Path, gnnet: Write) -> None:
    sample = only(gnnet(tmp_path, "2022"))
    starts = np.array([network_of(sample, seed=seed).flows[0].start for seed in range(300)])
    assert 120 < np.count_nonzero(starts == 0.0) < 180
    assert 3.5 < starts[starts > 0.0].mean() < 6.5


def test_a_single_flow_waits_only_at_its_first_link_or_for_larger_packets(tmp_path: Path, gnnet: Write) -> None:
    sample = only(gnnet(tmp_path, "2021"))
    outcome = simulate_sample(sample, duration=4000.0)
    assert outcome.loss.tolist() == [0.0]
    # M/G/1 at the first link; at the second a packet may still wait for a larger one before it.
    wait = 0.5 * (0.03**2 + 0.17**2) / 2.0 / 0.2 / 0.5
    assert 0.2 + 0.95 * wait < outcome.delay[0] < 0.2 + 1.6 * wait
    assert hops_per_second(sample) == 10.0


@pytest.mark.parametrize("year", ["2021", "2022"])
def test_formulas_order_as_they_must_and_refuse_unknown_models(tmp_path: Path, gnnet: Write, year: str) -> None:
    sample = only(gnnet(tmp_path, year))
    transmission, mm1, mg1, flow = (predict_sample(sample, model) for model in MODELS)
    assert transmission.delay[0] == pytest.approx(0.2)
    assert transmission.delay[0] < flow.delay[0] <= mg1.delay[0] * 1.5
    assert mg1.delay[0] < mm1.delay[0]
    assert flow.variance[0] > 0.0
    assert 0.0 <= flow.loss[0] < 0.01
    with pytest.raises(ConfigError, match="no model"):
        predict_sample(sample, "md1")


@pytest.mark.parametrize("policy", ["SP", "WFQ", "DRR"])
def test_kernel_and_core_agree_on_every_packet(tmp_path: Path, gnnet: Write, policy: Policy) -> None:
    sample = only(gnnet(tmp_path, "2022"))
    routers = tuple(replace(router, policy=policy) for router in sample.routers)
    flows = tuple(replace(sample.flows[0], tos=tos, rate=8.0) for tos in range(3) for _ in range(2))
    network = network_of(replace(sample, routers=routers, flows=flows))
    kernel, core = (run(network, seed=3, until=120.0, log=True).log for run in (run_network, run_core))
    assert kernel is not None
    assert core is not None
    assert (kernel.fate == 1).any()
    for field in ("flow", "number", "fate", "left"):
        np.testing.assert_array_equal(getattr(kernel, field), getattr(core, field))
