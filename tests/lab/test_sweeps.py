from __future__ import annotations

import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from meshsim.lab.adaptive import Adaptive, crossings, refine
from meshsim.lab.axes import Range, shown
from meshsim.lab.sweeps import Sweep, check, points
from meshsim.measure.stats import Interval
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import load
from meshsim.scenario.problems import explain
from meshsim.scenario.text import parse

words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]))


class Whole(BaseModel):
    """A file with a sweep in it, as an experiment is."""

    sweep: Sweep


def read(text: str) -> Sweep:
    """The sweep of a file, with mistakes explained as experiments explain them."""
    parsed = parse(text, file="experiment.yaml")
    try:
        return Whole.model_validate(parsed.value).sweep
    except ValidationError as error:
        raise explain(error, Whole, parsed, file="experiment.yaml", overrides={}) from error


def sweep(**said: Any) -> Sweep:
    return Sweep.model_validate(said)


def test_a_grid_is_every_combination_in_order() -> None:
    found = points(sweep(grid={"calls.rate": [0.5, 1], "nodes.relays.count": [20, 40, 80]}))
    assert [point.name for point in found[:4]] == [
        "rate=0.5,count=20",
        "rate=0.5,count=40",
        "rate=0.5,count=80",
        "rate=1,count=20",
    ]
    assert found[-1].overrides == ("calls.rate=1", "nodes.relays.count=80")
    assert found[-1].values == {"calls.rate": 1, "nodes.relays.count": 80}
    assert len(found) == 6


def test_a_zip_takes_values_together_and_may_repeat_them() -> None:
    found = points(sweep(zip={"a.rate": [1, 1, 2], "b.rate": [5, 6, 6]}))
    assert [point.name for point in found] == ["a.rate=1,b.rate=5", "a.rate=1,b.rate=6", "a.rate=2,b.rate=6"]


def test_an_attack_is_a_bundle_of_overrides_under_a_name() -> None:
    ring = ["misbehaviour=[{kind: gray_hole, share: 0.3}]", "trust.model=beta"]
    found = points(sweep(grid={"attack": {"calm": [], "ring": ring}, "calls.rate": [2]}))
    assert [(point.name, point.overrides) for point in found] == [
        ("attack=calm,rate=2", ("calls.rate=2",)),
        ("attack=ring,rate=2", (*ring, "calls.rate=2")),
    ]
    assert found[1].axes == ("attack", "attack", "calls.rate")


@given(st.integers(1, 40), st.integers(-5, 5))
def test_a_latin_hypercube_meets_every_stratum_of_every_axis_once(n: int, seed: int) -> None:
    of = {"x": {"low": -3, "high": 7}, "y": {"low": 1e-3, "high": 10, "scale": "log"}}
    found = points(sweep(latin={"points": n, "seed": seed, "of": of}))
    x = np.array([point.values["x"] for point in found], dtype=float)
    y = np.log10(np.array([point.values["y"] for point in found], dtype=float))
    for share in ((x + 3) / 10, (y + 3) / 4):
        assert (np.abs(np.sort(share) * n - np.arange(n) - 0.5) <= 0.5 + 0.01 * n).all()


def test_an_axis_more_shifts_no_draw_of_the_others() -> None:
    of = {"x": {"low": 0, "high": 1}, "kind": ["a", "b", "c"]}
    plain = points(sweep(latin={"points": 9, "of": of}))
    more = points(sweep(latin={"points": 9, "of": {"n": {"low": 1, "high": 9, "whole": True}, **of}}))
    assert [point.values["x"] for point in plain] == [point.values["x"] for point in more]
    assert [point.values["kind"] for point in plain] == [point.values["kind"] for point in more]
    assert sorted(point.values["n"] for point in more) == list(range(1, 10))
    assert sorted(point.values["kind"] for point in plain) == list("aaabbbccc")


def test_equal_points_of_a_hypercube_are_run_once() -> None:
    assert len(points(sweep(latin={"points": 50, "of": {"n": {"low": 1, "high": 3, "whole": True}}}))) == 3


def test_numbers_of_a_range_may_have_a_unit() -> None:
    (point,) = points(sweep(latin={"points": 1, "of": {"duration": {"low": 60, "high": 61, "unit": "s"}}}))
    assert point.overrides[0].endswith("s")
    assert 60 <= load("tiny", point.overrides).duration <= 61


@given(st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), words))
def test_an_override_reads_back_as_the_value_that_was_swept(value: bool | float | str) -> None:  # noqa: FBT001 - a drawn value
    back = parse(shown(value), file="").value
    assert back == value
    assert isinstance(back, str) is isinstance(value, str)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.floats(0, 1, exclude_max=True))
