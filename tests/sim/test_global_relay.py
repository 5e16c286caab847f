"""The preset `global_relay` is calibrated to VIA: how many direct calls are poor, and how many of those a relay mends.

Source: Jiang et al., "VIA: Improving Internet Telephony Call Quality Using Predictive Relay Selection", SIGCOMM 2016.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.scenario import compile_plan, load
from meshsim.sim import simulate

SEEDS = (1, 2, 3, 4)


def looked_at(seed, folder):
    """Of the calls whose direct path connects: whether it is poor, and whether every candidate is."""
    plan = compile_plan(load("global_relay", ["duration=15 min"]), seed)
    routes = Trace(simulate(plan, folder).trace).columns("routes")
    call, hops = np.array(routes["call"]), np.array([len(path) - 1 for path in routes["path"]])
    connected, poor = np.array(routes["connected"]), np.array(routes["poor"])
    best = np.ones(call.max() + 1, dtype=bool)
    np.minimum.at(best, call[connected], poor[connected])
    direct = (hops == 1) & connected
    return poor[direct], best[call[direct]]


@pytest.mark.full
@pytest.mark.skipif("MESHSIM_DATA_DIR" not in os.environ, reason="MESHSIM_DATA_DIR is not set: no measured RTT")
def test_a_sixth_of_the_direct_calls_is_poor_and_the_best_relay_mends_half_of_them(tmp_path):
    found = [looked_at(seed, tmp_path / str(seed)) for seed in SEEDS]
    direct = np.concatenate([poor for poor, _ in found])
    best = np.concatenate([oracle for _, oracle in found])
    assert len(direct) > 2500
    assert 0.15 <= direct.mean() <= 0.20
    assert 0.40 <= 1.0 - best[direct].mean() <= 0.60
