"""What Tab offers, in every shell, and that nothing heavy is imported for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem, ShellComplete

from meshsim.cli import main, names
from meshsim.cli.app import VERBS, app
from meshsim.lab.questions import list_experiments
from meshsim.lab.run import choosers
from meshsim.routing.artefact import list_models
from meshsim.scenario import presets

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """import json, sys
from meshsim.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)))
"""


def offered(*words: str) -> list[CompletionItem]:
    *before, incomplete = words
    return ShellComplete(app, {}, "meshsim", "_MESHSIM_COMPLETE").get_completions(before, incomplete)


def values(*words: str) -> list[str]:
    return [item.value for item in offered(*words)]


def test_names_at_tab_are_the_real_ones() -> None:
    assert tuple(names.presets()) == presets()
    assert names.choosers() == sorted(choosers())
    assert names.scorers() == list_models()
    assert names.slugs(ROOT / "experiments") == [found.slug for found in list_experiments(ROOT / "experiments")]


def test_policies_of_other_packages_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "theirs-1.0.dist-info" / "entry_points.txt"
    told.parent.mkdir()
    told.write_text("[console_scripts]\nx = y:z\n\n[meshsim.routing_policy]\nlucky = theirs:Lucky\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert values("run", "--policy", "lu") == ["lucky"]
    assert values("run", "--policy", "x") == []


def test_verbs_options_and_names_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert values("") == sorted(VERBS)
    assert values("topo", "s") == ["show"]
    assert values("exp", "run", "--ex") == ["--executor"]
    assert values("exp", "run", "--executor", "r") == ["ray"]
    assert values("run", "dem") == ["demo"]
    assert values("config", "validate", "dem") == ["demo"]
    assert values("run", "demo", "--policy", "shortest-") == ["shortest-widest"]
    assert values("exp", "resume", "smo") == ["smoke"]
    assert values("models", "card", "route") == ["route-scorer"]


def test_experiments_are_those_below_the_root_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "07_who_wins").mkdir()
    (tmp_path / "07_who_wins" / "experiment.yaml").touch()
    assert values("exp", "run", "--root", str(tmp_path), "") == ["who-wins"]


@pytest.mark.parametrize(("words", "kind"), [(("run", "./mine"), "file"), (("evaluate", "./mine"), "dir")])
def test_where_no_name_begins_so_the_shell_is_asked_for_files(words: tuple[str, ...], kind: str) -> None:
    assert [item.type for item in offered(*words)] == [kind]


@pytest.mark.parametrize("words", ["run --policy d", "exp run s", "models card r", "topo show --f", "bench tr", "do"])
def test_a_tab_imports_nothing_heavy(words: str) -> None:
    asked = {"_MESHSIM_COMPLETE": "bash_complete", "COMP_WORDS": f"meshsim {words}"}
    asked["COMP_CWORD"] = str(len(words.split()))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | asked
    )
    *told, loaded = done.stdout.splitlines()
    assert told, done.stderr
    heavy = {"numpy", "pydantic", "msgspec", "rich", "importlib.metadata", "difflib", "meshsim.mesh", "meshsim.lab"}
    assert heavy.isdisjoint(json.loads(loaded))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_meshsim_in_the_words_of_its_shell(shell: str, capsys: Capture) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_MESHSIM_COMPLETE={shell}_complete" in script
    asked = {"_MESHSIM_COMPLETE": f"{shell}_complete", "COMP_WORDS": "meshsim doc", "COMP_CWORD": "1"}
    if shell == "fish":
        asked["COMP_CWORD"] = "doc"
    done = subprocess.run(
        [sys.executable, "-m", "meshsim"], capture_output=True, text=True, check=False, env=os.environ | asked
    )
    assert "doctor" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_with_the_script() -> None:
    lines = [
        f'meshsim() {{ "{sys.executable}" -m meshsim "$@"; }}; export -f meshsim',
        'eval "$(meshsim completion bash)"',
        "COMP_WORDS=(meshsim exp re); COMP_CWORD=2",
        f'_meshsim_completion "{Path(sys.executable).parent / "meshsim"}"',
        'echo "${COMPREPLY[@]}"',
    ]
    done = subprocess.run(["bash", "--norc", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["report", "resume"]


def test_an_unknown_shell_is_refused_with_those_there_are(capsys: Capture) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "bash" in capsys.readouterr().err


def test_every_argument_of_a_name_offers_names() -> None:
    offering = {"scenario", "model", "--policy"}
    context = click.Context(app)
    for verb in VERBS:
        command = app.get_command(context, verb)
        assert command is not None
        for part in [command, *(command.commands.values() if isinstance(command, click.Group) else ())]:
            for param in part.params:
                if {param.name, *param.opts} & offering:
                    assert param._custom_shell_complete is not None, (verb, part.name, param.name)
