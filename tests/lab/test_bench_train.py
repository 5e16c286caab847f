from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.lab.bench.train import _calls, _shipped, run
from meshsim.learn.config import load_config
from meshsim.routing.artefact import find_model

CARD = """\
| use | graphs | scenario and seeds | calls |
|---|---|---|---|
| train | sndlib/geant | demo 1, 2 | 153,712 |
| report | topozoo/Quest | demo 4 | 6,488 |
"""


def test_calls_of_a_split_are_read_off_the_card(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(CARD, encoding="utf-8")
    assert (_calls(card, "train"), _calls(card, "report")) == (153_712, 6_488)


@pytest.mark.full
def test_the_packaged_scorers_minutes_are_the_sum_of_its_parts() -> None:
    plan = load_config(find_model("route-scorer") / "train.yaml")
    told = _shipped({"episode_s": 2.0, "call_load_s": 0.0, "call_epoch_s": 0.0})
    assert told["minutes"] == pytest.approx(2.0 * len(list(plan.wanted())) / 60.0)
    told = _shipped({"episode_s": 0.0, "call_load_s": 0.0, "call_epoch_s": 0.5})
    assert told["minutes"] == pytest.approx(0.5 * plan.optimisation.epochs * told["calls"] / 60.0)


@pytest.mark.full
def test_the_benchmark_measures_each_way_on_the_same_calls() -> None:
    found = run(quick=True)
    rows = found["tables"]["epochs"]
    assert [(row["rounds"], row["views_per_step"], row["processes"]) for row in rows] == [
        (0, 8, 1),
        (0, 1, 1),
        (3, 8, 1),
    ]
    calls = {round(row["seconds_per_epoch"] * row["calls_per_second"]) for row in rows}
    (memory,) = found["tables"]["memory"]
    assert len(calls) == 1
    assert 0 < calls.pop() < memory["calls"]
    assert 0 < memory["peak_with_data_mb"] <= memory["peak_after_epochs_mb"]
    assert [goal["goal"] for goal in found["goals"]] == ["batched_over_one_view", "route_scorer_minutes"]
