"""Thirty mistakes in four kinds of file, each answered with file, line, key and a suggestion; `pytest -s` prints them.

Fourteen are made by people who have not read the manual, the others by fingers: keys with letters swapped, lost or
doubled, by seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from meshsim.cli import main
from meshsim.mesh.seeds import SeedTree

Capture = pytest.CaptureFixture[str]
Show = Callable[[str, str], None]

FILES = {
    "scenario": """\
name: mine
duration: 5 min
warmup: 30 s
underlay:
  topology: sndlib/polska
  capacity: 100 Mbps
  utilisation_mean: 0.4
nodes:
  count: 20
  roles: {relay: 4, super_node: 1}
calls:
  rate: 0.5
churn:
  enabled: true
trust:
  model: beta
routing:
  policy: weighted
""",
    "experiment": """\
question: Is the weighted policy better than the shortest path?
scenario: tiny
policies: [weighted, shortest]
seeds: [1, 2, 3]
overrides: [duration=60 s]
variants:
  - name: calm
  - name: busy
    overrides: [calls.rate=2]
phases:
  - name: late
    start: 30 s
    end: 60 s
metrics: [poor_call_rate]
baseline:
  policy: shortest
  variant: calm
""",
    "train": """\
name: my-scorer
seed: 1
data:
  train:
    - scenario: tiny
      seeds: [1, 2]
      overrides: [routing.policy=exploring]
  calibration:
    - scenario: tiny
      seeds: [3]
  validation:
    - scenario: tiny
      seeds: [4]
model:
  dimension: 16
  rounds: 1
optimisation:
  epochs: 2
  patience: 1
""",
    "node": """\
aura: "@alice.aura"
key: alice.key
registry: http://127.0.0.1:8420
role: relay
max_calls: 4
policy: weighted
reputation: beta
neighbours: []
agent:
  heartbeat: 2.0
  keepalive: 0.5
""",
}

# what is written, what is written instead, the key that is named, and what is suggested
MISREAD = {
    "scenario": [
        ("capacity: 100 Mbps", "capacity: 100 Mbit", "underlay.capacity", "<number>Mbps"),
        ("warmup: 30 s", "warmup: 30 min", "warmup", "warmup < duration"),
        ("enabled: true", "enabled: maybe", "churn.enabled", "true, false"),
        ("count: 20", "count: a few", "nodes.count", "a whole number"),
        ("sndlib/polska", "sndlib/poland", "underlay.topology", "did you mean: sndlib/polska"),
    ],
    "experiment": [
        ("scenario: tiny", "scenario: tinny", "scenario", "did you mean: tiny"),
        ("calls.rate=2", "calls.rate=fast", "variants.1.overrides.0", "a number, without unit"),
        ("duration=60 s", "duraton=60 s", "overrides.0", "did you mean: duration"),
        ("metrics: [poor_call_rate]", "metrics: [poor_rate]", "metrics.0", "poor_call_rate"),
    ],
    "train": [
        ("routing.policy=exploring", "routing.policy=explore", "data.train.0.overrides.0", "did you mean: exploring"),
        ("seeds: [4]", "seeds: [1]", "data.validation.0.seeds", "seeds of its own"),
    ],
    "node": [
        ('"@alice.aura"', "alice", "aura", "@name.aura"),
        ("heartbeat: 2.0", "heartbeat: 0.0", "agent.heartbeat", "> 0 (seconds)"),
        ("max_calls: 4", "max_calls: many", "max_calls", "a whole number"),
    ],
}
MISTYPED = 5
"""In each kind of file."""


@pytest.fixture
def show(request: pytest.FixtureRequest, capsys: Capture) -> Show:
    """Prints a mistake and its answer for who asks with -s."""

    def tell(mistake: str, told: str) -> None:
        if request.config.getoption("capture") == "no":
            with capsys.disabled():
                click.echo(f"\n{mistake}\n    {told}", nl=False)

    return tell


def answer(kind: str, text: str, folder: Path, capture: Capture) -> str:
    """What the command that reads such a file says of it."""
    path = folder / ("01_mine/experiment.yaml" if kind == "experiment" else f"{kind}.yaml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    words = {
        "scenario": ["config", "validate", str(path)],
        "experiment": ["exp", "run", "mine", "--root", str(folder), "--out", str(folder / "out"), "--dry-run"],
        "train": ["train", str(path), "--out", str(folder / "out")],
        "node": ["node", "run", str(path)],
    }
    code = main(words[kind])
    told = capture.readouterr()
    assert code == 2
    assert told.out == ""
    assert not (folder / "out").exists()
    return told.err.replace(str(path), path.name)


def line_of(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


@pytest.mark.parametrize(
    ("kind", "old", "new", "key", "suggestion"),
    [(kind, *mistake) for kind, made in MISREAD.items() for mistake in made],
)
def test_a_value_that_cannot_be_is_told_with_its_place_and_what_can(
    kind: str, old: str, new: str, key: str, suggestion: str, tmp_path: Path, capsys: Capture, show: Show
) -> None:
    text = FILES[kind]
    assert text.count(old) == 1
    told = answer(kind, text.replace(old, new), tmp_path, capsys)
    show(new, told)
    assert told.startswith(f"error: {kind}.yaml:{line_of(text, text.index(old))}: {key}: ")
    assert suggestion in told.partition("\n")[2]


def mistyped(kind: str, number: int) -> tuple[str, int, str, str]:
    """The file with one key misspelt; its line, the key as it is written now, and as it should be."""
    draw = SeedTree(number).generator("mistype", list(FILES).index(kind))
    text = FILES[kind]
    keys = [found for found in re.finditer(r"\b([a-z_]{5,}):", text) if not found[1].startswith("late")]
    found = keys[int(draw.integers(len(keys)))]
    right, at = found[1], int(draw.integers(1, len(found[1]) - 1))
    swapped = right[: at - 1] + right[at] + right[at - 1] + right[at + 1 :]
    slips = sorted({swapped, right[:at] + right[at + 1 :], right[:at] + right[at] + right[at:]} - {right})
    wrong = slips[int(draw.integers(len(slips)))]
    return text[: found.start()] + wrong + text[found.end() - 1 :], line_of(text, found.start()), wrong, right


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("number", range(MISTYPED))
def test_a_misspelt_key_is_told_with_its_place_and_the_right_one(
    kind: str, number: int, tmp_path: Path, capsys: Capture, show: Show
) -> None:
    text, line, wrong, right = mistyped(kind, number)
    told = answer(kind, text, tmp_path, capsys)
    show(wrong, told)
    assert re.match(rf"error: {kind}\.yaml:{line}: ([\w.]+\.)?{wrong}: unknown key", told)
    assert told.endswith(f"did you mean: {right}\n")


def test_there_are_thirty_of_them() -> None:
    made = [mistyped(kind, number)[0] for kind in FILES for number in range(MISTYPED)]
    assert len(set(made)) + sum(len(misread) for misread in MISREAD.values()) >= 30
