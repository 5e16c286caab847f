from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from meshsim.trust.interval import beta_quantiles

PROBABILITIES = (0.005, 0.025, 0.1, 0.5, 0.9, 0.975, 0.995)


@pytest.mark.parametrize(("least", "error"), [(1.0, 2e-6), (0.2, 1e-4)])
def test_quantiles_agree_with_scipy(least: float, error: float) -> None:
    generator = np.random.default_rng(17)
    a, b = np.exp(generator.uniform(np.log(least), np.log(1e5), (2, 3000)))
    for probability, found in zip(PROBABILITIES, beta_quantiles(a, b, PROBABILITIES), strict=True):
        np.testing.assert_allclose(found, stats.beta.ppf(probability, a, b), rtol=0, atol=error)


def test_quantiles_of_swapped_parameters_mirror() -> None:
    a, b = np.array([1.0, 3.0, 250.0]), np.array([40.0, 2.0, 7.0])
    (low,), (high,) = beta_quantiles(a, b, (0.025,)), beta_quantiles(b, a, (0.975,))
    np.testing.assert_allclose(low, 1.0 - high, atol=1e-9)


def test_quantiles_are_the_same_alone_and_among_many() -> None:
    a, b = np.exp(np.random.default_rng(3).uniform(0.0, 6.0, (2, 2500)))
    among = beta_quantiles(a, b, (0.025, 0.975))
    for k in (0, 1023, 1024, 2499):
        alone = beta_quantiles(a[k : k + 1], b[k : k + 1], (0.025, 0.975))
        assert [float(column[0]) for column in alone] == [float(column[k]) for column in among]


def test_quantiles_far_out_are_right_in_log_odds() -> None:
    generator = np.random.default_rng(29)
    a, b = np.exp(generator.uniform(0.0, np.log(300.0), (2, 200)))
    for probability in (1e-10, 1e-9, 1e-7):
        (low,), (high,) = beta_quantiles(a, b, (probability,)), beta_quantiles(b, a, (1.0 - probability,))
        exact = stats.beta.ppf(probability, a, b)
        np.testing.assert_allclose(np.log(low / (1.0 - low)), np.log(exact / (1.0 - exact)), atol=2e-3)
        mirrored = stats.beta.isf(1.0 - (1.0 - probability), b, a)
        np.testing.assert_allclose(np.log(high / (1.0 - high)), np.log(mirrored / (1.0 - mirrored)), atol=2e-3)


def test_no_nodes_have_no_quantiles() -> None:
    assert beta_quantiles(np.empty(0), np.empty(0), (0.5,))[0].shape == (0,)
