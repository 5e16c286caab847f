"""Probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.learn.calibration import (
    auc,
    calibration_error,
    fit_confidence,
    fit_margins,
    fit_platt,
    isotonic,
)
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.calibration import sigmoid


def test_platt_recovers_a_known_slope_and_offset() -> None:
    draw = SeedTree(1).generator("platt")
    logit = draw.normal(0.0, 3.0, 20_000)
    ok = draw.random(20_000) < sigmoid(0.5 * logit - 0.7)
    slope, offset = fit_platt(logit, ok)
    assert slope == pytest.approx(0.5, abs=0.03)
    assert offset == pytest.approx(-0.7, abs=0.05)


@pytest.mark.parametrize("ok", [np.ones(4, dtype=bool), np.zeros(4, dtype=bool), np.array([0, 0, 1, 1], dtype=bool)])
def test_platt_stays_finite_on_one_sided_or_separable_samples(ok: np.ndarray) -> None:
    slope, offset = fit_platt(np.array([-2.0, -1.0, 1.0, 2.0]), ok)
    assert np.isfinite([slope, offset]).all()
    assert slope > 0


def test_platt_brings_the_calibration_error_down() -> None:
    draw = SeedTree(2).generator("platt")
    logit = draw.normal(0.0, 4.0, 5000)
    ok = draw.random(5000) < sigmoid(0.3 * logit + 1.0)
    slope, offset = fit_platt(logit, ok)
    assert calibration_error(sigmoid(slope * logit + offset), ok) < 0.02 < calibration_error(sigmoid(logit), ok)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=40))
def test_isotonic_does_not_fall_and_keeps_the_mean(values: list[float]) -> None:
    array = np.array(values)
    fitted = isotonic(array, np.ones(len(array)))
    assert np.all(np.diff(fitted) >= -1e-12)
    assert fitted.mean() == pytest.approx(array.mean(), abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=60))
def test_confidence_does_not_fall_with_the_score_and_is_a_probability(pairs: list[tuple[float, bool]]) -> None:
    steps = fit_confidence(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]))
    assert len(steps.values) == len(steps.ai_score) + 1
    answered = steps.at(np.linspace(0, 100, 50))
    assert np.all(np.diff(answered) >= 0)
    assert np.all((answered >= 0) & (answered <= 1))


def test_confidence_follows_the_frequency() -> None:
    draw = SeedTree(3).generator("confidence")
    score = 100.0 * draw.random(20_000)
    near = draw.random(20_000) < score / 100.0
    steps = fit_confidence(score, near)
    assert np.abs(steps.at(np.array([5.0, 55.0, 95.0])) - [0.05, 0.55, 0.95]).max() < 0.05


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), max_size=30))
def test_auc_equals_its_definition(pairs: list[tuple[float, bool]]) -> None:
    good = [score for score, positive in pairs if positive]
    bad = [score for score, positive in pairs if not positive]
    found = auc(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs], dtype=bool))
    if not good or not bad:
        assert np.isnan(found)
    else:
        wins = [(a > b) + 0.5 * (a == b) for a in good for b in bad]
        assert found == pytest.approx(float(np.mean(wins)))


def test_nothing_to_calibrate_on_is_said() -> None:
    with pytest.raises(ValueError, match="no outcomes"):
        fit_platt(np.empty(0), np.empty(0, dtype=bool))
    with pytest.raises(ValueError, match="no outcomes"):
        fit_confidence(np.empty(0), np.empty(0, dtype=bool))
    assert np.isnan(calibration_error(np.empty(0), np.empty(0, dtype=bool)))


def test_margins_leave_a_twentieth_of_new_outcomes_beyond_each_end() -> None:
    draw = SeedTree(5).generator("margins")

    def outcomes(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        place = draw.integers(0, 2, count)
        error = draw.normal(0.0, 1.0 + place[:, None], (count, 3))  # the second bucket errs twice as far
        return np.full((count, 6), 0.3), error, place

    spread, error, place = outcomes(20_000)
    margins = np.array(fit_margins(spread, error, place))
    spread, error, place = outcomes(20_000)
    ends = spread + margins[place]
    for k in range(3):
        for bucket in (0, 1):
            mine = place == bucket
            assert np.mean(error[mine, k] < -ends[mine, 2 * k]) == pytest.approx(0.05, abs=0.01)
            assert np.mean(error[mine, k] > ends[mine, 2 * k + 1]) == pytest.approx(0.05, abs=0.01)


def test_a_bucket_with_few_outcomes_takes_the_margins_of_all() -> None:
    draw = SeedTree(6).generator("few")
    place = np.where(np.arange(3000) < 10, 1, 0)
    margins = fit_margins(np.zeros((3000, 6)), draw.normal(size=(3000, 3)), place)
    assert margins[1] == margins[2] == pytest.approx(margins[0], abs=0.05)
