"""Quality: the published anchors of the E-model, the poor-call bounds, the composition of links."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh import quality

G711, G729 = (0.0, 25.1), (11.0, 19.0)


def test_default_connection_has_the_published_mos() -> None:
    assert float(quality.mos_of(93.2)) == pytest.approx(4.409, abs=5e-4)


@pytest.mark.parametrize(("rating", "mos"), [(90, 4.34), (80, 4.024), (70, 3.597), (60, 3.1), (50, 2.577)])
def test_mos_follows_annex_b(rating: float, mos: float) -> None:
    assert float(quality.mos_of(rating)) == pytest.approx(mos, abs=5e-3)


@pytest.mark.parametrize(("ms", "idd"), [(100, 0.0), (150, 0.164), (200, 3.044), (300, 14.761), (400, 24.07)])
def test_delay_impairment_follows_g107(ms: float, idd: float) -> None:
    assert float(quality.delay_impairment(ms / 1e3)) == pytest.approx(idd, abs=6e-3)


@pytest.mark.parametrize(
    ("codec", "percent", "mos"),
    [
        *((G711, 1, 4.328), (G711, 3, 4.134), (G711, 5, 3.923), (G711, 10, 3.411)),
        *((G729, 1, 3.946), (G729, 3, 3.632), (G729, 5, 3.340), (G729, 10, 2.745)),
    ],
)
def test_loss_impairment_gives_the_published_mos(codec: tuple[float, float], percent: float, mos: float) -> None:
    impairment = quality.loss_impairment(percent / 100, ie=codec[0], bpl=codec[1])
    assert float(quality.mos_of(quality.R_DEFAULT - impairment)) == pytest.approx(mos, abs=1.5e-3)


@pytest.mark.parametrize(("ie", "longest_ms"), [(0, 400), (5, 342), (10, 294), (15, 251)])
def test_largest_tolerable_delay_is_the_published_one(ie: float, longest_ms: int) -> None:
    delays = np.arange(100, 500) / 1e3
    tolerable = delays[94 - ie - quality.delay_impairment(delays) >= 70]
    assert round(1e3 * tolerable.max()) == pytest.approx(longest_ms, abs=1)


@pytest.mark.parametrize(("rtt", "jitter", "loss"), [(0.321, 0, 0), (0, 0.0121, 0), (0, 0, 0.0121), (np.nan, 0, 0)])
def test_one_bound_exceeded_makes_a_call_poor(rtt: float, jitter: float, loss: float) -> None:
    assert bool(quality.poor(rtt, jitter, loss))


def test_the_bounds_themselves_are_not_poor() -> None:
    assert not bool(quality.poor(quality.TARGET.rtt, quality.TARGET.jitter, quality.TARGET.loss))


probability = st.floats(0, 1)


@given(st.lists(probability, min_size=1, max_size=5), probability)
def test_another_link_never_lowers_loss_or_jitter(values: list[float], more: float) -> None:
    assert quality.compose_loss([*values, more]) >= quality.compose_loss(values) - 1e-12
    assert quality.compose_jitter([*values, more]) >= quality.compose_jitter(values)


@given(st.floats(0, 2), st.floats(0, 0.1), probability, st.floats(0, 1))
def test_worse_never_sounds_better(delay: float, jitter: float, loss: float, more: float) -> None:
    mos = float(quality.voice_mos(delay, jitter, loss))
    assert 1.0 <= mos <= 4.5
    assert float(quality.voice_mos(delay + more, jitter, loss)) <= mos + 1e-9
    assert float(quality.voice_mos(delay, jitter + more, loss)) <= mos + 1e-9
    assert float(quality.voice_mos(delay, jitter, min(1.0, loss + more))) <= mos + 1e-9
