from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshsim.lab import gnnet as lab
from meshsim.lab.gnnet import compare


@pytest.mark.full
def test_samples_of_both_years_are_held_to_the_goals_of_their_year(tmp_path: Path, gnnet: Callable[..., Path]) -> None:
    gnnet(tmp_path / "2021" / "a", "2021")
    gnnet(tmp_path / "2022" / "b", "2022")
    told: list[dict[str, Any]] = []
    answer = compare(tmp_path, samples=1, workers=1, progress=told.append)
    assert told == answer["tables"]["samples"]
    assert [row["sample"] for row in told] == ["2021/a/results_1_0:0", "2022/b/results_1_0:0"]
    goals = {goal["goal"]: goal for goal in answer["goals"]}
    assert goals["gnnet_2021_packet_delay_mape"]["target"] == 0.02
    assert goals["gnnet_2021_flow_delay_mape"]["target"] == 0.025
    assert [goal for goal in goals if goal.startswith("gnnet_2022")] == []  # at an intensity that is only reported
    assert all(row["transmission_delay_mape"] > 0.0 for row in told)
    assert [row["packet_unmeasured"] for row in told] == [0, 0]
    assert told[1]["packet_delay_mape_wfq"] == told[1]["packet_delay_mape"]


def test_a_flow_of_which_nothing_arrives_is_told(
    tmp_path: Path, gnnet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gnnet(tmp_path / "2022" / "b", "2022")
    monkeypatch.setattr(lab, "MOST_HOPS", 0.0)
    (row,) = compare(tmp_path, workers=1)["tables"]["samples"]
    assert (row["simulated_seconds"], row["packet_unmeasured"]) == (0.0, 1)
    assert math.isnan(row["packet_delay_mape"])
