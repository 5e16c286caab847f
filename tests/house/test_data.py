"""The registry of data: complete, the code's own rule, and a judge of what lies in the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from meshsim.cli import main
from meshsim.mesh.errors import ConfigError
from meshsim.scenario.topologies import registry
from meshsim.scenario.topologies.allowed import allowed_for

SETS = registry.data_sets()
FOLDERS = [name for name, entry in SETS.items() if not entry.packaged]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one set where it may be damaged."""
    measured = registry.data_folder()
    if measured is None:
        pytest.skip("MESHSIM_DATA_DIR is not set")
    shutil.copytree(measured / "wondernetwork", tmp_path / "wondernetwork", copy_function=shutil.copyfile)
    (tmp_path / "wondernetwork").chmod(0o755)
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    return tmp_path / "wondernetwork"


@pytest.mark.parametrize("name", SETS)
def test_every_data_set_tells_origin_licence_citation_use_and_checksums(name: str) -> None:
    entry = SETS[name]
    assert all((entry.title, entry.origin, entry.licence, entry.citation, entry.allowed_use, entry.used_for))
    assert entry.packaged or entry.files
    assert all(len(file.sha256) == 64 and int(file.sha256, 16) >= 0 for file in entry.files.values())
    assert all(file.bytes > 0 for file in entry.files.values())


@pytest.mark.parametrize("name", ["freifunk", "nycmesh"])
def test_the_allowed_use_of_link_graphs_is_the_rule_of_the_code(name: str) -> None:
    text = SETS[name].allowed_use
    graphs = [Path(file).name.split(".")[0] for file in SETS[name].files]
    for graph in graphs:
        use = allowed_for(name if name == "nycmesh" else f"{name}/{graph}")
        assert {"train": "Training", "validate": "Validation"}[use] in text
        if use == "train":
            assert graph in text.partition("Validation")[0]


@pytest.mark.parametrize("name", SETS)
def test_data_on_this_machine_equal_their_checksums(name: str) -> None:
    verdict = registry.verify(name)
    if verdict.absent:
        pytest.skip(verdict.absent)
    assert verdict.whole, verdict
    assert verdict.checked >= max(1, len(SETS[name].files))


def test_missing_changed_and_unknown_files_are_told_by_name(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", "wondernetwork"]) == 0
    damaged = bytearray((copy / "rtt_pairs.csv.gz").read_bytes())
    damaged[5000] ^= 1
    (copy / "rtt_pairs.csv.gz").write_bytes(bytes(damaged))
    (copy / "cities.csv").unlink()
    (copy / "notes.txt").write_text("mine")
    verdict = registry.verify("wondernetwork")
    assert (verdict.missing, verdict.changed, verdict.extra) == (("cities.csv",), ("rtt_pairs.csv.gz",), ("notes.txt",))
    capsys.readouterr()
    assert main(["data", "verify", "wondernetwork", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert not told["whole"]
    assert told["sets"][0]["missing"] == ["cities.csv"]
    assert main(["data", "verify", "wondernetwork"]) == 3
    assert "changed: rtt_pairs.csv.gz" in capsys.readouterr().out


def test_a_file_cut_short_is_changed(copy: Path) -> None:
    whole = (copy / "cities.csv").read_bytes()
    (copy / "cities.csv").write_bytes(whole[:-1])
    assert registry.verify("wondernetwork").changed == ("cities.csv",)


def test_without_a_folder_of_data_the_error_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(registry.VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="MESHSIM_DATA_DIR is not set") as unset:
        registry.data_file("wondernetwork", "cities.csv")
    assert registry.VARIABLE in unset.value.allowed[0]
    assert main(["data", "verify", "wondernetwork"]) == 3
    assert registry.VARIABLE in capsys.readouterr().out
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="is not a folder"):
        registry.data_file("wondernetwork", "cities.csv")
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match="is not in"):
        registry.data_file("wondernetwork", "cities.csv")


def test_unknown_sets_and_files_are_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as wrong_set:
        registry.data_set("wonderntwork")
    assert wrong_set.value.nearest == "wondernetwork"
    with pytest.raises(ConfigError) as wrong_file:
        registry.data_file("wondernetwork", "citys.csv")
    assert wrong_file.value.nearest == "cities.csv"
    assert main(["data", "verify", "nothing-known"]) == 2


def test_list_tells_every_set_and_its_terms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--json"]) == 0
    told = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["sets"]}
    assert set(told) == set(SETS)
    assert told["freifunk"]["licence"] == "MIT"
    assert main(["data", "list", "planetlab490"]) == 0
    text = capsys.readouterr().out
    assert "Zhu" in text
    assert "measured/planetlab490" in text


def test_every_set_of_measured_data_has_files_that_readers_can_find() -> None:
    if registry.data_folder() is None:
        pytest.skip("MESHSIM_DATA_DIR is not set")
    for name in FOLDERS:
        assert all(registry.data_file(name, file).is_file() for file in SETS[name].files)
