from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from meshsim.lab import experiment as lab_experiment
from meshsim.lab import questions
from meshsim.lab.batch import BatchError, Outcome, Settings, Store, hold
from meshsim.lab.contrasts import Pair, judge, pairs, rows, verdicts
from meshsim.lab.experiment import examine, list_experiments, load_experiment, run_experiment, table_sha256
from meshsim.lab.trial import perform as perform_trial
from meshsim.measure.records import ASIDE
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError, TraceError
from meshsim.scenario import load

if TYPE_CHECKING:
    from meshsim.lab.trial import Trial


def edit(experiments: Path, old: str, new: str) -> Path:
    path = experiments / "07_tiny_question" / "experiment.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_experiments_are_listed_by_number_and_named_by_their_question(experiments: Path) -> None:
    (experiments / "02_other").mkdir()
    (experiments / "02_other" / "experiment.yaml").write_text("")
    (experiments / "notes").mkdir()
    assert [found.slug for found in list_experiments(experiments)] == ["other", "tiny-question"]


def test_an_unknown_experiment_is_answered_with_the_nearest(experiments: Path) -> None:
    with pytest.raises(ConfigError) as told:
        load_experiment("tiny_qestion", experiments)
    assert told.value.nearest == "tiny-question"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "nearest"),
    [
        ("question:", "qestion:", 1, "qestion", "question"),
        ("seeds: [1, 2]", "seeds: []", 4, "seeds", None),
        ("seeds: [1, 2]", "seeds: [one]", 4, "seeds.0", None),
        ("[direct, shortest]", "[direct, shortst]", 3, "policies.1", "shortest"),
        ("better: shortest", "better: shortes", 7, "compare.0.better", "shortest"),
        ("worse: direct", "worse: direct, metric: poor_cal_rate", 7, "compare.0.metric", "poor_call_rate"),
        ("worse:", "wors:", 7, "compare.0.wors", "worse"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_and_nearest(
    old: str, new: str, line: int, key: str, nearest: str | None, experiments: Path
) -> None:
    path = edit(experiments, old, new)
    with pytest.raises(ConfigError) as told:
        load_experiment("tiny_question", experiments)
    assert (told.value.file, told.value.line) == (str(path), line)
    assert told.value.key in {key, "compare.0.worse"}
    if told.value.key == key:
        assert told.value.nearest == nearest


def test_a_wrong_scenario_is_found_before_anything_is_written(experiments: Path, tmp_path: Path) -> None:
    edit(experiments, "scenario: smoke", "scenario: smok")
    with pytest.raises(ConfigError) as told:
        run_experiment("tiny_question", out=tmp_path / "out", root=experiments)
    assert told.value.nearest == "smoke"
    assert not (tmp_path / "out").exists()


def test_a_scenario_may_lie_beside_the_experiment(experiments: Path) -> None:
    beside = experiments / "07_tiny_question" / "mine.yaml"
    beside.write_text("name: mine\n")
    edit(experiments, "scenario: smoke", "scenario: mine.yaml")
    experiment, _ = load_experiment("tiny_question", experiments)
    assert experiment.scenario == str(beside)


@pytest.mark.full
def test_two_runs_give_the_same_table_and_a_report_that_judges_it(experiments: Path, tmp_path: Path) -> None:
    first, second = (
        run_experiment("tiny_question", out=tmp_path / name, root=experiments, progress=False) for name in ("a", "b")
    )
    assert first["table_sha256"] == second["table_sha256"]
    table = pd.read_parquet(first["table"])
    assert table[["policy", "seed"]].to_numpy().tolist() == [
        ["direct", 1],
        ["direct", 2],
        ["shortest", 1],
        ["shortest", 2],
    ]
    assert table["poor_call_rate"].between(0, 1).all()
    assert first["runs"] == 4
    assert first["failures"] == []
    (verdict,) = first["verdicts"]
    assert "paired over 2 seeds" in verdict
    assert verdict in Path(first["report"]).read_text(encoding="utf-8")
    assert not (tmp_path / "a" / "traces").exists()


def test_the_hash_of_a_table_does_not_depend_on_the_order_of_rows() -> None:
    table = pd.DataFrame({"policy": ["b", "a"], "seed": [1, 1], "x": [0.1, 0.2]})
    assert table_sha256(table) == table_sha256(table.iloc[::-1])
    assert table_sha256(table) != table_sha256(table.assign(x=[0.1, 0.3]))


@pytest.mark.full
def test_a_failing_run_is_listed_with_the_command_that_repeats_it(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = perform_trial

    def broken(trial: Trial) -> Outcome:
        if (trial.policy, trial.seed) == ("direct", 2):
            raise TraceError("the disk is full")
        return real(trial)

    monkeypatch.setattr(lab_experiment, "perform_trial", broken)
    answer = run_experiment("tiny_question", out=tmp_path / "out", root=experiments, progress=False)
    (failure,) = answer["failures"]
    assert failure.startswith("direct, seed 2: the disk is full (again: meshsim run smoke --seed 2 --policy direct -o ")
    words = shlex.split(failure.partition("again: ")[2].rstrip(")"))
    assert words.count("-o") == 4
    assert (answer["runs"], answer["missing"]) == (3, 1)
    assert answer["verdicts"] == []
    assert "the disk is full" in Path(answer["report"]).read_text(encoding="utf-8")
    (row,) = pd.read_parquet(tmp_path / "out" / "attempts.parquet").query("not finished").to_dict("records")
    assert "TraceError: the disk is full" in row["detail"]
    monkeypatch.setattr(lab_experiment, "perform_trial", real)
    again = run_experiment("tiny_question", out=tmp_path / "out", root=experiments, progress=False)
    assert (again["runs"], again["cached"], again["failures"]) == (4, 3, [])


@pytest.mark.full
def test_what_was_run_is_not_run_again_and_more_seeds_only_add(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_experiment("tiny_question", out=tmp_path / "out", root=experiments, progress=False)
    table = (tmp_path / "out" / "runs.parquet").read_bytes()
    monkeypatch.setattr(lab_experiment, "perform_trial", lambda _: pytest.fail("run again"))
    second = run_experiment("tiny_question", out=tmp_path / "out", root=experiments, progress=False)
    assert (first["cached"], second["cached"], second["runs"]) == (0, 4, 4)
    assert second["table_sha256"] == first["table_sha256"]
    assert (tmp_path / "out" / "runs.parquet").read_bytes() == table
    monkeypatch.undo()
    edit(experiments, "seeds: [1, 2]", "seeds: [1, 2, 3]")
    assert examine("tiny_question", out=tmp_path / "out", root=experiments)["missing"] == 2
    third = run_experiment("tiny_question", out=tmp_path / "out", root=experiments, progress=False)
    assert (third["cached"], third["runs"]) == (4, 6)


@pytest.mark.full
def test_results_of_other_code_are_shown_as_stale_and_mixed_in_only_when_asked(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_experiment, "code_fingerprint", lambda: "older")
    run_experiment("tiny_question", out=tmp_path / "out", root=experiments, progress=False)
    monkeypatch.undo()
    told = examine("tiny_question", out=tmp_path / "out", root=experiments)
    assert (told["done"], told["stale"], told["missing"]) == (0, 4, 4)
    accepted = run_experiment("tiny_question", out=tmp_path / "out", root=experiments, allow_stale=True, progress=False)
    assert (accepted["cached"], accepted["stale"]) == (4, 4)
    fresh = run_experiment("tiny_question", out=tmp_path / "out", root=experiments, progress=False)
    assert (fresh["cached"], fresh["stale"]) == (0, 0)


def test_the_tables_tell_units_and_what_their_columns_say(experiments: Path, tmp_path: Path) -> None:
    run_experiment("tiny_question", out=tmp_path / "out", root=experiments, progress=False)
    for name in ("runs", "series", "attempts"):
        schema = pq.read_schema(tmp_path / "out" / f"{name}.parquet")
        assert all(b"unit" in field.metadata and field.metadata[b"description"] for field in schema)
    series = pd.read_parquet(tmp_path / "out" / "series.parquet")
    assert series.groupby(["policy", "seed", "metric"]).size().unique().tolist() == [20]


def test_a_folder_that_is_no_batch_is_never_written_to(experiments: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(BatchError, match="no folder of a batch"):
        run_experiment("tiny_question", out=tmp_path / "out", root=experiments)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_the_folder_of_another_experiment_is_refused(experiments: Path, tmp_path: Path) -> None:
    Store(tmp_path / "out", "experiment other")
    with pytest.raises(BatchError, match="holds the batch 'experiment other'"):
        run_experiment("tiny_question", out=tmp_path / "out", root=experiments)


def test_two_drivers_never_work_on_one_batch(experiments: Path, tmp_path: Path) -> None:
    Store(tmp_path / "out", "experiment tiny-question")
    with hold(tmp_path / "out"), pytest.raises(BatchError, match=f"in use by process {os.getpid()} on "):
        run_experiment("tiny_question", out=tmp_path / "out", root=experiments)


def test_an_unknown_executor_is_refused(experiments: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown executor 'slurm'"):
        run_experiment("tiny_question", out=tmp_path / "out", settings=Settings(executor="slurm"), root=experiments)


WIDE = (
    "question: Does it matter where?\nscenario: smoke\npolicies: [direct, shortest]\nseeds: [1, 2, 3]\n"
    "variants:\n  - {name: calm}\n  - {name: busy, overrides: [calls.rate=1]}\n"
    "phases:\n  - {name: late, start: 30 s, end: 1 min}\n"
    "metrics: [poor_call_rate@late, failovers]\n"
    "baseline: {policy: direct, variant: calm, metrics: [poor_call_rate, failovers]}\n"
    "compare:\n  - {better: shortest, worse: direct, metric: poor_call_rate@late}\n"
)


@pytest.fixture
def wide(experiments: Path, small: tuple[str, ...]) -> Path:
    """The experiment `tiny_question`, with two worlds, a phase and a baseline."""
    path = experiments / "07_tiny_question" / "experiment.yaml"
    path.write_text(f"{WIDE}overrides: [{', '.join(small)}]\n", encoding="utf-8")
    return experiments


@pytest.mark.full
def test_worlds_times_policies_times_seeds_are_run_and_compared_within_and_between(wide: Path, tmp_path: Path) -> None:
    answer = run_experiment("tiny_question", out=tmp_path / "out", root=wide, progress=False)
    assert (answer["runs"], answer["failures"]) == (12, [])
    table = pd.read_parquet(answer["table"])
    assert set(table["variant"]) == {"calm", "busy"}
    means, compared = answer["tables"].values()
    assert [row["run"] for row in means] == ["calm: direct", "calm: shortest", "busy: direct", "busy: shortest"]
    assert list(means[0]) == ["run", "poor_call_rate@late", "failovers"]
    told = {(row["of"], row["against"]) for row in compared if row["metric"] == "poor_call_rate"}
    assert told == {
        ("calm: shortest", "calm: direct"),
        ("busy: shortest", "busy: direct"),
        ("busy: direct", "calm: direct"),
        ("busy: shortest", "calm: shortest"),
    }
    assert len(answer["verdicts"]) == 2
    text = Path(answer["report"]).read_text(encoding="utf-8")
    assert "variant busy" in text
    assert "Differences on poor_call_rate" in text


@pytest.mark.full
def test_a_phase_holds_the_calls_that_began_in_it(wide: Path, tmp_path: Path) -> None:
    answer = run_experiment("tiny_question", out=tmp_path / "out", root=wide, keep_traces=True, progress=False)
    row = pd.read_parquet(answer["table"]).query("variant == 'busy' and policy == 'direct' and seed == 2")
    calls = Trace(tmp_path / "out" / "traces" / "busy-direct-seed2").table("calls").to_pandas()
    late = calls[(calls["start_ns"] >= 30e9) & (calls["start_ns"] < 60e9) & ~calls["outcome"].isin(["running", *ASIDE])]
    assert 0 < len(late) < len(calls)
    assert row["poor_call_rate@late"].tolist() == [late["poor"].mean()]


@pytest.mark.full
def test_processes_of_this_machine_make_the_same_tables_to_the_byte(wide: Path, tmp_path: Path) -> None:
    one, two = (
        run_experiment("tiny_question", out=tmp_path / str(n), settings=said, root=wide, progress=False)
        for n, said in enumerate((Settings(), Settings(executor="local", workers=2)))
    )
    assert one["table_sha256"] == two["table_sha256"]
    assert one["tables"] == two["tables"]
    for table in ("runs.parquet", "series.parquet"):
        assert (tmp_path / "0" / table).read_bytes() == (tmp_path / "1" / table).read_bytes()


@pytest.mark.parametrize(
    ("old", "new", "key", "nearest"),
    [
        ("metrics: [poor_call_rate@late,", "metrics: [poor_call_rate@lat,", "metrics.0", "poor_call_rate@late"),
        ("{policy: direct,", "{policy: dyrect,", "baseline.policy", "direct"),
        ("variant: calm", "variant: clam", "baseline.variant", "calm"),
        ("metrics: [poor_call_rate, f", "metrics: [poor_call_rat, f", "baseline.metrics.0", "poor_call_rate"),
        ("end: 1 min", "end: 20 s", "phases.0", None),
        ("name: busy", "name: calm", "variants.1", None),
        ("name: busy,", "name: busy, against: clam,", "variants.1.against", "calm"),
    ],
)
def test_a_mistake_in_worlds_phases_or_the_baseline_is_told_by_its_key(
    old: str, new: str, key: str, nearest: str | None, wide: Path
) -> None:
    edit(wide, old, new)
    with pytest.raises(ConfigError) as told:
        load_experiment("tiny_question", wide)
    assert (told.value.key, told.value.nearest) == (key, nearest)


def table_of(**values: list[float]) -> pd.DataFrame:
    """Poor calls of each policy by seed, in one world."""
    columns = [
        {"variant": "", "policy": policy, "seed": seed, "poor_call_rate": value, "convergence_seconds": float("nan")}
        for policy, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]
    return pd.DataFrame(columns)


def asked(policies: list[str], seeds: int, **more: Any) -> questions.Experiment:
    whole = {"question": "?", "scenario": "smoke", "policies": policies, "seeds": list(range(seeds))}
    return questions.Experiment.model_validate(whole | more)


def test_comparisons_are_held_to_one_error_rate() -> None:
    rates = {"direct": [0.30, 0.41, 0.22, 0.35, 0.28], "shortest": [0.27, 0.37, 0.20, 0.31, 0.27]}
    alone = asked(["direct", "shortest"], 5, baseline={"policy": "direct"})
    (single,) = rows(judge(alone, table_of(**rates)))
    assert single["told"] == "lower"
    noise = {f"n{i}": [0.3 + 0.05 * ((i + seed) % 3) for seed in range(5)] for i in range(20)}
    crowd = asked(["direct", "shortest", *noise], 5, baseline={"policy": "direct"})
    together = {row["of"]: row for row in rows(judge(crowd, table_of(**rates, **noise)))}
    assert len(together) == 21
    assert together["shortest"]["difference"] == single["difference"]
    assert together["shortest"]["told"] == "not told apart"


def test_a_variant_is_compared_with_the_one_it_names_instead_of_the_common_one() -> None:
    experiment = asked(
        ["direct"],
        2,
        variants=[{"name": "calm"}, {"name": "raid"}, {"name": "raid-defended", "against": "raid"}],
        baseline={"variant": "calm"},
    )
    assert [(pair.of[0], pair.against[0]) for pair in pairs(experiment)] == [
        ("raid", "calm"),
        ("raid-defended", "raid"),
    ]


def test_what_a_policy_does_not_have_is_not_compared() -> None:
    experiment = asked(
        ["direct", "shortest"],
        2,
        baseline={"policy": "direct", "metrics": ["convergence_seconds"]},
        compare=[{"better": "shortest", "worse": "direct", "metric": "convergence_seconds"}],
    )
    assert pairs(experiment) == [Pair(("", "shortest"), ("", "direct"), "convergence_seconds")]
    judged = judge(experiment, table_of(direct=[0.1, 0.2], shortest=[0.1, 0.2]))
    assert judged == {}
    ((held, text),) = verdicts(experiment, judged)
    assert not held
    assert "cannot be judged" in text


def folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in (root / "experiments").glob("*/experiment.yaml"))


def test_every_experiment_of_the_house_can_be_loaded_and_says_what_was_asked_expected_and_found(root: Path) -> None:
    assert folders(root)
    for folder in folders(root):
        experiment, _ = load_experiment(folder.name.partition("_")[2], root / "experiments")
        assert experiment.question.endswith("?")
        for variant in experiment.worlds:
            load(experiment.scenario, (*experiment.overrides, *variant.overrides))
        story = (folder / "README.md").read_text(encoding="utf-8")
        places = [story.index(f"**{part}") for part in ("Question", "Expectation", "Run", "Finding")]
        assert places == sorted(places)
        assert f"meshsim exp run {folder.name.partition('_')[2].replace('_', '-')}" in story
        finding = story[places[-1] :]
        assert "table_sha256" in finding
        assert "\n|---|" in finding