def test_a_number_of_a_range_lies_in_it_and_near_its_share(low: float, width: float, share: float) -> None:
    given_range = Range(low=low, high=low + max(width, abs(low) * 1e-3))
    value = given_range.at(share)
    assert given_range.low <= value <= given_range.high
    exact = low + share * (given_range.high - low)
    assert abs(value - exact) <= 1.001e-3 * (given_range.high - low) + 1e-9 * abs(low)


@pytest.mark.parametrize(
    ("text", "line", "key", "told", "nearest"),
    [
        ("sweep: {grd: {a: [1]}}", 1, "sweep.grd", "unknown key 'grd'", "grid"),
        ("sweep: {}", 1, "sweep", "one of its kinds, not 0", None),
        ("sweep:\n  grid: {a: [1]}\n  zip: {a: [1]}", 1, "sweep", "one of its kinds, not 2", None),
        ("sweep:\n  grid:\n    a: 3", 3, "sweep.grid.a", "not an axis: 3", None),
        ("sweep:\n  grid:\n    a: []", 3, "sweep.grid.a", "not an axis", None),
        ("sweep:\n  grid:\n    a: [[1, 2]]", 3, "sweep.grid.a", "give it a name", None),
        ("sweep:\n  grid:\n    a: {calm: b=1}", 3, "sweep.grid.a", "'calm' is no list", None),
        ("sweep:\n  grid:\n    a: {}", 3, "sweep.grid.a", "without values", None),
        ("sweep:\n  grid: {a: [1, 2, 1]}", 1, "sweep", "two points would be called 'a=1'", None),
        ("sweep:\n  zip: {a: [1, 2], b: [1]}", 1, "sweep", "a has 2, b has 1", None),
        ("sweep:\n  latin: {points: 0, of: {a: [1]}}", 2, "sweep.latin.points", "out of range: 0", None),
        (
            "sweep:\n  latin:\n    points: 3\n    of:\n      a: {low: 1, hihg: 2}",
            5,
            "sweep.latin.of.a",
            "'hihg'",
            "high",
        ),
        ("sweep:\n  latin: {points: 3, of: {a: {low: 3, high: 2}}}", 2, "sweep.latin.of.a", "no range", None),
        (
            "sweep:\n  latin: {points: 3, of: {a: {low: 0, high: 2, scale: log}}}",
            2,
            "sweep.latin.of.a",
            "logarithm",
            None,
        ),
        (
            "sweep:\n  latin: {points: 3, of: {a: {low: 1, high: 2, scale: lg}}}",
            2,
            "sweep.latin.of.a",
            "'lg'",
            None,
        ),
        ("sweep:\n  adaptive: {key: a, low: 1, high: 2}", 2, "sweep.adaptive.threshold", "missing", None),
        (
            "sweep:\n  adaptive: {key: a, low: 1, high: 2, threshold: 1, start: 9, points: 3}",
            2,
            "sweep.adaptive",
            "9 of",
            None,
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(text: str, line: int, key: str, told: str, nearest: str | None) -> None:
    with pytest.raises(ConfigError) as error:
        read(text)
    found = error.value
    assert (found.line, found.key, found.nearest) == (line, key, nearest), str(found)
    assert told in found.message


def test_more_points_than_anybody_runs_are_refused() -> None:
    with pytest.raises(ValidationError, match="1000000 points"):
        sweep(grid={"a": list(range(1000)), "b": list(range(1000))})


@pytest.mark.parametrize(
    ("text", "line", "key", "nearest"),
    [
        ("sweep:\n  grid:\n    calls.rat:\n      - 1\n      - 2", 4, "sweep.grid.calls.rat.0", "rate"),
        ("sweep:\n  grid:\n    calls.rate:\n      - 1\n      - fast", 5, "sweep.grid.calls.rate.1", None),
        (
            "sweep:\n  grid:\n    attack:\n      calm: []\n      ring: [trust.modl=beta]",
            5,
            "sweep.grid.attack.ring",
            "model",
        ),
        (
            "sweep:\n  latin:\n    points: 2\n    of:\n      calls.rte: {low: 1, high: 2}",
            5,
            "sweep.latin.of.calls.rte",
            "rate",
        ),
        ("sweep:\n  adaptive: {key: calls.rt, low: 1, high: 2, threshold: 1}", 2, "sweep.adaptive.key", "rate"),
    ],
)
def test_a_key_that_no_scenario_has_is_told_where_it_is_swept(
    text: str, line: int, key: str, nearest: str | None
) -> None:
    with pytest.raises(ConfigError) as error:
        check(read(text), lambda overrides: load("tiny", overrides), parse(text, file="e.yaml"), "e.yaml")
    assert (error.value.file, error.value.line, error.value.key) == ("e.yaml", line, key)
    assert error.value.nearest == nearest


def test_a_mistake_of_the_base_is_told_at_the_sweep() -> None:
    text = "question: x\nsweep:\n  grid: {calls.rate: [1]}"
    with pytest.raises(ConfigError) as error:
        check(
            sweep(grid={"calls.rate": [1]}),
            lambda overrides: load("tiny", ["no=1", *overrides]),
            parse(text, file=""),
            "e",
        )
    assert (error.value.line, error.value.key) == (2, "sweep")


def test_the_sweeps_of_the_docs_can_be_run(root: Path) -> None:
    page = (root / "docs" / "statistics.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if block.startswith("sweep:")]
    assert len(blocks) == 4
    for block in blocks:
        check(read(block), lambda overrides: load("smoke", overrides), parse(block, file=""), "statistics.md")


# Adaptive -------------------------------------------------------------------------------------------------------------


def sought(**said: Any) -> Adaptive:
    return Adaptive.model_validate({"key": "calls.rate", "low": 0, "high": 10, "threshold": 0.5, **said})


def curve(where: float, half: float = 0.01, steep: float = 0.2) -> Any:
    """A metric that rises through 0.5 at `where`."""
    return lambda x: Interval(
        0.5 + steep * (x - where), 0.5 + steep * (x - where) - half, 0.5 + steep * (x - where) + half
    )


def chase(asked: Adaptive, *curves: Any) -> dict[float, list[Interval]]:
    """All rounds to the end."""
    told: dict[float, list[Interval]] = {}
    todo = points(Sweep(adaptive=asked))
    while todo:
        told |= {float(point.values[asked.key]): [of(point.values[asked.key]) for of in curves] for point in todo}
        todo = refine(asked, told)
    return told


def test_the_first_round_spreads_over_the_range_with_both_ends() -> None:
    assert [point.name for point in points(Sweep(adaptive=sought()))] == [
        "rate=0",
        "rate=2.5",
        "rate=5",
        "rate=7.5",
        "rate=10",
    ]
    log = points(Sweep(adaptive=sought(low=0.01, high=100, scale="log")))
    assert [point.values["calls.rate"] for point in log] == [0.01, 0.1, 1.0, 10.0, 100.0]


@given(st.floats(0.3, 9.7))
def test_a_crossing_is_found_and_bracketed(where: float) -> None:
    asked = sought()
    told = chase(asked, curve(where))
    (found,) = crossings(asked, told)
    assert found.mean == pytest.approx(where, abs=1e-6)
    assert found.low <= where <= found.high
    assert found.high - found.low <= 2 * 10 / 4
    assert len(told) <= asked.points


def test_points_that_noise_hides_are_not_divided_any_more() -> None:
    told = chase(sought(points=200, resolution=1e-6), curve(3.3, half=0.3))
    assert len(told) < 12
    (found,) = crossings(sought(), told)
    assert found.high - found.low > 2.0


def test_every_policy_has_its_own_crossings() -> None:
    asked = sought(points=40)
    told = chase(asked, curve(2.0 + 1 / 3), curve(8.1))
    assert [crossings(asked, told, which)[0].mean for which in (0, 1)] == pytest.approx([2.0 + 1 / 3, 8.1])


def test_where_nothing_crosses_there_is_no_second_round() -> None:
    told = chase(sought(), curve(50.0))
    assert len(told) == 5
    assert crossings(sought(), told) == []
    unknown = {0.0: [Interval(math.nan, math.nan, math.nan)], 10.0: [Interval(0.9, 0.8, 1.0)]}
    assert (refine(sought(), unknown), crossings(sought(), unknown)) == ([], [])


def test_whole_numbers_stay_whole_and_end_where_there_is_none_between() -> None:
    told = chase(sought(whole=True, resolution=1e-6, points=100), curve(6.4, half=1e-6))
    assert {6.0, 7.0} <= set(told)
    assert all(value == int(value) for value in told)
    assert len(told) < 10


@pytest.mark.parametrize(
    "said",
    [
        {"grid": {"calls.rate": [0.5, 1], "attack": {"calm": [], "ring": ["trust.model=beta"]}}},
        {"zip": {"a": [1, 2], "b": [True, "x"]}},
        {"latin": {"points": 5, "of": {"a": {"low": 1, "high": 2, "unit": "ms"}, "b": ["x", "y"]}}},
        {"adaptive": {"key": "a", "low": 1, "high": 2, "threshold": 0.1}},
    ],
)
def test_a_sweep_survives_being_written_down_and_its_points_being_sent(said: dict[str, Any]) -> None:
    asked = Sweep.model_validate(said)
    again = Sweep.model_validate_json(asked.model_dump_json())
    assert again == asked
    assert points(again) == points(asked)
    assert pickle.loads(pickle.dumps(points(asked))) == points(asked)  # noqa: S301 - of our own making
    assert Sweep.model_json_schema()["title"] == "Sweep"
