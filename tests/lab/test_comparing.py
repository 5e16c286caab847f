"""Two runs, or two batches, beside each other."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from meshsim.cli.app import main
from meshsim.lab.comparing import compare
from meshsim.lab.experiment import run_experiment
from meshsim.lab.run import run
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Traces `direct`, `shortest`, `other-seed`, and a batch `batch` of both policies."""
    root = tmp_path_factory.mktemp("compared")
    said = ("duration=60s", "warmup=5s", "calls.rate=1", "control.mode=modelled")
    for name, policy, seed in (("direct", "direct", 3), ("shortest", "shortest", 3), ("other-seed", "direct", 4)):
        run("smoke", seed=seed, overrides=said, policy=policy, out=root / name, progress=False)
    folder = root / "experiments" / "07_tiny_question"
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(
        "question: Does it matter?\nscenario: smoke\npolicies: [direct, shortest]\nseeds: [1, 2, 3]\n"
        "overrides: [duration=40s, warmup=5s, calls.rate=0.5, control.mode=modelled]\n",
        encoding="utf-8",
    )
    run_experiment("tiny_question", out=root / "batch", root=folder.parent, progress=False)
    return root


@pytest.fixture(scope="module")
def worse(folders: Path) -> Path:
    """The batch as if each of its runs had .3 more poor calls, and one run were missing."""
    folder = folders / "worse"
    shutil.copytree(folders / "batch", folder)
    table = pq.read_table(folder / "runs.parquet")
    poor = np.asarray(table["poor_call_rate"]) + 0.3 + 0.001 * np.arange(len(table))
    at = table.schema.get_field_index("poor_call_rate")
    pq.write_table(
        table.set_column(at, table.schema.field(at), [poor]).slice(0, len(table) - 1), folder / "runs.parquet"
    )
    return folder


def test_a_batch_beats_one_that_is_worse_whichever_is_named_first(folders: Path, worse: Path):
    for one, other in ((folders / "batch", worse), (worse, folders / "batch")):
        found = compare(one, other)
        assert found.pairs == "seeds"
        assert found.verdicts[0].startswith("direct: batch beats worse on poor_call_rate by 30.")
        assert [row.effect.pairs for row in found.rows] == [3, 2]
        assert "1 runs have no partner in the other and are left out." in found.notes


def test_a_batch_is_equal_to_itself(folders: Path):
    found = compare(folders / "batch", folders / "batch", ["poor_call_rate", "mos"])
    assert all(" are equal on " in line and "in all 3 seeds" in line for line in found.verdicts)
    assert found.changes == ()


def test_traces_of_the_same_calls_are_compared_in_stretches(folders: Path):
    found = compare(folders / "direct", folders / "shortest", ["relayed_call_rate", "mos"])
    relayed = found.rows[0]
    assert found.pairs == "stretches"
    assert found.changes == (("chosen by", "direct", "shortest"),)
    assert 0.0 < relayed.of < 1.0
    assert relayed.gap.mean == pytest.approx(relayed.of - relayed.against)
    assert relayed.gap.low <= relayed.gap.mean <= relayed.gap.high
    assert "One seed" in found.notes[0]


@pytest.mark.parametrize(
    ("of", "against", "metric", "problem"),
    [
        ("direct", "batch", "mos", "is a batch and"),
        ("direct", "other-seed", "mos", "not of the same calls"),
        ("direct", "shortest", "mso", "unknown metric 'mso'"),
        ("batch", "batch", "mso", "unknown metric 'mso'"),
        ("direct", "absent", "mos", "has no results"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(
    folders: Path, of: str, against: str, metric: str, problem: str
):
    with pytest.raises(ConfigError, match=problem):
        compare(folders / of, folders / against, [metric])


def test_batches_without_a_run_in_common_are_refused_with_the_runs_they_have(folders: Path, tmp_path: Path):
    shutil.copytree(folders / "batch", tmp_path / "b")
    table = pq.read_table(tmp_path / "b" / "runs.parquet")
    policy = table.schema.get_field_index("policy")
    pq.write_table(table.set_column(policy, "policy", [["delay"] * len(table)]), tmp_path / "b" / "runs.parquet")
    with pytest.raises(ConfigError, match="share no run") as refused:
        compare(folders / "batch", tmp_path / "b")
    assert {"delay", "direct"} <= set(refused.value.allowed)


def test_the_command_prints_one_object_and_writes_a_report_that_needs_nothing(
    folders: Path, worse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    page = tmp_path / "compared.html"
    assert main(["compare", str(folders / "batch"), str(worse), "--out", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["report"] == str(page)
    assert told["tables"]["differences"][0]["difference"] == pytest.approx(-0.3, abs=0.01)
    text = page.read_text(encoding="utf-8")
    assert told["verdicts"][0] in text
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", text)
