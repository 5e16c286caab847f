from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from meshsim.mesh.seeds import SeedTree
from meshsim.trust.change import (
    ALIKE,
    CHANGED,
    FALSE_ALARMS,
    LEVELS,
    NORMAL,
    STEP,
    Chart,
    design,
    grade_shares,
    mean_run,
    run_length,
    transitions,
)

GRADED = design(levels=LEVELS)


def simulated(chart: Chart, shares: np.ndarray, runs: int) -> np.ndarray:
    rng = SeedTree(7).generator("chart", 0)
    lengths = []
    for _ in range(runs):
        held = passed = 0
        while held < chart.limit:
            held, passed = max(0, held + chart.weights[rng.choice(len(shares), p=shares)]), passed + 1
        lengths.append(passed)
    return np.array(lengths)


@given(st.floats(0.01, 0.99), st.integers(1, 30), st.floats(0.05, 0.95))
def test_grades_are_beta_binomial(failures: float, levels: int, alike: float) -> None:
    scale = 1.0 / alike - 1.0
    exact = stats.betabinom(levels, (1.0 - failures) * scale, failures * scale).pmf(range(levels + 1))
    np.testing.assert_allclose(grade_shares(failures, levels, alike), exact, rtol=1e-6, atol=1e-12)


@given(st.floats(0.01, 0.99), st.integers(1, 30))
def test_the_mean_grade_is_the_share_of_successes(failures: float, levels: int) -> None:
    shares = grade_shares(failures, levels)
    assert shares @ np.arange(levels + 1) / levels == pytest.approx(1.0 - failures)


def test_binary_weights_are_the_log_likelihood_ratios_of_bernoulli() -> None:
    fail, success = math.log(CHANGED / NORMAL), math.log((1.0 - CHANGED) / (1.0 - NORMAL))
    assert design().weights == (round(fail / STEP), round(success / STEP)) == (33, -7)


@pytest.mark.parametrize("levels", [1, LEVELS])
def test_the_limit_is_the_first_that_keeps_the_false_alarms(levels: int) -> None:
    chart, before = design(levels=levels), grade_shares(NORMAL, levels)
    assert mean_run(chart, before) >= 1.0 / FALSE_ALARMS > mean_run(chart._replace(limit=chart.limit - 1), before)


def test_a_change_from_5_to_40_percent_is_found_within_11_outcomes_and_27() -> None:
    found = run_length(design(), grade_shares(CHANGED))
    assert (found.median, found.p95) == (11, 27)
    assert found.mean == pytest.approx(13.1, abs=0.01)


def test_graded_outcomes_show_it_within_6_and_15() -> None:
    found = run_length(GRADED, grade_shares(CHANGED, LEVELS))
    assert found.median <= 6
    assert found.p95 <= 15


def test_a_chart_that_ran_for_long_is_no_slower_than_a_fresh_one() -> None:
    before, after = grade_shares(NORMAL), grade_shares(CHANGED)
    fresh, old = run_length(design(), after), run_length(design(), after, before)
    assert fresh.mean - 1.0 < old.mean < fresh.mean
    assert old.mean == pytest.approx(12.646, abs=0.001)


@pytest.mark.parametrize("levels", [1, 5])
def test_exact_run_lengths_are_those_of_simulated_charts(levels: int) -> None:
    chart, after = design(levels=levels), grade_shares(CHANGED, levels)
    lengths, exact = simulated(chart, after, runs=1500), run_length(chart, after)
    assert lengths.mean() == pytest.approx(exact.mean, abs=4.0 * lengths.std() / math.sqrt(len(lengths)))
    assert (lengths <= exact.median).mean() >= 0.5 - 0.04
    assert (lengths < exact.median).mean() <= 0.5 + 0.04
    assert (lengths <= exact.p95).mean() == pytest.approx(0.95, abs=0.02)


def test_a_run_without_luck_has_the_length_that_counting_says() -> None:
    chart = Chart(weights=(33, -7), limit=100)
    assert run_length(chart, np.array([1.0, 0.0])) == (4.0, 4, 4)  # 33, 66, 99, 132
    assert mean_run(Chart(weights=(33, -7), limit=99), np.array([1.0, 0.0])) == 3.0  # the limit itself is an alarm


def test_a_geometric_run_length_has_the_geometric_quantiles() -> None:
    found = run_length(Chart(weights=(10, -5), limit=10), np.array([0.1, 0.9]))
    assert found.mean == pytest.approx(10.0)
    assert (found.median, found.p95) == (7, 29)


def test_moves_miss_only_the_alarms() -> None:
    moves = transitions(Chart(weights=(2, -1), limit=3), np.array([0.25, 0.75]))
    assert moves.tolist() == [[0.75, 0.0, 0.25], [0.75, 0.0, 0.0], [0.0, 0.75, 0.0]]


def test_grades_that_lead_to_the_same_sum_add_up() -> None:
    moves = transitions(Chart(weights=(1, -1, -2), limit=2), np.array([0.2, 0.3, 0.5]))
    assert moves.tolist() == [[0.8, 0.2], [0.8, 0.0]]


def test_the_worse_the_grade_the_more_it_adds() -> None:
    assert all(worse > better for worse, better in itertools.pairwise(GRADED.weights))
    added = [GRADED.add(grade) for grade in np.linspace(0.0, 1.0, LEVELS + 1)]
    assert added == list(GRADED.weights)
    assert GRADED.add(0.5 / LEVELS + 0.01) == GRADED.weights[1]


@given(st.floats(1e-4, 0.2))
def test_fewer_false_alarms_cost_a_higher_limit(false_alarms: float) -> None:
    assert design(false_alarms=false_alarms).limit >= design(false_alarms=min(0.9, 2.0 * false_alarms)).limit


def test_parts_that_are_less_alike_tell_more() -> None:
    tells = [run_length(design(levels=10, alike=a), grade_shares(CHANGED, 10, a)).mean for a in (0.2, ALIKE, 0.8)]
    assert tells == sorted(tells)


@pytest.mark.parametrize(
    "options",
    [
        {"normal": 0.0},
        {"changed": 1.0},
        {"normal": 0.4, "changed": 0.4},
        {"levels": 0},
        {"levels": 101},
        {"alike": 0.0},
        {"alike": 1.0},
        {"false_alarms": 0.0},
        {"false_alarms": 1.0},
    ],
)
def test_what_cannot_be_told_apart_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"no change to detect: .*{next(reversed(options))}="):
        design(**options)  # type: ignore[arg-type]


def test_shares_too_near_for_the_false_alarms_are_refused() -> None:
    with pytest.raises(ValueError, match="no limit keeps false_alarms=1e-30"):
        design(false_alarms=1e-30)
