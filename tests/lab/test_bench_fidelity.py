from __future__ import annotations

import numpy as np
import pytest

from meshsim.lab.bench import fidelity
from meshsim.scenario.topologies.allowed import allowed_for


def test_every_mesh_stands_on_a_graph_of_its_own_that_may_train():
    assert len(set(fidelity.GRAPHS)) == 20
    assert {allowed_for(graph) for graph in fidelity.GRAPHS} == {"train"}
    assert fidelity.FULL.meshes == 20


def test_meshes_differ_in_graph_utilisation_and_capacity():
    underlays = [fidelity.scenario(number).underlay for number in range(20)]
    assert len({underlay.utilisation_mean for underlay in underlays}) == 20
    assert len({underlay.capacity for underlay in underlays}) == 20


@pytest.mark.full
def test_flows_and_packets_agree_on_a_small_mesh_and_again():
    size = fidelity.Size(meshes=1, calls=6, seconds=10.0)
    one, again = (fidelity.compare(3, size) for _ in range(2))
    np.testing.assert_array_equal(one.packets, again.packets)
    found = fidelity.summary(one, 0.0, 10.0)
    assert found["calls"] == 6
    assert 0.0 < found["delay_error_median"] < 0.05
    assert (one.packets[:, 0] > one.fixed).all()


def test_a_summary_tells_how_far_apart_two_engines_are():
    packets = np.array([[0.10, 0.002, 0.01], [0.20, 0.004, 0.02], [0.30, 0.004, 0.02]])
    fluid = packets * [1.1, 1.0, 1.5]
    used, fixed = np.array([0.3, 0.5, 0.9]), np.array([0.05, 0.1, 0.1])
    compared = fidelity.Compared(fluid=fluid, packets=packets, utilisation=used, fixed=fixed)
    found = fidelity.summary(compared, 0.2, 0.85)
    assert found["calls"] == 2
    assert found["delay_error_median"] == pytest.approx(0.1)
    assert found["waiting_bias"] == pytest.approx(0.03 / 0.15)
    assert found["loss_points_max"] == pytest.approx(1.0)
    assert found["loss_points_p95"] == pytest.approx(0.5 + 0.95 * 0.5)
    assert 0.0 < found["mos_p95"] < found["mos_max"]
    assert fidelity.summary(compared, 0.95, 1.0) == {"calls": 0.0}
    verdicts = {goal["goal"]: goal["pass"] for goal in fidelity.judged(found)}
    assert verdicts["fidelity_delay_median"] is False
    assert verdicts["fidelity_loss_points_p95"] is False
    assert not any(goal["pass"] for goal in fidelity.judged({"calls": 0.0}))
