from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh import units
from meshsim.mesh.errors import ConfigError

FACTORS = {kind: list(factors) for kind, factors in units._FACTORS.items()}
kinds_and_units = st.sampled_from([(kind, unit) for kind, names in FACTORS.items() for unit in names])


@given(st.floats(-1e12, 1e12), kinds_and_units, st.sampled_from(["", " "]))
def test_a_quantity_is_its_number_times_its_unit(number: float, kind_and_unit: tuple[str, str], space: str) -> None:
    kind, unit = kind_and_unit
    assert units.parse(f"{number!r}{space}{unit}", kind) == number * units.parse(f"1{unit}", kind)


@given(st.floats(-1e12, 1e12) | st.integers(-(10**9), 10**9))
def test_a_bare_number_is_in_the_base_unit(number: float) -> None:
    assert units.parse(number, "rate") == units.parse(str(number), "rate") == float(number)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1 h", "duration", 3600.0),
        ("3 us", "duration", 3e-6),
        (".5Gbps", "rate", 5e8),
        ("64 KiB", "size", 65536.0),
        ("50%", "probability", 0.5),
        ("2e3 km", "distance", 2e6),
    ],
)
def test_known_quantities(text: str, kind: str, value: float) -> None:
    assert units.parse(text, kind) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("20 mbps", "rate"),
        ("20 ms", "rate"),
        ("", "duration"),
        ("ms", "duration"),
        ("1 2 s", "duration"),
        ("nan", "rate"),
    ],
)
def test_what_is_no_quantity_is_refused_with_the_units_allowed(text: str, kind: str) -> None:
    with pytest.raises(ConfigError) as refused:
        units.parse(text, kind)
    assert refused.value.allowed == tuple(f"<number>{unit}" for unit in FACTORS[kind])


def test_a_yes_or_no_is_no_quantity() -> None:
    with pytest.raises(ConfigError, match="not a rate: True"):
        units.parse(True, "rate")


def test_eyes_get_milliseconds_and_megabits() -> None:
    assert (units.milliseconds(0.25), units.megabits(5e6)) == (250.0, 5.0)
