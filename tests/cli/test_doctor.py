"""What `meshsim doctor` finds, and that only what is broken is a fault."""

from __future__ import annotations

import json
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from meshsim.cli import doctor, extras, main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _plain_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESHSIM_DATA_DIR", raising=False)


def asked(capture: Capture, *words: str, code: int = 0) -> dict[str, Any]:
    assert main(["doctor", "--json", *words]) == code
    answer: dict[str, Any] = json.loads(capture.readouterr().out)
    return answer


def found(answer: dict[str, Any], part: str) -> tuple[str, str]:
    (finding,) = (finding for finding in answer["findings"] if finding["part"] == part)
    return finding["state"], finding["told"]


def test_it_tells_python_cores_versions_extras_and_that_nothing_is_broken(capsys: Capture) -> None:
    answer = asked(capsys)
    assert answer["cores"] >= 1
    assert answer["python"].startswith("3.")
    assert set(answer["extras"]) == set(extras.EXTRAS) == set(extras.ADDS)
    assert answer["versions"]["numpy"] == __import__("numpy").__version__
    assert answer["broken"] == []
    assert found(answer, "base")[0] == found(answer, "scorer")[0] == found(answer, "loopback")[0] == "ok"
    assert found(answer, "data") == ("absent", doctor._data(None).told)


def test_what_is_absent_is_no_fault_and_told_with_what_it_adds_and_who_brings_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(extras.EXTRAS, "ray", {"no_such_module": "no-such-package"})
    state, told = found(asked(capsys), "ray")
    assert state == "absent"
    assert told == f"{extras.ADDS['ray']}; lacks no-such-package: pip install 'meshsim[ray]'"


def test_people_read_one_line_for_each_part(capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    head, machine, empty, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("meshsim ")
    assert "cores" in machine
    assert not empty
    assert [line.split()[1] for line in lines] == [finding["part"] for finding in asked(capsys)["findings"]]


@pytest.mark.parametrize("setting", ["present", "absent"])
def test_a_data_folder_that_is_none_is_broken(
    setting: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "present" / "freifunk").mkdir(parents=True)
    monkeypatch.setenv("MESHSIM_DATA_DIR", str(tmp_path / setting))
    answer = asked(capsys, code=0 if setting == "present" else 3)
    state, told = found(answer, "data")
    assert state == ("ok" if setting == "present" else "BROKEN")
    assert ("1 data sets" if setting == "present" else "is not a folder") in told
    assert answer["broken"] == ([] if setting == "present" else ["data"])


def test_a_package_too_old_for_meshsim_is_broken_with_what_mends_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "_bounds", lambda: {"numpy": ">=9999.1"})
    answer = asked(capsys, code=3)
    state, told = found(answer, "base")
    assert state == "BROKEN"
    assert told.endswith("needed is >=9999.1: pip install --upgrade meshsim")
    assert answer["broken"] == ["base"]


def test_thorough_finds_what_is_installed_and_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn.py").write_text("raise ImportError('libtorn.so.3: cannot open')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(extras.EXTRAS, "ray", {"torn": "torn"})
    assert doctor._extra("ray", thorough=False).state == "ok"
    finding = doctor._extra("ray", thorough=True)
    assert finding.state == "BROKEN"
    assert "torn cannot be imported: libtorn.so.3: cannot open" in finding.told


def test_a_package_whose_own_needs_are_missing_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needy.py").write_text("import no_such_module", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "no_such_module" in doctor._unloadable("needy")
    assert doctor._unloadable("no_such_module") == doctor._unloadable("json") == ""


def test_a_scorer_that_is_not_whole_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshsim.routing.policies.learned.DEFAULT_MODEL", "no-such-scorer")
    finding = doctor._scorer()
    assert finding.state == "BROKEN"
    assert "no-such-scorer" in finding.told


def test_a_full_disk_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctor._disk().state == "ok"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=5e8))
    finding = doctor._disk()
    assert finding.state == "BROKEN"
    assert "0.5 GB" in finding.told


def test_programs_that_are_not_there_are_absent_and_those_that_fail_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert doctor._namespaces().state == doctor._browser().state == "absent"
    fails = doctor._answering("browser", [sys.executable, "-c", "raise SystemExit(4)"], str)
    assert fails.state == "BROKEN"
    assert "exit status 4" in fails.told


@pytest.mark.parametrize(
    ("version", "bounds", "fit"),
    [
        ("2.0", ">=2", True),
        ("2", ">=2.0.0", True),
        ("1.17", ">=1.16,<1.17", False),
        ("1.16.9", "<1.17,>=1.16", True),
        ("2.13.0+cpu", ">=2.4", True),
        ("0.0.4", ">=0.0.5", False),
        ("10", ">=9", True),
        ("3", "", True),
    ],
)
def test_versions_are_held_to_what_pyproject_asks(version: str, bounds: str, *, fit: bool) -> None:
    assert extras.fits(version, bounds) is fit


def test_bounds_are_those_of_the_installed_package() -> None:
    assert extras._bounds()["numpy"] == ">=2.0"
    assert extras._bounds()["ruamel-yaml"].startswith(">=")
