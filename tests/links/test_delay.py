from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import ordered, transit

unit = st.floats(0.0, 1.0, exclude_max=True)


@given(st.floats(0.0, 1e6), st.floats(0.0, 1.0), st.floats(0.0, 1.0), unit)
def test_no_packet_is_faster_than_propagation(departure: float, propagation: float, jitter: float, u: float) -> None:
    arrival = transit(departure, propagation, jitter, u)
    assert departure + propagation <= arrival <= departure + propagation + 10.0 * jitter + 1e-9


@given(unit, unit)
def test_a_larger_draw_is_a_later_arrival(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert transit(0.0, 0.02, 0.005, low) <= transit(0.0, 0.02, 0.005, high)


def test_mean_jitter_is_the_scale() -> None:
    draws = np.random.default_rng(3).random(100_000)
    mean = np.mean([transit(0.0, 0.0, 0.005, u) for u in draws.tolist()])
    assert mean == pytest.approx(0.005, rel=0.02)


@given(st.lists(st.floats(0.0, 100.0), min_size=1))
def test_a_link_does_not_reorder(arrivals: list[float]) -> None:
    last, seen = 0.0, []
    for arrival in arrivals:
        last = ordered(arrival, last)
        seen.append(last)
    assert seen == sorted(seen)
    assert all(late >= early for late, early in zip(seen, arrivals, strict=True))
