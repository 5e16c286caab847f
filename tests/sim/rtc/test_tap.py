"""Calls of an episode captured: the trace stays the same, the packets are those of the path that the call had."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshsim.cli import main
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import MediaType, demand
from meshsim.scenario import compile_plan, load
from meshsim.sim import begin
from meshsim.sim.checkpoint import checkpoint, resume
from meshsim.sim.rtc.capture import capture_call
from meshsim.sim.rtc.tap import OUTAGE, Condition, NoMedia, Recording, conditions
from meshsim.sim.world import World

Capture = pytest.CaptureFixture[str]

SHORT = (
    "smoke",
    "-o",
    "duration=25 s",
    "-o",
    "warmup=3 s",
    "-o",
    "calls.media={audio: 0.7, audio_video: 0.3}",
    "--json",
)
MODES = {
    "modelled": ("-o", "control.mode=modelled"),
    "packet": ("-o", "control.mode=modelled", "-o", "media.mode=packet"),
    "agents": (),
}


def answer(capture: Capture, *words: str, code: int = 0) -> Any:
    assert main(["run", *words]) == code
    told = capture.readouterr()
    return json.loads(told.out) if code == 0 else told.err


@pytest.mark.parametrize("mode", ["modelled", "agents", pytest.param("packet", marks=pytest.mark.full)])
def test_capturing_calls_leaves_the_trace_as_it_is_and_a_file_for_each(
    mode, tmp_path, capsys: Capture, capture_reader
) -> None:
    plain = answer(capsys, *SHORT, *MODES[mode], "--out", str(tmp_path / "plain"))
    asked = ("--pcap", "1", "--pcap", "3")
    captured = answer(capsys, *SHORT, *MODES[mode], *asked, "--out", str(tmp_path / "captured"))
    assert captured["trace_sha256"] == plain["trace_sha256"]
    assert list(captured["captures"]) == ["1", "3"]
    for number in ("1", "3"):
        file = tmp_path / "captured" / "calls" / f"{number}.pcapng"
        told = json.loads(file.with_suffix(".json").read_text())
        packets = [packet for packet in capture_reader(file) if packet.target[1] in {5004, 5006}]
        assert len(packets) == told["there"]["received"] + told["back"]["received"]
        brief = captured["captures"][number]
        assert brief["file"] == f"calls/{number}.pcapng"
        assert brief["back"]["rtt_seconds"] == told["back"]["rtt_seconds"]
        assert brief["there"]["mos"] == told["there"]["mos"]
        assert told["seconds"] > 1.0


def test_calls_that_are_not_there_or_never_connected_are_named(tmp_path, capsys: Capture) -> None:
    told = answer(capsys, *SHORT, "--pcap", "999", "--out", str(tmp_path / "none"), code=2)
    assert "--pcap: no call 999" in told
    assert not (tmp_path / "none").exists()
    alone = (
        *SHORT,
        *MODES["modelled"],
        "-o",
        "churn={enabled: true, session_mean: 1 s, downtime_mean: 10 min, applies_to: all}",
    )
    numbers = [word for number in range(4) for word in ("--pcap", str(number))]
    told = answer(capsys, *alone, *numbers, "--out", str(tmp_path / "dead"), code=3)
    assert "never connected" in told
    assert (tmp_path / "dead" / "header.json").exists()
    told = answer(capsys, "--resume", str(tmp_path / "dead"), "--pcap", "1", code=2)
    assert "--pcap is the checkpoint's own" in told


def test_a_resumed_episode_goes_on_listening_to_the_same_packets(tmp_path) -> None:
    plan = compile_plan(load("smoke", ["duration=40 s", "warmup=5 s", "control.mode=modelled"]), 1)
    whole, broken = (begin(plan, tmp_path / name) for name in ("whole", "broken"))
    for episode in (whole, broken):
        episode.listen([2])
    whole.finish()
    middle = float(plan.calls.start[2]) + 1.0
    broken.advance(middle)
    checkpoint(broken, tmp_path / "saved")
    again = resume(tmp_path / "saved")
    again.finish()
    assert again.tap is not None
    assert whole.tap is not None
    assert again.tap.recordings[2] == whole.tap.recordings[2]
    assert len(whole.tap.recordings[2].at) > 1


def test_what_is_recorded_is_what_the_world_says_of_both_ways(small) -> None:
    world = World(small())
    demanded = demand(MediaType.AUDIO)
    path = world.lay([(0, 7, 3)], demanded)
    flow = world.open(path)
    there, back = conditions(world, flow, MediaType.AUDIO)
    truth = world.measure(path)
    sending = sum(path.sending.tolist())
    assert there.delay + back.delay + sending == pytest.approx(truth.rtt.item())
    assert max(there.jitter, back.jitter) == pytest.approx(truth.jitter.item())
    assert max(there.loss, back.loss) == pytest.approx(truth.loss.item())
    assert min(there.rate, back.rate) >= demanded.rate_bps
    world.take_down(7, 0.0)
    assert conditions(world, flow, MediaType.AUDIO) == (OUTAGE, OUTAGE)


def test_a_recording_begins_with_media_ends_with_them_and_keeps_outages_between() -> None:
    one, two = (Condition(delay, 0.001, 0.0, 1e6) for delay in (0.05, 0.08))
    recording = Recording(5, "audio")
    for at, way in ((9.9, OUTAGE), (10.0, one), (10.1, one), (12.0, OUTAGE), (13.0, two), (15.0, two), (15.1, OUTAGE)):
        recording.note(at, (way, way))
    assert recording.at == [10.0, 12.0, 13.0, 15.1]
    assert recording.seconds == pytest.approx(5.1)
    (link,) = recording.path().there
    assert link.at == pytest.approx((0.0, 2.0, 3.0, 5.1))
    assert [row.loss for row in link.rows] == [0.0, 1.0, 0.0, 1.0]
    assert link.rows[0].propagation + link.rows[0].jitter == pytest.approx(0.05)


def test_the_captured_session_lived_through_the_recorded_path(tmp_path) -> None:
    recording = Recording(5, "audio")
    way = Condition(0.07, 0.002, 0.04, 1e7)
    recording.note(100.0, (way, way))
    recording.note(220.0, (way, way))
    told = capture_call(recording, tmp_path, 1)
    assert told.seconds == pytest.approx(120.0)
    assert told.there.rtt == pytest.approx(0.14, abs=0.006)
    assert told.there.network_loss == pytest.approx(0.04, abs=0.012)
    assert np.isclose(told.there.sources[0].jitter_mean, 0.002, rtol=0.25)


def test_video_of_an_adaptive_scenario_follows_congestion_control_on_its_path(tmp_path) -> None:
    recording, narrow = Recording(6, "audio_video"), Condition(0.04, 0.0, 0.0, 5e5)
    for at in (0.0, 12.0):
        recording.note(at, (narrow, narrow))
    plain, adaptive = (capture_call(recording, tmp_path, 1, adaptive=adapts).there for adapts in (False, True))
    assert plain.network_loss > 0.3
    assert adaptive.network_loss < 0.03
    assert adaptive.mos > plain.mos


def test_a_call_without_media_cannot_be_lived_through(tmp_path) -> None:
    silent = Recording(8, "audio")
    silent.note(1.0, (OUTAGE, OUTAGE))
    assert math.isnan(silent.end) or not silent.at
    with pytest.raises(NoMedia, match="call 8 never connected"):
        capture_call(silent, tmp_path, 1)
    brief = Recording(9, "audio")
    brief.note(1.0, (Condition(0.1, 0.0, 0.0, 1e6), Condition(0.1, 0.0, 0.0, 1e6)))
    with pytest.raises(NoMedia, match="less than"):
        capture_call(brief, tmp_path, 1)
    assert not list(Path(tmp_path).iterdir())


def test_an_episode_listens_only_to_calls_that_it_has(small, tmp_path) -> None:
    episode = begin(small(), tmp_path / "run")
    with pytest.raises(ConfigError, match="no call"):
        episode.listen([10_000])
