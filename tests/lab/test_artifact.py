"""A finished experiment as one file that can do itself again."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from meshsim.cli.app import main
from meshsim.lab import artifact
from meshsim.lab.batch import BatchError
from meshsim.lab.experiment import run_experiment
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `experiments/`, results in `out/` and the archive `tiny.zip`."""
    root = tmp_path_factory.mktemp("artifact")
    folder = root / "experiments" / "07_tiny_question"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("Expected: nothing.\n", encoding="utf-8")
    (folder / "experiment.yaml").write_text(
        "question: Does it matter?\nscenario: smoke\npolicies: [direct, shortest]\nseeds: [1, 2]\n"
        "overrides: [duration=40s, warmup=5s, calls.rate=0.5, control.mode=modelled]\n"
        "compare: [{better: shortest, worse: direct}]\n",
        encoding="utf-8",
    )
    run_experiment("tiny-question", out=root / "out", root=folder.parent, progress=False)
    artifact.make("tiny-question", root / "tiny.zip", results=root / "out", root=folder.parent)
    return root


def changed(done: Path, tmp_path: Path, name: str, content: bytes) -> Path:
    """The archive with one file that is another."""
    path = tmp_path / "changed.zip"
    with zipfile.ZipFile(done / "tiny.zip") as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            new.writestr(member, content if member == name else old.read(member))
    return path


@pytest.mark.parametrize("content", [b"not json", b"[]", b'{"experiment": "tiny-question"}', b'{"experiment": 7}'])
def test_a_card_that_says_too_little_is_told(done: Path, tmp_path: Path, content: bytes):
    with pytest.raises(ConfigError, match=r"is no artifact: artifact\.json"):
        artifact.check(changed(done, tmp_path, artifact.CARD, content))


def test_the_archive_has_question_results_versions_and_the_command(done: Path):
    with zipfile.ZipFile(done / "tiny.zip") as archive:
        names = set(archive.namelist())
        readme, wanted = archive.read("README.md").decode(), archive.read("requirements.txt").decode()
    assert names == {
        "README.md",
        "artifact.json",
        "requirements.txt",
        "experiments/07_tiny_question/README.md",
        "experiments/07_tiny_question/experiment.yaml",
        *(f"results/{name}" for name in ("runs.parquet", "series.parquet", "attempts.parquet", "report.html")),
    }
    assert "meshsim artifact check tiny.zip" in readme
    assert "numpy==" in wanted
    assert "://" not in wanted


def test_equal_results_make_equal_archives(done: Path, tmp_path: Path):
    artifact.make("tiny-question", tmp_path / "tiny.zip", results=done / "out", root=done / "experiments")
    assert (tmp_path / "tiny.zip").read_bytes() == (done / "tiny.zip").read_bytes()


def test_an_archive_does_itself_again_to_the_same_table(done: Path):
    found = artifact.check(done / "tiny.zip")
    assert found.holds
    assert found.notes == ()


@pytest.mark.full
def test_a_table_that_is_not_reached_again_is_told(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with zipfile.ZipFile(done / "tiny.zip") as archive:
        card = json.loads(archive.read("artifact.json"))
    card |= {"table_sha256": "0" * 64, "python": "2.7"}
    path = changed(done, tmp_path, "artifact.json", json.dumps(card).encode())
    assert main(["artifact", "check", str(path), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is False
    assert any(note.startswith("python is") for note in told["notes"])


def test_what_is_not_done_makes_no_archive(done: Path, tmp_path: Path):
    with pytest.raises(BatchError, match="is not there"):
        artifact.make("tiny-question", tmp_path / "a.zip", results=tmp_path / "none", root=done / "experiments")
    file = done / "experiments" / "07_tiny_question" / "experiment.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("[1, 2]", "[1, 2, 3]"), encoding="utf-8")
    try:
        with pytest.raises(BatchError, match="2 runs of tiny-question are not done"):
            artifact.make("tiny-question", tmp_path / "a.zip", results=done / "out", root=done / "experiments")
    finally:
        file.write_text(text, encoding="utf-8")


def test_a_file_that_is_no_archive_or_leads_out_of_itself_is_refused(done: Path, tmp_path: Path):
    (tmp_path / "text.zip").write_text("hello", encoding="utf-8")
    with pytest.raises(ConfigError, match="is no artifact"):
        artifact.check(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("artifact.json", "{}")
        archive.writestr("experiments/../../evil", "x")
    with pytest.raises(ConfigError, match="lead out of it"):
        artifact.check(tmp_path / "out.zip")
