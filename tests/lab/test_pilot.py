from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshsim.lab import experiment, pilot
from meshsim.lab.trial import Trial
from meshsim.scenario import load

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A second passes between any two looks at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 1.0
        return self.now


def test_runs_take_what_their_first_moments_say(small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pilot, "time", Clock())
    monkeypatch.setattr(pilot, "MOMENT", 1.5)
    trials = [Trial(scenario=load("smoke", small), seed=seed, policy="direct") for seed in range(1, 8)]
    # one second to begin; two steps of a fiftieth each, with a look after either, and a look at the end: three more
    assert pilot.estimate(trials) == pytest.approx(7 * (1.0 + 3.0 * 25))


def test_a_moment_that_is_enough_for_the_whole_run_is_what_it_takes(
    small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilot, "MOMENT", 1000.0)
    taken = pilot.estimate([Trial(scenario=load("smoke", small), seed=1, policy="olsr")])
    assert 0.0 < taken < 1000.0


def test_dry_run_says_how_many_and_how_long_and_leaves_nothing(experiments: Path, tmp_path: Path) -> None:
    told = experiment.examine("tiny-question", out=tmp_path / "out", root=experiments, fresh=True)
    assert (told["runs"], told["done"], told["missing"]) == (4, 0, 4)
    assert told["seconds_left"] > 0.0
    assert not (tmp_path / "out").exists()
