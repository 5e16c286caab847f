"""`meshsim run` saved, killed, resumed and forked: the trace is the one of a run that nothing happened to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import meshsim as ms
from meshsim.cli import main
from meshsim.measure.trace import Trace, trace_sha256
from meshsim.mesh.errors import ConfigError, TraceError
from meshsim.scenario import compile_plan, load
from meshsim.sim import begin
from meshsim.sim.checkpoint import checkpoint, describe

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]

SHORT = ("smoke", "-o", "duration=40 s", "-o", "warmup=5 s", "-o", "control.mode=modelled", "--json")
LONG = {
    "modelled": ("demo", "-o", "duration=150 s", "-o", "warmup=20 s", "--json"),
    "agents": ("smoke", "-o", "duration=45 s", "-o", "warmup=5 s", "-o", "control.mode=agents", "--json"),
}


def answer(capture: Capture, *words: str) -> Any:
    assert main(["run", *words]) == 0
    return json.loads(capture.readouterr().out)


def complaint(capture: Capture, *words: str, code: int = 2) -> str:
    assert main(["run", *words]) == code
    told = capture.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err
    return told.err


def test_saving_on_the_way_changes_nothing_but_leaves_a_checkpoint(tmp_path: Path, capsys: Capture) -> None:
    plain = answer(capsys, *SHORT, "--out", str(tmp_path / "plain"))
    saved = answer(capsys, *SHORT, "--out", str(tmp_path / "saved"), "--checkpoint-every", "15")
    assert saved["trace_sha256"] == plain["trace_sha256"]
    assert (tmp_path / "saved" / "checkpoint").is_file()
    assert not (tmp_path / "plain" / "checkpoint").exists()


def test_forks_part_from_the_saved_run_only_if_something_is_changed(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm = answer(capsys, *SHORT, "--out", str(tmp_path / "warm"), "--checkpoint-every", "15")
    monkeypatch.chdir(tmp_path / "warm")
    assert "has finished" in complaint(capsys, "--resume", ".")
    same = answer(capsys, "--fork", ".", "--out", "../same", "--json")
    assert same["trace_sha256"] == warm["trace_sha256"]
    busy = answer(
        capsys, "--fork", str(tmp_path / "warm"), "-o", "calls.rate=5", "--out", str(tmp_path / "busy"), "--json"
    )
    assert busy["calls"] > warm["calls"]
    assert Trace(tmp_path / "busy").header["forks"] == [{"at_seconds": 30.0, "changes": ["calls.rate=5"]}]


def test_what_cannot_be_gone_on_with_is_said_in_a_line(tmp_path: Path, capsys: Capture) -> None:
    warm, nothing = str(tmp_path / "warm"), str(tmp_path / "nothing")
    answer(capsys, *SHORT, "--out", warm, "--checkpoint-every", "15")
    assert "has finished: there is nothing to resume" in complaint(capsys, "--resume", warm)
    assert "no checkpoint in" in complaint(capsys, "--resume", nothing)
    assert "no checkpoint in" in complaint(capsys, "--fork", nothing)
    told = complaint(capsys, "--fork", warm, "-o", "underlay.loss=0.5", "--out", nothing)
    assert "underlay.loss: cannot be changed in a fork" in told
    assert "routing.policy" in told
    assert "exists already" in complaint(capsys, "--fork", warm, "--out", warm)
    assert not (tmp_path / "nothing").exists()
    assert not (tmp_path / "nothing.part").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument 'SCENARIO'"),
        (("--resume", "a", "--fork", "b"), "exclude each other"),
        (("tiny", "--resume", "a"), "SCENARIO is the checkpoint's own"),
        (("--resume", "a", "-o", "calls.rate=2"), "--override is the checkpoint's own"),
        (("--resume", "a", "--policy", "direct"), "--policy is the checkpoint's own"),
        (("--resume", "a", "--out", "b"), "--out is the checkpoint's own"),
        (("--resume", "a", "--seed", "2"), "--seed is the checkpoint's own"),
        (("--fork", "a", "--seed", "0"), "--seed is the checkpoint's own"),
        (("tiny", "--checkpoint-every", "0"), "--checkpoint-every"),
        (("tiny", "--checkpoint-every", "-5"), "--checkpoint-every"),
        (("tiny", "--checkpoint-every", "1e-320"), "--checkpoint-every"),
        (("tiny", "--checkpoint-every", "nan"), "--checkpoint-every"),
    ],
)
def test_words_without_effect_are_refused(words: tuple[str, ...], said: str, capsys: Capture) -> None:
    assert said in complaint(capsys, *words)


def test_a_run_that_was_cut_off_goes_on_under_its_name(tmp_path: Path, capsys: Capture) -> None:
    scenario = load("smoke", ["duration=40 s", "warmup=5 s", "control.mode=modelled"])
    whole = ms.run(scenario, out=tmp_path / "whole", progress=False)
    episode = begin(compile_plan(scenario, 1), tmp_path / "cut.part")
    episode.advance(17.0)
    checkpoint(episode, every=5.0)
    told = complaint(capsys, *SHORT, "--out", str(tmp_path / "cut"))
    assert f"holds a run that can go on: meshsim run --resume {tmp_path / 'cut'}" in told
    done = answer(capsys, "--resume", str(tmp_path / "cut.part"), "--json")
    assert (done["trace"], done["trace_sha256"]) == (str(tmp_path / "cut"), whole.trace_sha256)
    assert describe(tmp_path / "cut")["at_seconds"] == 35.0
    assert not (tmp_path / "cut.part").exists()


def test_a_run_killed_before_its_whole_trace_got_its_name_is_resumed_too(tmp_path: Path) -> None:
    scenario = load("smoke", ["duration=40 s", "warmup=5 s", "control.mode=modelled"])
    episode = begin(compile_plan(scenario, 1), tmp_path / "cut.part")
    episode.advance(17.0)
    checkpoint(episode)
    expected = episode.finish().trace_sha256
    assert ms.run(resume=tmp_path / "cut", progress=False).trace_sha256 == expected


def test_the_python_function_takes_one_thing_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of a scenario, a run to resume and a run to fork"):
        ms.run()
    with pytest.raises(ConfigError, match="one of a scenario"):
        ms.run("tiny", resume=tmp_path)
    with pytest.raises(ConfigError, match="out of range: -1"):
        ms.run("tiny", checkpoint_every=-1.0)
    with pytest.raises(TraceError, match="no checkpoint in"):
        ms.run(fork=tmp_path)


# Really killed --------------------------------------------------------------------------------------------------------


def start(mode: str, out: Path, *, delay: float) -> subprocess.Popen[str]:
    """A run in another process, `delay` seconds after it saved itself first."""
    program = [sys.executable, "-m", "meshsim", "run", *LONG[mode], "--out", str(out), "--checkpoint-every", "4"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    saved = [out.with_name(f"{out.name}.part") / "checkpoint", out / "checkpoint"]
    while process.poll() is None and not any(path.exists() for path in saved):
        os.sched_yield()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=delay)
    return process


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float]]:
    """For each mode, the hash of an undisturbed run, and how long it took after it had saved itself first, seconds."""
    found = {}
    for mode in LONG:
        process = start(mode, tmp_path_factory.mktemp(mode) / "whole", delay=0.0)
        began = time.monotonic()
        told = process.communicate()[0]
        found[mode] = str(json.loads(told)["trace_sha256"]), time.monotonic() - began
    return found


def resumed(out: Path) -> str:
    """The hash of the trace that a killed run goes on to, in yet another process."""
    environment = {**os.environ, "PYTHONHASHSEED": str(len(out.name))}
    program = [sys.executable, "-m", "meshsim", "run", "--resume", str(out), "--json"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout)["trace_sha256"])


@pytest.mark.full
@pytest.mark.parametrize("number", range(20))
def test_a_run_killed_at_any_time_is_resumed_to_the_identical_trace(
    number: int, whole: dict[str, tuple[str, float]], tmp_path: Path
) -> None:
    mode = ("modelled", "agents")[number % 2]
    expected, seconds = whole[mode]
    process = start(mode, tmp_path / "killed", delay=0.8 * seconds * float(np.random.default_rng(number).random()))
    process.kill()
    process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)
    if not (tmp_path / "killed").exists():
        assert resumed(tmp_path / "killed") == expected
    assert trace_sha256(tmp_path / "killed") == expected


@pytest.mark.full
def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    process = start("modelled", tmp_path / "stopped", delay=0.2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert f"go on with: meshsim run --resume {tmp_path / 'stopped'}" in told


def test_a_run_is_reported_in_a_file_that_holds_its_hash(tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "new" / "tiny.html"
    told = answer(capsys, "tiny", "--json", "--out", str(tmp_path / "run"), "--report", str(place))
    assert told["report"] == str(place)
    assert told["trace_sha256"] in place.read_text(encoding="utf-8")
