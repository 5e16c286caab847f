from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import compiled, fit_gilbert, fit_gilbert_elliott, gilbert_elliott
from meshsim.links.fit import Counts, GilbertElliott, expected
from meshsim.mesh.errors import ConfigError

PACKETS = 200_000


def losses(channel: GilbertElliott, seed: int, packets: int = PACKETS) -> np.ndarray:
    draws = np.random.default_rng(seed).random((packets, 2)).tolist()
    bad, lost = False, np.empty(packets)
    for i, (u, v) in enumerate(draws):
        bad, lost[i] = gilbert_elliott(bad, u, v, *channel)
    return lost


@pytest.fixture(scope="module")
def step() -> Callable[..., Counts]:
    return compiled(expected, numba.njit)


@pytest.mark.parametrize("channel", [GilbertElliott(0.01, 0.25, 0.0, 1.0), GilbertElliott(0.2, 0.5, 0.0, 1.0)])
def test_a_gilbert_channel_is_found_from_its_transitions(channel: GilbertElliott) -> None:
    found = fit_gilbert(losses(channel, 1, 100_000))
    assert found.p == pytest.approx(channel.p, rel=0.1)
    assert found.r == pytest.approx(channel.r, rel=0.1)


@pytest.mark.parametrize(
    "channel",
    [
        GilbertElliott(0.05, 0.3, 0.01, 0.9),
        pytest.param(GilbertElliott(0.01, 0.1, 0.001, 0.7), marks=pytest.mark.full),
        pytest.param(GilbertElliott(0.002, 0.02, 0.0, 0.4), marks=pytest.mark.full),
    ],
)
def test_a_gilbert_elliott_channel_is_found_within_ten_percent(
    step: Callable[..., Counts], channel: GilbertElliott
) -> None:
    found = fit_gilbert_elliott(losses(channel, 2), step=step)
    assert found.p == pytest.approx(channel.p, rel=0.1)
    assert found.r == pytest.approx(channel.r, rel=0.1)
    assert found.bad_loss == pytest.approx(channel.bad_loss, rel=0.05)
    assert found.good_loss == pytest.approx(channel.good_loss, abs=0.002)
    assert found.loss == pytest.approx(channel.loss, rel=0.1)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60))
def test_every_trace_has_a_fit_with_probabilities_and_the_bad_state_worse(trace: list[float]) -> None:
    for found in (fit_gilbert(trace), fit_gilbert_elliott(trace, iterations=20)):
        assert all(0.0 <= value <= 1.0 for value in found)
        assert found.good_loss <= found.bad_loss
        assert 0.0 <= found.loss <= 1.0


def test_each_round_of_the_fit_raises_the_likelihood() -> None:
    lost = losses(GilbertElliott(0.05, 0.3, 0.01, 0.9), 3, 2000)
    room = np.empty((2, len(lost)))
    likelihoods = [
        expected(lost, *room, *fit_gilbert_elliott(lost, iterations=rounds)).log_likelihood for rounds in range(8)
    ]
    assert likelihoods == sorted(likelihoods)


def test_a_compiled_pass_over_a_trace_is_the_plain_one(step: Callable[..., Counts]) -> None:
    lost = losses(GilbertElliott(0.05, 0.3, 0.01, 0.9), 4, 2000)
    fast, plain = np.empty((2, len(lost))), np.empty((2, len(lost)))
    assert step(lost, *fast, 0.1, 0.2, 0.1, 0.8) == pytest.approx(expected(lost, *plain, 0.1, 0.2, 0.1, 0.8), rel=1e-12)


def test_expected_counts_of_visible_states_are_the_counts() -> None:
    lost = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    counts = expected(lost, *np.empty((2, 6)), 0.3, 0.4, 0.0, 1.0)
    assert counts[:6] == pytest.approx((2.0, 1.0, 3.0, 2.0, 3.0, 3.0))


@pytest.mark.parametrize(
    ("trace", "p", "r"), [([0.0] * 9, 0.0, 1.0), ([1.0] * 9, 1.0, 0.0), ([0.0], 0.0, 1.0), ([1.0], 1.0, 0.0)]
)
def test_a_trace_of_one_kind_is_a_channel_that_never_changes(trace: list[float], p: float, r: float) -> None:
    assert fit_gilbert(trace) == fit_gilbert_elliott(trace) == GilbertElliott(p, r, 0.0, 1.0)


def test_the_states_are_named_by_their_losses() -> None:
    lost = losses(GilbertElliott(0.05, 0.3, 0.01, 0.9), 6, 1000)

    def inverted(*arguments: object) -> Counts:
        """As if the losses had been found in the state called good."""
        return Counts(30.0, 40.0, 200.0, 800.0, 800.0, 8.0, 0.0)

    found = fit_gilbert_elliott(lost, step=inverted)
    assert found[:2] == (40.0 / 800.0, 30.0 / 200.0)
    assert found[2:] == pytest.approx((8.0 / 800.0, (lost.sum() - 8.0) / 200.0))


def test_a_channel_that_is_mostly_bad_is_found(step: Callable[..., Counts]) -> None:
    lost = losses(GilbertElliott(0.3, 0.05, 0.01, 0.9), 5, 20_000)  # mostly bad
    found = fit_gilbert_elliott(lost, step=step)
    assert found.good_loss < found.bad_loss
    assert found.loss == pytest.approx(lost.mean(), rel=0.02)


@pytest.mark.parametrize("trace", [[], [0.0, 0.5], [2.0]])
def test_what_is_no_loss_trace_is_refused_by_name(trace: list[float]) -> None:
    for fit in (fit_gilbert, fit_gilbert_elliott):
        with pytest.raises(ConfigError, match=r"loss\.trace"):
            fit(trace)
