from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.time import Instant, to_nanoseconds, to_seconds


@given(st.integers(-(10**15), 10**15))
def test_nanoseconds_survive_a_trip_through_float_seconds(nanoseconds: int) -> None:
    assert to_nanoseconds(to_seconds(nanoseconds)) == nanoseconds


def test_nanoseconds_are_rounded_to_the_nearest() -> None:
    assert (to_nanoseconds(0.1 + 0.2), to_nanoseconds(1e-10)) == (300_000_000, 0)


def test_instants_are_ordered_by_monotonic_time() -> None:
    assert Instant(1.0, 200.0) < Instant(2.0, 100.0)
