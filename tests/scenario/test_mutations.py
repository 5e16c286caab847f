"""Whatever is done to a scenario file, it is one error with its line, or a run: never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.cli import main
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import Plan, compile_plan, load
from meshsim.sim import begin
from mutants import MUTATIONS, PRESETS, mutant

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 2 * len(MUTATIONS) * len(list(PRESETS.glob("*.yaml")))
"""Two of each mutation of each preset."""

LARGE = 100
"""Nodes above which a plan is not compiled in the fast tier: presets of thousands take seconds."""

RUN = 5.0
"""Seconds for which a sample of the valid ones is really run."""


def outcome(number: int, folder: Path, *, large: int) -> ConfigError | Plan | None:
    """The error of a mutant, its plan, or None for one that is valid but large."""
    _, _, data = mutant(number)
    path = folder / f"mutant-{number}.yaml"
    path.write_bytes(data)
    try:
        scenario = load(path)
        return compile_plan(scenario, seed=1) if scenario.nodes.count <= large else None
    except ConfigError as error:
        return error


def check(numbers: range, folder: Path, *, large: int) -> list[Plan]:
    """Holds mutants to the claim; returns the plans of the valid ones."""
    plans = []
    for number in numbers:
        found = outcome(number, folder, large=large)
        if isinstance(found, ConfigError):
            assert found.file is not None
            assert found.file.endswith(f"mutant-{number}.yaml")
            assert found.line is not None, (number, *mutant(number)[:2], str(found))
        elif found is not None:
            plans.append(found)
    return plans


def test_two_hundred_mutated_scenarios_are_errors_with_a_line_or_valid_runs(tmp_path):
    assert COUNT >= 200
    plans = check(range(COUNT), tmp_path, large=LARGE)
    assert 10 < len(plans) < COUNT / 2
    for place in np.random.default_rng(4).choice(len(plans), 5, replace=False).tolist():
        run_briefly(plans[place], tmp_path / f"run-{place}")


@pytest.mark.full
@pytest.mark.parametrize("part", range(6))
def test_thousands_more_are(part, tmp_path):
    plans = check(range(1000 + 200 * part, 1200 + 200 * part), tmp_path, large=2000)
    for place, plan in enumerate(plans[::4]):
        run_briefly(plan, tmp_path / f"run-{place}")


def run_briefly(plan: Plan, out: Path) -> None:
    episode = begin(plan, out)
    if plan.scenario.duration > RUN:
        episode.advance(RUN)
        episode.env.cancel({"end"})
        episode.env.schedule_record(RUN, "end", 0)
    assert episode.finish().counts["rows_nodes"] == len(plan.nodes)


def test_mutants_are_functions_of_their_number():
    assert [mutant(n) for n in range(40)] == [mutant(n) for n in range(40)]
    changed = [mutant(n)[2] != (PRESETS / f"{mutant(n)[0]}.yaml").read_bytes() for n in range(COUNT)]
    assert sum(changed) > 0.9 * COUNT


@pytest.mark.parametrize("number", range(0, 60, 6))
def test_the_command_line_answers_with_a_line_and_no_traceback(number, tmp_path, capsys):
    path = tmp_path / "mutant.yaml"
    path.write_bytes(mutant(number)[2])
    code = main(["config", "validate", str(path)])
    told = capsys.readouterr()
    assert code in (0, 2)
    assert "Traceback" not in told.err
    assert code == 0 or f"{path}:" in told.err


# Extremes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("calls.rate=-1", "calls.rate"),
        ("underlay.capacity=0", "underlay.capacity"),
        ("underlay.capacity=-5 Mbps", "underlay.capacity"),
        ("nodes.access.peer.up=0", "nodes.access.peer.up"),
        ("duration=0", "duration"),
        ("duration=1e300", "duration"),
        ("warmup=1 h", "warmup"),
        ("control.heartbeat=0", "control.heartbeat"),
        ("control.digest_period=1e-300", "control.digest_period"),
        ("record.link_period=1 us", "record.link_period"),
        ("underlay.drift.period=0", "underlay.drift.period"),
        ("underlay.loss=200%", "underlay.loss"),
        ("nodes.count=0", "nodes"),
        ("nodes.count=-3", "nodes.count"),
        ("nodes.count=1000000", "nodes.count"),
        ("trust.half_life=-1", "trust.half_life"),
        ("routing.candidates=0", "routing.candidates"),
    ],
)
def test_values_that_no_run_can_have_are_refused_by_key(override, key):
    with pytest.raises(ConfigError) as refused:
        load("tiny", [override])
    assert refused.value.key is not None
    assert refused.value.key.startswith(key)
    assert override in str(refused.value)
