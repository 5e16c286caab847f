"""Results in SQL, their dictionary, and what failed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from meshsim.cli.app import main
from meshsim.lab import results
from meshsim.lab.batch import Record, Store, tables
from meshsim.lab.experiment import run_experiment
from meshsim.measure.trace import trace_sha256
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.lab.run import Result


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch of two policies and two seeds that has been run."""
    root = tmp_path_factory.mktemp("results")
    folder = root / "experiments" / "07_tiny_question"
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(
        "question: Does it matter?\nscenario: smoke\npolicies: [direct, shortest]\nseeds: [1, 2]\n"
        "overrides: [duration=40s, warmup=5s, calls.rate=0.5, control.mode=modelled]\n",
        encoding="utf-8",
    )
    run_experiment("tiny_question", out=root / "out", root=folder.parent, progress=False)
    return root / "out"


def rows(sql: str, *folders: Path) -> list[dict[str, object]]:
    return results.query(sql, folders).to_pylist()


def test_a_batch_answers_in_sql(batch: Path):
    found = rows("SELECT policy, count(*) AS runs FROM runs GROUP BY policy ORDER BY policy", batch)
    assert found == [{"policy": "direct", "runs": 2}, {"policy": "shortest", "runs": 2}]
    assert rows("SELECT count(*) AS tried FROM attempts WHERE finished", batch) == [{"tried": 4}]
    assert rows("SELECT DISTINCT metric FROM series", batch) == [{"metric": "poor_call_rate"}]


def test_a_trace_answers_in_sql(result: Result):
    assert rows("SELECT count(*) AS calls FROM calls", result.path) == [{"calls": len(result.calls)}]
    joined = "SELECT count(*) AS n FROM calls JOIN nodes ON calls.caller = nodes.node"
    assert rows(joined, result.path) == [{"n": len(result.calls)}]


def test_several_folders_are_told_apart(batch: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    pq.write_table(pq.read_table(batch / "runs.parquet"), other / "runs.parquet")
    found = rows("SELECT folder, count(*) AS runs FROM runs GROUP BY folder ORDER BY runs, folder", batch, other)
    assert sorted(row["folder"] for row in found) == sorted([str(batch), str(other)])
    assert {row["runs"] for row in found} == {4}


@pytest.mark.parametrize(
    ("sql", "problem", "near"),
    [
        ("SELECT * FROM run", "Table with name run does not exist", "runs"),
        ("SELECT policcy FROM runs", '"policcy" not found', "policy"),
        ("SELEC 1", "syntax error", None),
        ("DROP TABLE runs", "one statement that reads", None),
        ("SELECT 1; SELECT 2", "one statement that reads", None),
        ("COPY runs TO 'away.csv'", "one statement that reads", None),
        ("SELECT * FROM read_csv('/etc/hostname')", "disabled by configuration", None),
        ("SELECT * FROM '/etc/hostname'", "", None),
        ("SELECT * FROM batch_of_a_caller", "does not exist", None),
    ],
)
def test_what_cannot_be_answered_is_told_with_what_there_is(batch: Path, sql: str, problem: str, near: str | None):
    batch_of_a_caller = pa.table({"secret": [1]})
    assert len(batch_of_a_caller) == 1  # a variable of a caller is no table
    with pytest.raises(ConfigError) as refused:
        results.query(sql, [batch])
    assert problem in refused.value.message
    assert refused.value.key == "SQL"
    if near is not None:
        assert refused.value.nearest == near


def test_a_folder_without_results_is_named_with_those_beside_it_that_have_some(batch: Path):
    with pytest.raises(ConfigError, match="has no results") as refused:
        results.query("FROM runs", [batch.parent / "absent"])
    assert str(batch) in refused.value.allowed


def test_the_dictionary_in_the_docs_is_the_one_that_the_command_prints(root: Path):
    page = (root / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert page == results.dictionary(results.all_schemas())


def test_every_column_says_what_it_is():
    for table, schema in results.all_schemas().items():
        for entry in results.entries(schema):
            assert entry.text, f"{table}.{entry.name}"
            assert not entry.name.endswith("_seconds") or entry.unit == "s"


def test_the_columns_of_a_batch_are_those_of_the_dictionary(batch: Path):
    known = results.all_schemas()
    for table, schema in results.schemas_of(batch).items():
        assert set(results.entries(schema)) <= set(results.entries(known[table]))


def test_what_failed_and_was_never_finished_is_told_with_its_traceback(tmp_path: Path):
    store = Store(tmp_path / "b", "x")
    say = {"code": "c", "host": "h", "again": "meshsim run smoke --seed 2"}
    records = [
        Record(key="a", cell={"policy": "direct", "seed": 1}, failure="first it failed", attempt=1, **say),
        Record(key="a", cell={"policy": "direct", "seed": 1}, attempt=2, began=1.0, **say),
        Record(key="b", cell={"policy": "direct", "seed": 2}, failure="too hot", detail="Traceback: x", **say),
        Record(
            key="b", cell={"policy": "direct", "seed": 2}, failure="hotter", detail="y", attempt=2, began=2.0, **say
        ),
    ]
    keys = (tables.Column("policy", "", "", pa.string()), tables.Column("seed", "1", "", pa.int64()))
    tables.write(tables.attempts(keys, records), store.folder / "attempts.parquet")
    (failed,) = results.failures(store.folder)
    assert failed == results.Failed(
        run="policy direct, seed 2", attempts=2, failure="hotter", again="meshsim run smoke --seed 2", detail="y"
    )


def test_a_trace_has_no_failures_to_tell(result: Result):
    with pytest.raises(ConfigError, match="is no batch"):
        results.failures(result.path)


def test_the_command_of_a_run_repeats_it(batch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (row,) = rows("SELECT again FROM attempts WHERE policy = 'shortest' AND seed = 2", batch)
    words = shlex.split(str(row["again"]))
    assert words[0] == "meshsim"
    assert main([*words[1:], "--out", str(tmp_path / "run"), "--json"]) == 0
    capsys.readouterr()
    poor = "SELECT avg(poor::DOUBLE) AS poor FROM calls WHERE outcome <> 'running'"
    (asked,) = rows("SELECT poor_call_rate AS poor FROM runs WHERE policy = 'shortest' AND seed = 2", batch)
    assert rows(poor, tmp_path / "run")[0]["poor"] == pytest.approx(asked["poor"])
    assert trace_sha256(tmp_path / "run")


@pytest.mark.parametrize("form", ["--csv", "--json", None])
def test_the_command_prints_rows(batch: Path, form: str | None, capsys: pytest.CaptureFixture[str]):
    words = ["results", "query", "SELECT seed FROM runs ORDER BY seed LIMIT 1", "--in", str(batch)]
    assert main([*words, *([form] if form else [])]) == 0
    out = capsys.readouterr().out
    assert out.strip() == {"--csv": "seed\n1", "--json": '[{"seed": 1}]'}.get(form, out.strip())
    assert "1" in out
