"""A saved episode goes on to the identical trace; what is no sound checkpoint of this code is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure.trace import trace_sha256
from meshsim.mesh.errors import LocalProtocolError, TraceError
from meshsim.sim import begin
from meshsim.sim import checkpoint as saving
from meshsim.sim.checkpoint import CHECKPOINT, checkpoint, finish, resume

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.scenario import Plan

AGENTS = {
    "duration": 24.0,
    "warmup": 5.0,
    "nodes": {"count": 8, "roles": {"relay": 2}},
    "control": {"mode": "agents", "digest_period": 5.0, "heartbeat": 3.0},
    "calls": {"rate": 0.6, "duration": {"median": 12.0}},
}


MODELLED = {"duration": 90.0}
MODES = [pytest.param(MODELLED, id="modelled"), pytest.param(AGENTS, id="agents")]
AGENTS_LATER = [MODES[0], pytest.param(AGENTS, id="agents", marks=pytest.mark.full)]


def stop_after(plan: Plan, out: Path, events: int) -> None:
    """Runs `events` events, saves, goes on for a while, and loses all that is not in files."""
    episode = begin(plan, out)
    for _ in range(events):
        episode.env.step()
    checkpoint(episode)
    for _ in range(events // 3):
        episode.env.step()


def events_of(plan: Plan, out: Path) -> int:
    """How many events an episode has until shortly before its end."""
    episode, count = begin(plan, out), 0
    while episode.env.now < 0.9 * plan.scenario.duration:
        episode.env.step()
        count += 1
    return count


@pytest.mark.parametrize("world", MODES)
def test_an_episode_stopped_anywhere_goes_on_to_the_identical_trace(world, small, tmp_path):
    plan = small(1, **world)
    whole = begin(plan, tmp_path / "whole").finish()
    most = events_of(plan, tmp_path / "counted")
    for n, events in enumerate(np.random.default_rng(5).integers(1, most, 3).tolist()):
        out = tmp_path / str(n)
        stop_after(plan, out, events)
        resumed = resume(out).finish()
        assert resumed.trace_sha256 == whole.trace_sha256
        assert resumed.counts == whole.counts


@pytest.mark.parametrize("world", AGENTS_LATER)
def test_saving_and_the_size_of_steps_change_nothing(world, small, tmp_path):
    plan = small(1, **world)
    whole = begin(plan, tmp_path / "whole").finish()
    saved = finish(begin(plan, tmp_path / "saved"), every=7.5)
    assert saved.trace_sha256 == whole.trace_sha256
    assert saving.describe(saved.trace)["at_seconds"] == 7.5 * ((plan.scenario.duration - 0.1) // 7.5)
    stepped = begin(plan, tmp_path / "stepped")
    for at in np.sort(np.random.default_rng(3).uniform(0.0, plan.scenario.duration, 40)).tolist():
        stepped.advance(at)
    assert stepped.finish().trace_sha256 == whole.trace_sha256


def test_a_resumed_episode_can_be_stopped_and_resumed_again(small, tmp_path):
    plan = small(2, duration=80.0)
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "stopped")
    for at in (20.0, 40.0, 60.0):
        episode.advance(at)
        checkpoint(episode)
        episode = resume(tmp_path / "stopped")
    assert episode.finish().trace_sha256 == whole.trace_sha256


def test_an_episode_that_begins_where_another_was_cut_off_is_saved_at_once(small, tmp_path):
    other = begin(small(2, duration=60.0), tmp_path / "run")
    other.advance(30.0)
    checkpoint(other)
    episode = begin(small(1, duration=60.0), tmp_path / "run", progress=cut_off)
    with pytest.raises(KeyboardInterrupt):
        finish(episode, every=50.0)
    assert (resume(tmp_path / "run").plan.seed, saving.describe(tmp_path / "run")["at_seconds"]) == (1, 0.0)


def cut_off(_: float) -> None:
    raise KeyboardInterrupt


def small_parts(monkeypatch):
    monkeypatch.setattr("meshsim.measure.trace.PART_ROWS", 40)
    monkeypatch.setattr("meshsim.sim.recorder.FLUSH_ROWS", 10)


def test_parts_finished_before_are_kept_and_those_after_are_written_again(small, tmp_path, monkeypatch):
    small_parts(monkeypatch)
    plan = small(1, duration=100.0)
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "stopped")
    episode.advance(70.0)
    checkpoint(episode)
    kept = set(episode.recorder.writer.parts)
    assert len(kept) > 3
    episode.advance(95.0)
    assert set(episode.recorder.writer.parts) > kept
    resumed = resume(tmp_path / "stopped")
    assert {p.relative_to(tmp_path / "stopped").as_posix() for p in (tmp_path / "stopped").glob("*/*")} == kept
    assert resumed.finish().trace_sha256 == whole.trace_sha256


def test_a_checkpoint_elsewhere_brings_the_parts_that_it_needs(small, tmp_path, monkeypatch):
    small_parts(monkeypatch)
    monkeypatch.chdir(tmp_path)
    plan = small(1, duration=90.0)
    episode = begin(plan, Path("whole"))
    episode.advance(60.0)
    checkpoint(episode, tmp_path / "elsewhere")
    checkpoint(episode, tmp_path / "whole")  # its own folder by another name
    whole = episode.finish()
    assert resume(tmp_path / "elsewhere").finish().trace_sha256 == whole.trace_sha256


def test_a_checkpoint_onto_another_trace_is_refused_and_leaves_it_whole(small, tmp_path, monkeypatch):
    small_parts(monkeypatch)
    plan = small(1, duration=40.0)
    other = begin(plan, tmp_path / "other").finish()
    episode = begin(plan, tmp_path / "run")
    episode.advance(35.0)
    assert episode.recorder.writer.parts
    with pytest.raises(TraceError, match="holds a trace already"):
        checkpoint(episode, tmp_path / "other")
    assert trace_sha256(tmp_path / "other") == other.trace_sha256


@pytest.mark.parametrize("every", [0.1, 0.7, 1.1, 60.1])
def test_each_save_is_later_than_the_one_before_and_none_is_left_out(every):
    now = 0.0
    for number in range(1, 1000):
        now = saving._next_multiple(now, every)
        assert now == number * every
        assert saving._next_multiple(np.nextafter(now, 0.0), every) == now


@pytest.mark.parametrize("policy", ["learned", "exploring"])
def test_policies_with_models_or_draws_go_on_too(policy, small, tmp_path):
    plan = small(3, duration=90.0, routing={"policy": policy})
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "stopped")
    episode.advance(50.0)
    checkpoint(episode)
    assert resume(tmp_path / "stopped").finish().trace_sha256 == whole.trace_sha256


def test_calls_that_were_ranked_ahead_go_on_too(small, tmp_path):
    plan = small(3, duration=90.0, routing={"policy": "weighted", "batch": 20.0}, record={"candidates": False})
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "stopped")
    episode.advance(51.0)
    checkpoint(episode)
    assert resume(tmp_path / "stopped").finish().trace_sha256 == whole.trace_sha256


@pytest.mark.full
@pytest.mark.parametrize("labels", ["flow", "packet"])
def test_calls_that_live_through_packets_go_on_too(labels, small, tmp_path):
    plan = small(
        1,
        duration=45.0,
        warmup=5.0,
        underlay={"capacity": 20e6},  # the fewer packets of others
        media={"mode": "packet", "labels": labels},
        calls={"rate": 0.3},
        routing={"candidates": 2},
    )
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "stopped")
    episode.advance(31.0)
    checkpoint(episode)
    assert resume(tmp_path / "stopped").finish().trace_sha256 == whole.trace_sha256


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(small: Callable[..., Plan], tmp_path: Path) -> Path:
    """A folder with a checkpoint."""
    episode = begin(small(1, duration=60.0), tmp_path / "saved")
    episode.advance(30.0)
    return checkpoint(episode).parent


def rewrite(folder: Path, **said: Any) -> None:
    """Makes a checkpoint say something else of itself."""
    data = (folder / CHECKPOINT).read_bytes()
    magic, line, rest = data.split(b"\n", 2)
    (folder / CHECKPOINT).write_bytes(b"\n".join([magic, json.dumps(json.loads(line) | said).encode(), rest]))


@pytest.mark.parametrize("said", [{"format": 99}, {"meshsim": "0.0.1"}, {"code": "0" * 64}])
def test_a_checkpoint_of_another_version_is_refused_with_both_versions(said, saved):
    rewrite(saved, **said)
    with pytest.raises(TraceError, match=r"was written by meshsim .* this is meshsim") as refused:
        resume(saved)
    assert str(next(iter(said.values())))[:12] in str(refused.value)


def test_every_kind_of_damage_is_named(saved):
    whole = (saved / CHECKPOINT).read_bytes()
    draw = np.random.default_rng(11)
    for _ in range(30):
        spoilt = bytearray(whole)
        spoilt[draw.integers(len(spoilt))] ^= int(draw.integers(1, 256))
        (saved / CHECKPOINT).write_bytes(spoilt)
        with pytest.raises(TraceError, match=r"damaged|is no checkpoint|was written by"):
            resume(saved)
        (saved / CHECKPOINT).write_bytes(whole[: draw.integers(len(whole))])
        with pytest.raises(TraceError, match=r"damaged|is no checkpoint"):
            resume(saved)


def test_no_checkpoint_and_a_missing_part_are_named(saved, tmp_path):
    with pytest.raises(TraceError, match="no checkpoint in"):
        resume(tmp_path)
    episode = resume(saved)
    episode.recorder.flush()
    episode.recorder.writer._flush("nodes")
    checkpoint(episode)
    shutil.rmtree(saved / "nodes")
    with pytest.raises(TraceError, match=r"part-00000\.parquet is missing"):
        resume(saved)


def test_a_finished_episode_is_neither_saved_nor_resumed(saved):
    episode = resume(saved)
    episode.finish()
    with pytest.raises(LocalProtocolError, match="the episode is over"):
        checkpoint(episode)
    with pytest.raises(TraceError, match="holds a trace already"):
        resume(saved)


def test_ordinary_processes_are_refused_by_name(small, tmp_path):
    episode = begin(small(duration=60.0), tmp_path / "run")

    def watch():
        while True:
            yield episode.env.timeout(1.0)

    episode.env.process(watch())
    episode.advance(5.0)
    with pytest.raises(LocalProtocolError, match="SimPy processes cannot be saved, and there are: watch"):
        checkpoint(episode)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_what_could_not_be_read_again_is_refused_when_it_is_saved(small, tmp_path):
    episode = begin(small(duration=60.0), tmp_path / "run")
    episode.env.on("mine", lambda entity, arg: None)
    with pytest.raises(LocalProtocolError, match=r"cannot be saved: .*lambda"):
        checkpoint(episode)
    assert not list((tmp_path / "run").glob("checkpoint*"))


class Evil:
    def __init__(self, call: Any, *args: Any) -> None:
        self.call = call, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("call", "args"),
    [
        (os.system, ("true",)),
        (eval, ("1",)),
        (getattr, (begin, "__globals__")),
        (getattr, (begin, "__call__")),
        (pickle.loads, (b"",)),
        (begin, (None, None)),
        (bytearray, (-1,)),
    ],
)
def test_a_checkpoint_can_call_nothing_but_what_episodes_are_made_of(call, args, saved):
    data = (saved / CHECKPOINT).read_bytes()
    magic, line, _ = data.split(b"\n", 2)
    forged = b"\n".join([magic, line, pickle.dumps(Evil(call, *args))])
    (saved / CHECKPOINT).write_bytes(forged + hashlib.sha256(forged).hexdigest().encode())
    with pytest.raises(TraceError, match="is no checkpoint of an episode"):
        resume(saved)


def test_a_checkpoint_of_something_else_is_no_episode(saved):
    magic, line, _ = (saved / CHECKPOINT).read_bytes().split(b"\n", 2)
    forged = b"\n".join([magic, line, pickle.dumps([1, 2])])
    (saved / CHECKPOINT).write_bytes(forged + hashlib.sha256(forged).hexdigest().encode())
    with pytest.raises(TraceError, match="it holds a list"):
        resume(saved)


def test_trace_hashes_do_not_see_the_checkpoint(saved):
    before = trace_sha256(saved)
    (saved / CHECKPOINT).unlink()
    assert trace_sha256(saved) == before
