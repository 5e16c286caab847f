from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshsim.lab.events import epoch_events
from meshsim.lab.training import episodes, train
from meshsim.learn.config import Wanted
from meshsim.learn.course import Epoch
from meshsim.measure.trace import Trace, trace_sha256
from meshsim.mesh.errors import MissingExtra


@pytest.mark.full
def test_wanted_episodes_are_simulated_each_into_its_split_and_only_once(tmp_path: Path) -> None:
    short = ("duration=20s",)
    wanted = [
        Wanted("train", "tiny", 1, short),
        Wanted("validation", "tiny", 2, short),
        Wanted("train", "tiny", 3, short),
    ]
    done: list[float] = []
    traces = episodes(wanted, tmp_path, done.append)
    assert {split: len(paths) for split, paths in traces.items()} == {"train": 2, "validation": 1}
    assert [Trace(path).header["seed"] for path in traces["train"]] == [1, 3]
    assert len({trace_sha256(path) for paths in traces.values() for path in paths}) == 3
    assert done == [1 / 3, 2 / 3, 1.0]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert episodes(wanted, tmp_path, done.append) == traces
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert len(done) == 3


CONFIG = """\
name: small
data:
  train: [{scenario: demo, seeds: [1], overrides: [routing.policy=exploring, duration=3 min, warmup=30 s]}]
  calibration: [{scenario: demo, seeds: [2], overrides: [routing.policy=exploring, duration=3 min, warmup=30 s]}]
  validation: [{scenario: validation, seeds: [3], overrides: [routing.policy=exploring, duration=3 min, warmup=30 s]}]
optimisation: {epochs: 6}
"""


@pytest.mark.full
def test_a_training_that_was_killed_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(CONFIG, encoding="utf-8")
    words = [sys.executable, "-m", "meshsim", "train", "small.yaml", "--checkpoint", "kept", "--out"]
    state, kills = tmp_path / "kept" / "fit.pt", 0
    while kills < 3:
        seen = state.stat().st_mtime_ns if state.exists() else 0
        running = subprocess.Popen([*words, "cut-off"], cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
        while running.poll() is None and (state.stat().st_mtime_ns if state.exists() else 0) == seen:
            time.sleep(0.005)
        if running.poll() is not None:
            break  # all epochs are done
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        kills += 1
    assert kills > 0
    subprocess.run([*words, "cut-off"], cwd=tmp_path, check=True, capture_output=True)
    words[words.index("kept")] = "other"
    subprocess.run([*words, "whole"], cwd=tmp_path, check=True, capture_output=True)
    for name in ("encoder.onnx", "head.onnx", "card.md", "calibration.json", "manifest.json"):
        assert (tmp_path / "cut-off" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_event_files_need_an_extra_that_is_named_before_anything_is_simulated(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorboard") is not None:
        pytest.skip("tensorboard is installed")
    (tmp_path / "small.yaml").write_text(CONFIG, encoding="utf-8")
    with pytest.raises(MissingExtra, match="tracking"):
        train(tmp_path / "small.yaml", out=tmp_path / "out", progress=False, tensorboard=tmp_path / "events")
    assert not (tmp_path / "out").exists()


def test_each_epoch_is_in_the_event_file_as_soon_as_it_is_told(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: meshsim[tracking]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415 - an extra

    with epoch_events(tmp_path) as tell:
        for number in (1, 2):
            tell(Epoch(number=number, train=1.0 / number, validation=0.5, poor=0.25))
            read = EventAccumulator(str(tmp_path)).Reload()
            assert [event.step for event in read.Scalars("training/train")] == list(range(1, number + 1))
    assert read.Scalars("training/train")[-1].value == 0.5
