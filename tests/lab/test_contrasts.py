from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from meshsim.lab.contrasts import contrast, judge, rows, verdicts, watched
from meshsim.lab.questions import Experiment
from meshsim.lab.stopping import Stopping, seeds_expected, seeds_more
from meshsim.lab.verdicts import Measure, amount, beats, sentence
from meshsim.measure.stats import Interval, fixed_width, holm, mean_p_value

SHARE = Measure("poor_call_rate", "", lower_is_better=True)
BYTES = Measure("control_bytes_per_node_second", " B/s", lower_is_better=True)
OPINION = Measure("mos", " MOS", lower_is_better=False)


def table_of(metric: str = "poor_call_rate", **values: Any) -> pd.DataFrame:
    """A metric of each policy by seed, in one world."""
    return pd.DataFrame(
        [
            {"variant": "", "policy": policy, "seed": seed, metric: value}
            for policy, of_seeds in values.items()
            for seed, value in enumerate(of_seeds)
        ]
    )


def asked(policies: list[str], seeds: int, **more: Any) -> Experiment:
    whole = {"question": "?", "scenario": "smoke", "policies": policies, "seeds": list(range(seeds))}
    return Experiment.model_validate(whole | more)


def drawn(seed: int, n: int, gap: float, spread: float = 0.01) -> dict[str, Any]:
    """Two policies that share their weather and differ by `gap`."""
    generator = np.random.default_rng(seed)
    weather = generator.normal(0.3, 0.1, n)
    return {"learned": weather + gap + generator.normal(0.0, spread, n), "weighted": weather}


def one_verdict(n: int = 20, metric: str = "poor_call_rate", **values: Any) -> tuple[bool, str]:
    experiment = asked(
        ["learned", "weighted"], n, compare=[{"better": "learned", "worse": "weighted", "metric": metric}]
    )
    told = contrast(experiment, table_of(metric, **values))
    ((held, text),) = verdicts(experiment, {pair: one.interval for pair, one in told.items()}, told)
    return held, text


def test_a_verdict_says_who_beats_whom_by_how_many_points_and_how_sure_that_is() -> None:
    held, text = one_verdict(**drawn(1, 20, -0.041))
    assert held
    assert text.startswith("learned beats weighted on poor_call_rate by 4.")
    assert " points (95 %, paired over 20 seeds; p < 0.0001, g = -" in text
    assert text.endswith("(very large), better on 20 of 20 seeds)")


def test_a_verdict_that_is_not_clear_says_the_difference_and_its_p_value() -> None:
    held, text = one_verdict(**drawn(2, 20, 0.0, 0.05))
    assert not held
    assert "learned does not clearly beat weighted on poor_call_rate: difference " in text
    assert "; p = 0." in text


def test_where_more_is_better_the_higher_one_beats() -> None:
    held, text = one_verdict(metric="mos", **drawn(3, 20, 0.5, 0.1))
    assert held
    assert " MOS (95 %" in text
    assert "better on 20 of 20 seeds" in text


def test_a_verdict_warns_of_few_seeds_of_ties_and_of_skewed_differences() -> None:
    assert "read with care: few seeds" in one_verdict(5, **drawn(4, 5, -0.1))[1]
    assert "read with care" not in one_verdict(8, **drawn(4, 8, -0.1))[1]
    ties: dict[str, Any] = {"learned": [0.2] * 12 + [0.1] * 8, "weighted": [0.2] * 20}
    assert "equal on most seeds" in one_verdict(**ties)[1]
    tail: dict[str, Any] = {"learned": np.random.default_rng(5).lognormal(0.0, 1.2, 20), "weighted": np.zeros(20)}
    assert "skewed differences" in one_verdict(**tail)[1]


def test_rows_tell_p_values_effects_and_notes_beside_the_difference() -> None:
    experiment = asked(["learned", "weighted"], 6, baseline={"policy": "weighted"})
    table = table_of(**drawn(6, 6, -0.05))
    told = contrast(experiment, table)
    judged = judge(experiment, table)
    (row,) = rows(judged, told)
    assert (row["seeds"], row["lower_on"], row["higher_on"], row["notes"]) == (6, 6, 0, "few seeds")
    assert row["cliffs_delta"] < 0.0
    assert row["hedges_g"] < 0.0
    assert set(rows(judged)[0]) < set(row)


def test_p_values_are_held_together_and_agree_with_the_intervals() -> None:
    generator = np.random.default_rng(7)
    values: dict[str, Any] = {
        name: generator.normal(0.3 - shift, 0.02, 10)
        for name, shift in zip("abcdef", (0, 0, 0, 0.02, 0.05, 0), strict=True)
    }
    experiment = asked(list(values), 10, baseline={"policy": "a"})
    told = contrast(experiment, table_of(**values))
    raw = [mean_p_value(values[pair.of[1]] - values["a"], 0.0) for pair in told]
    assert [one.p_value for one in told.values()] == holm(raw).tolist()
    assert all((one.p_value < 0.05) is one.interval.excludes_zero for one in told.values())
    assert {one.family for one in told.values()} == {5}


