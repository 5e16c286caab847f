from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from meshsim.lab.twin import Pair, RealCall, link_parameters
from meshsim.measure.stats import Interval
from meshsim.mesh.view import connectable
from meshsim.node.testbed import Talk
from meshsim.scenario import compile_plan, load
from meshsim.sim import World

PAIR = Pair(name="a - b", simulated=0.02, measured=Interval(0.021, 0.02, 0.022))


def real(*, killed: tuple[int, float] | None, arrivals: list[float], failovers: list[dict[str, Any]]) -> RealCall:
    heard = {"arrivals": arrivals, "routes": []}
    talk = Talk(
        path=(0, 2, 1), final_path=(0, 3, 1), killed=killed, ended={"failovers": failovers},
        heard=heard, caller_heard=heard, events=(),
    )  # fmt: skip
    return RealCall(
        names=("alice", "bob", "r1", "r2"), talk=talk, links=(PAIR,), path=PAIR, mismatches=(),
        precision_p99=0.001, valid=True, processes=4,
    )  # fmt: skip


def test_every_pair_that_can_connect_is_emulated_as_the_worlds_mean_delay() -> None:
    plan = compile_plan(load("tiny"), 1)
    parameters = link_parameters(plan, World(plan))
    nat, n = plan.nodes.nat, len(plan.nodes)
    expected = {(a, b) for a in range(n) for b in range(n) if a != b and connectable(int(nat[a]), int(nat[b]))}
    assert set(parameters) == expected
    assert (0, 1) not in parameters
    src, dst = (np.array(ends, dtype=np.int32) for ends in zip(*sorted(parameters), strict=True))
    delays = [parameters[pair].propagation + parameters[pair].jitter for pair in sorted(parameters)]
    np.testing.assert_allclose(delays, World(plan).link_truth(src, dst).delay)
    for link in parameters.values():
        assert link.propagation >= 0.0
        assert 0.0 <= link.loss < 0.05
        assert 0.005 < link.propagation + link.jitter < 0.2


def test_detection_and_gap_are_read_off_the_first_failover_after_the_kill() -> None:
    failovers = [{"heard": 1.0, "lost": 1.5, "restored": 1.6}, {"heard": 10.1, "lost": 10.9, "restored": 11.0}]
    call = real(killed=(2, 10.2), arrivals=[9.98, 10.0, 10.25, 11.1, 11.12], failovers=failovers)
    assert call.detect_seconds == pytest.approx(0.7)
    assert call.gap == (10.25, 11.1)
    assert call.name_path(call.talk.path) == ["alice", "r1", "bob"]


def test_without_a_kill_there_is_neither_detection_nor_gap() -> None:
    call = real(killed=None, arrivals=[1.0, 2.0], failovers=[])
    assert math.isnan(call.detect_seconds)
    assert all(math.isnan(edge) for edge in call.gap)


def test_packets_that_were_on_their_way_end_no_silence() -> None:
    never = [{"heard": 10.0, "lost": 10.8, "restored": None}]
    call = real(killed=(2, 10.0), arrivals=[9.98, 10.01, 10.03], failovers=never)
    assert call.detect_seconds == pytest.approx(0.8)
    assert all(math.isnan(edge) for edge in call.gap)


def test_a_call_that_was_never_resumed_has_no_end_of_its_gap() -> None:
    call = real(killed=(2, 10.0), arrivals=[9.0], failovers=[])
    assert math.isnan(call.detect_seconds)
    assert all(math.isnan(edge) for edge in call.gap)
