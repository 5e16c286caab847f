from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import meshsim
from meshsim.cli import app as cli
from meshsim.cli import extras, main, options
from meshsim.mesh.errors import ConfigError, NoRoute

Capture = pytest.CaptureFixture[str]


def commands() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    context = click.Context(cli.app)
    for verb in cli.VERBS:
        command = cli.app.get_command(context, verb)
        assert command is not None
        found.append((verb, command))
        if isinstance(command, click.Group):
            found += [(f"{verb} {name}", part) for name, part in command.commands.items()]
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_help_shows_an_example_of_its_own_command(name: str, command: click.Command) -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    assert "Example:" in text
    assert f"meshsim {name}" in text.split("Example:")[1]


def test_the_table_of_verbs_names_exactly_the_verbs_that_exist() -> None:
    folder = Path(cli.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "app", "extras", "names", "options"}
    assert modules == set(cli.VERBS)


def test_help_imports_no_verb_and_nothing_heavy() -> None:
    program = "import json, sys\nfrom meshsim.cli import main\nmain(['--help'])\nprint(json.dumps(sorted(sys.modules)))"
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    spent = time.perf_counter() - started
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded.isdisjoint({"numpy", "torch", "pandas", "rich", "pydantic", "meshsim.cli.run", "meshsim.lab"})
    assert spent < 5.0  # generous: the machine may be busy; the goal of 0.2 s is measured in the notes


def test_a_wrong_verb_is_answered_with_the_nearest_right_one(capsys: Capture) -> None:
    assert main(["dmo"]) == 2
    assert "Did you mean 'demo'?" in capsys.readouterr().err


def test_a_wrong_option_is_a_usage_error(capsys: Capture) -> None:
    assert main(["run", "demo", "--sed", "1"]) == 2
    assert "--sed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("unknown key 'rat'", file="a.yaml", line=3, key="calls.rat", nearest="rate"), 2),
        (NoRoute(["trust floor: 3"]), 3),
        (KeyboardInterrupt(), 130),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_become_one_message_and_an_exit_code(
    error: BaseException, code: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command("doctor")
    def failing() -> None:
        raise error

    monkeypatch.setattr("meshsim.cli.doctor.command", failing)
    assert main(["doctor"]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err


def test_a_config_error_names_file_line_key_and_nearest(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("doctor")
    def failing() -> None:
        raise ConfigError("unknown key 'rat'", file="a.yaml", line=3, key="calls.rat", nearest="rate")

    monkeypatch.setattr("meshsim.cli.doctor.command", failing)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == "error: a.yaml:3: calls.rat: unknown key 'rat'\n  did you mean: rate\n"


def test_a_missing_extra_says_which_pip_install_brings_it() -> None:
    error = extras.missing_extra(ModuleNotFoundError("no", name="aiortc"))
    assert str(error) == "'aiortc' is not installed; it comes with: pip install 'meshsim[node]'"
    assert extras.missing_extra(ModuleNotFoundError("no", name="meshsim.nonsense")) is None


def test_a_missing_module_of_our_own_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("doctor")
    def failing() -> None:
        raise ModuleNotFoundError("No module named 'meshsim.nonsense'", name="meshsim.nonsense")

    monkeypatch.setattr("meshsim.cli.doctor.command", failing)
    with pytest.raises(ModuleNotFoundError, match="nonsense"):
        main(["doctor"])


def test_keygen_writes_a_key_once_and_never_over_another(tmp_path: Path, capsys: Capture) -> None:
    key = tmp_path / "alice.key"
    assert main(["node", "keygen", str(key), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["node"].startswith("did:key:z")
    written = key.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    assert main(["node", "keygen", str(key)]) == 2
    assert key.read_bytes() == written


def test_goals_decide_the_exit_code() -> None:
    assert options.goals_code({"goals": [{"goal": "a", "pass": True}]}) == 0
    assert options.goals_code({"goals": [{"goal": "a", "pass": True}, {"goal": "b", "pass": False}]}) == 3


def test_version_is_that_of_the_package(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert meshsim.__version__ in capsys.readouterr().out


def test_answers_are_printed_as_strict_json(capsys: Capture) -> None:
    answer = {"mean": float("nan"), "path": Path("a"), "counts": np.array([1, 2]), "rows": [{"x": (1.5, None)}]}
    options.emit(answer, json_wanted=True)
    assert json.loads(capsys.readouterr().out) == {
        "mean": None,
        "path": "a",
        "counts": [1, 2],
        "rows": [{"x": [1.5, None]}],
    }


def test_answers_are_printed_for_people_as_indented_lines(capsys: Capture) -> None:
    options.emit({"calls": 3, "rates": {"a": 0.5}, "places": ["x", "y"], "none": []}, json_wanted=False)
    assert capsys.readouterr().out == "calls: 3\nrates:\n  a: 0.5\nplaces:\n  x\n  y\nnone: []\n"


def test_the_table_of_verbs_says_what_each_help_says() -> None:
    for verb, told in cli.VERBS.items():
        command = cli.app.get_command(click.Context(cli.app), verb)
        assert command is not None
        if isinstance(command, click.Group):
            assert command.get_short_help_str(limit=200) == told
