from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.lab import changes
from meshsim.scenario import load


def test_scenarios_that_are_equal_differ_in_nothing() -> None:
    assert changes.differing({"a": load("smoke"), "b": load("smoke")}) == ([], [[], []])


def test_a_list_that_is_longer_differs_in_what_the_other_has_not() -> None:
    keys, (plain, more) = changes.differing(
        {"plain": load("tiny", ["misbehaviour=[]"]), "more": load("tiny", ["misbehaviour=[{kind: gray_hole}]"])}
    )
    assert "misbehaviour.0.kind" in keys
    assert more[keys.index("misbehaviour.0.kind")] == "gray_hole"
    assert plain[keys.index("misbehaviour.0.kind")] == changes.UNSAID


@settings(max_examples=8, deadline=None)
@given(rate=st.floats(0.1, 9.0), minutes=st.integers(2, 50))
def test_overrides_make_one_scenario_of_the_other(rate: float, minutes: int) -> None:
    after = load("tiny", [f"calls.rate={rate!r}", f"duration={minutes} min"])
    said = changes.overrides(load("tiny"), after)
    assert load("tiny", said) == after