def test_after_stopping_a_difference_is_told_as_wide_as_was_asked() -> None:
    experiment = asked(["learned", "weighted"], 20, baseline={"policy": "weighted"})
    values = drawn(8, 20, -0.04)
    (found,) = contrast(experiment, table_of(**values), {"poor_call_rate": 0.03}).values()
    assert found.interval == pytest.approx(fixed_width(values["learned"] - values["weighted"], 0.03))
    (other,) = contrast(experiment, table_of(**values), {"mos": 0.03}).values()
    assert other.interval.high - other.interval.mean < 0.01


def test_what_is_watched_is_compared_or_each_cell() -> None:
    values = drawn(9, 4, -0.1) | {"broken": [0.1, math.nan, 0.2, 0.3]}
    plain = asked(["learned", "weighted", "broken"], 4)
    assert len(watched(plain, table_of(**values), "poor_call_rate")) == 2
    compared = asked(["learned", "weighted", "broken"], 4, baseline={"policy": "weighted"})
    (gaps,) = watched(compared, table_of(**values), "poor_call_rate")
    assert gaps == pytest.approx(values["learned"] - values["weighted"])


@pytest.mark.parametrize(
    ("measure", "gap", "told"),
    [
        (SHARE, Interval(-0.041, -0.047, -0.035), "-4.1 ± 0.6 points"),
        (SHARE, Interval(-0.041, -0.0551, -0.0269), "-4.1 ± 1.4 points"),
        (SHARE, Interval(0.2, 0.05, 0.35), "+20 ± 15 points"),
        (SHARE, Interval(0.02, 0.02, 0.02), "+2.0 ± 0.0 points"),
        (SHARE, Interval(0.02, math.nan, math.nan), "+2.0 ± unknown points"),
        (SHARE, Interval(0.0, 0.0, 0.0), "+0.00 ± 0.00 points"),
        (OPINION, Interval(0.31234, 0.30001, 0.32467), "+0.312 ± 0.012 MOS"),
        (BYTES, Interval(12345.0, 12000.0, 12690.0), "+12345 ± 345 B/s"),
        (Measure("honest_score@late", "", lower_is_better=False), Interval(0.5, 0.46, 0.54), "+0.50 ± 0.04"),
    ],
)  # fmt: skip
def test_a_difference_is_told_to_the_digits_that_mean_something(measure: Measure, gap: Interval, told: str) -> None:
    assert amount(measure, gap, signed=True) == told


def test_a_lower_share_beats_a_higher_one_and_the_other_way_round_for_opinions() -> None:
    below, above, unknown = Interval(-1, -2, -0.5), Interval(1, 0.5, 2), Interval(-1, math.nan, math.nan)
    assert [beats(SHARE, gap) for gap in (below, above, unknown)] == [True, False, False]
    assert [beats(OPINION, gap) for gap in (below, above, unknown)] == [False, True, False]
    assert sentence(OPINION, "a", "b", above) == "a beats b on mos by 1.0 ± 1.0 MOS"


# Stopping -------------------------------------------------------------------------------------------------------------


def taken(stopping: Stopping, values: Any, pool: int) -> int:
    n = 0
    while more := seeds_more(stopping, [values[:n]], n, pool):
        n += more
    return n


def test_seeds_are_taken_in_batches_until_it_is_enough_or_the_list_ends() -> None:
    values = np.random.default_rng(1).normal(0.0, 1.0, (50, 200))
    wanted = Stopping(half_width=0.3)
    counts = np.array([taken(wanted, row, 200) for row in values])
    assert 43 <= counts.mean() <= 52
    assert ((counts - wanted.at_least - wanted.batch) % wanted.batch == 0).all()
    assert taken(Stopping(half_width=0.1), values[0], 31) == 31
    assert taken(wanted, np.zeros(200), 200) == 14
    assert taken(wanted, values[0], 7) == 7


def test_about_as_many_seeds_are_expected_as_are_taken() -> None:
    values = np.random.default_rng(2).normal(0.0, 1.0, 200)
    wanted = Stopping(half_width=0.3, batch=2)
    assert seeds_expected(wanted, [values[:12]], 200) == pytest.approx(taken(wanted, values, 200), rel=0.4)
    assert seeds_expected(wanted, [], 200) == 12
    assert seeds_expected(wanted, [values[:12]], 20) == 20


def test_more_comparisons_take_more_seeds() -> None:
    values = np.random.default_rng(3).normal(0.0, 1.0, (6, 30))
    wanted = Stopping(half_width=0.3)
    assert seeds_expected(wanted, list(values), 500) > seeds_expected(wanted, [values[0]], 500)


@pytest.mark.parametrize(
    "said", [{"half_width": 0}, {"half_width": 0.1, "at_least": 2}, {"half_width": 0.1, "batch": 1}]
)
def test_a_rule_that_lets_chance_stop_is_refused(said: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Stopping.model_validate(said)
