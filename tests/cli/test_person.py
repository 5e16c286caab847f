"""What a person is answered who mistypes: one error with place and nearest right word, exit code 2, no traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshsim.cli import main
from meshsim.identity import Ed25519Signer
from meshsim.node import parts

Capture = pytest.CaptureFixture[str]

FILES = {
    "key.yaml": "name: x\ncalls:\n  rat: 1\n",
    "unit.yaml": "name: x\nduration: 10 parsecs\n",
    "range.yaml": "name: x\nunderlay:\n  loss: 120%\n",
    "topology.yaml": "name: x\nunderlay:\n  topology: sndlib/gean\n",
    "aura.yaml": "name: x\ncalls:\n  listed:\n    - {at: 1 s, caller: alice, callee: '@b.aura', duration: 5 s}\n",
    "broken.yaml": "name: [x\n",
    "node.yaml": 'aura: "@a.aura"\nkey: a.key\nregistry: http://127.0.0.1:9\nrol: relay\n',
    "learn.yaml": "nam: x\n",
}

MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "a preset": (["run", "smok"], ["no scenario file or preset 'smok'", "did you mean: smoke"]),
    "a key": (["run", "key.yaml"], ["key.yaml:3: calls.rat", "allowed: rate, ", "did you mean: rate"]),
    "a unit": (["run", "unit.yaml"], ["unit.yaml:2: duration", "'10 parsecs'", "<number>ms"]),
    "a range": (["run", "range.yaml"], ["range.yaml:3: underlay.loss"]),
    "a topology": (["run", "topology.yaml"], ["topology.yaml:3: underlay.topology", "did you mean: sndlib/geant"]),
    "an AuraID": (["run", "aura.yaml"], ["aura.yaml:4: calls.listed.0.caller", "'alice'", "@name.aura"]),
    "YAML": (["run", "broken.yaml"], ["broken.yaml:", "not YAML"]),
    "a folder": (["run", "."], ["no scenario file"]),
    "an override's key": (["run", "tiny", "-o", "calls.rat=1"], ["'calls.rat=1'", "did you mean: rate"]),
    "an override's value": (["run", "tiny", "-o", "duration=60x"], ["'duration=60x'", "'60x'"]),
    "an override without value": (["run", "tiny", "-o", "calls"], ["dotted.key=value"]),
    "a parameter of trust": (
        ["run", "tiny", "--out", "new", "-o", "trust.parameters.minimal=1"],
        ["trust.parameters.minimal: the model beta has no parameter 'minimal'", "did you mean: minimum"],
    ),
    "a value of trust": (
        ["run", "tiny", "--out", "new", "-o", "trust.parameters.minimum=-1"],
        ["trust.parameters: not a Beta model"],
    ),
    "a policy": (["run", "tiny", "--policy", "shortes"], ["policy: unknown policy", "did you mean: shortest"]),
    "a seed": (["run", "tiny", "--seed", "-1"], ["--seed", "x>=0"]),
    "a verb": (["rnu", "tiny"], ["Did you mean 'run'?"]),
    "an output": (["run", "tiny", "--out", "key.yaml/run"], ["--out", "key.yaml cannot be made"]),
    "an experiment": (["exp", "run", "smok"], ["no experiment 'smok' in the folder experiments"]),
    "a model": (["models", "card", "rout-scorer"], ["no scorer 'rout-scorer'", "route-scorer"]),
    "a suite": (["evaluate", "route-scorer", "--suite", "smok"], ["unknown suite 'smok'", "smoke"]),
    "a topology to show": (["topo", "show", "sndlib/gean"], ["did you mean: sndlib/geant"]),
    "a training file": (["train", "learn.yaml"], ["learn.yaml:1: nam", "did you mean: name"]),
    "a node's key": (["node", "run", "node.yaml"], ["node.yaml:4: rol", "did you mean: role"]),
    "a node's file": (["node", "run", "nobody.yaml"], ["nobody.yaml"]),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_gets_one_clear_answer_and_leaves_nothing(
    what: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words, expected = MISTAKES[what]
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    assert told.err.lower().count("error: ") == 1
    for part in expected:
        assert part in told.err
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


@pytest.mark.parametrize("callee", ["bob", "@bob", "@.aura", "@b b.aura"])
def test_a_call_to_a_name_that_is_none_is_refused_before_anything_is_dialled(
    callee: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text('aura: "@a.aura"\nkey: a.key\nregistry: http://127.0.0.1:9\n', encoding="utf-8")
    assert main(["node", "call", str(path), callee]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: CALLEE: not an AuraID")
    assert "@alice.aura" in told.err or "@name.aura" in told.err


def test_a_node_without_its_registry_says_which(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "JOIN_PATIENCE", 0.2)
    Ed25519Signer.generate().to_file(tmp_path / "a.key")
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"aura": "@a.aura", "key": str(tmp_path / "a.key"), "registry": "http://127.0.0.1:9"}))
    assert main(["node", "run", str(path)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: registry: no registry at http://127.0.0.1:9")
    assert "Traceback" not in told.err


def test_a_node_without_its_key_says_which(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "a.yaml"
    path.write_text('aura: "@a.aura"\nkey: nowhere.key\nregistry: http://127.0.0.1:9\n', encoding="utf-8")
    assert main(["node", "run", str(path)]) == 2
    assert "nowhere.key" in capsys.readouterr().err


def test_parents_of_an_output_are_made_and_the_answer_is_one_json_object(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "not" / "yet" / "there"
    assert main(["run", "tiny", "-o", "duration=20s", "--policy", "shortest", "--out", str(out), "--json"]) == 0
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert told.err == ""
    assert answer["trace"] == str(out)
    assert (out / "header.json").is_file()


def test_an_experiment_elsewhere_is_run_and_answered_as_json(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "mine" / "01_short"
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(
        "question: Does it run?\nscenario: tiny\npolicies: [shortest]\nseeds: [1, 2]\noverrides: [duration=20s]\n"
    )
    words = ["exp", "run", "short", "--root", str(folder.parent), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["table_sha256"]) == 64
    assert Path(answer["report"]).is_file()
