from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meshsim.measure.external.gnnet import Sample, find_samples, read_sample
from meshsim.sim import queues
from meshsim.sim.gnnet import predict_sample


@pytest.fixture
def sample(tmp_path: Path, gnnet: Callable[..., Path]) -> Sample:
    (place,) = find_samples(gnnet(tmp_path, "2022"))
    return read_sample(place)


def with_flows(sample: Sample, rate: float, policy: str) -> Sample:
    """One Poisson flow of each class over the first link, and the same policy at every node."""
    first = sample.flows[0]
    flows = tuple(
        replace(first, gaps="poisson", rate=rate, on=0.0, off=0.0, route=first.route[:1], target=1, tos=tos)
        for tos in range(3)
    )
    routers = tuple(replace(router, policy=policy, buffer_bits=64000.0) for router in sample.routers)
    return replace(sample, flows=flows, routers=routers)


def test_priority_classes_wait_as_cobham_says_where_buffers_do_not_matter(sample: Sample) -> None:
    outcome = predict_sample(with_flows(sample, 2.0, "SP"))
    # 1,000 bits on the mean and 1.25e6 bits^2 at 10 kb/s: load .2 a class, residual .0625 s.
    waits = queues.priority_wait(np.full(3, 0.2), np.array([0.0, 0.2, 0.4]), 3 * 0.2 * 0.0625)
    np.testing.assert_allclose(outcome.delay - 0.1, waits, rtol=0.02)


@pytest.mark.parametrize("policy", ["SP", "WFQ", "DRR"])
def test_more_traffic_never_helps(sample: Sample, policy: str) -> None:
    outcomes = [predict_sample(with_flows(sample, rate, policy)) for rate in (0.5, 1.5, 2.5, 3.2, 4.0)]
    for before, after in itertools.pairwise(outcomes):
        assert (after.loss >= before.loss - 1e-9).all()
    assert outcomes[-1].loss.max() > 0.05
    assert (outcomes[0].delay < outcomes[-2].delay).all()


def test_what_is_lost_upstream_spares_the_next_queue(sample: Sample) -> None:
    first = replace(sample.flows[0], gaps="poisson", rate=30.0, on=0.0, off=0.0)
    through = predict_sample(replace(sample, flows=(first,)))
    once = predict_sample(replace(sample, flows=(replace(first, route=first.route[:1], target=1),)))
    assert once.loss[0] > 0.6
    # Two links of one rate: what passes the first fills the second without overloading it.
    assert once.loss[0] < through.loss[0] < once.loss[0] + 0.1
