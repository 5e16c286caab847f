"""What codecs send, and the plain rules that set their rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import LinkParameters
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.sim.rtc import Aimd, Data, Fixed, Opus, Path, SessionSpec, Video, run_session
from meshsim.sim.rtc.opus import FRAME, PAUSE, SILENCE_BYTES, TALK, Voice
from meshsim.sim.rtc.video import LARGEST_PAYLOAD, MTU, Camera, pieces

SEEDS = SeedTree(11)


def test_talk_spurts_and_pauses_last_as_long_as_p59_says() -> None:
    voice = Voice(Opus(dtx=True), SEEDS, 0)
    talking = []
    for n in range(150_000):
        voice.frame(n)
        talking.append(voice.talking)
    turns = np.flatnonzero(np.diff(talking))
    spurts = np.diff(turns)[0 if talking[turns[0] + 1] else 1 :: 2] * FRAME
    assert spurts.mean() == pytest.approx(TALK, rel=0.1)
    assert np.mean(talking) == pytest.approx(TALK / (TALK + PAUSE), rel=0.07)


def test_a_pause_is_a_small_packet_every_400_ms_and_a_spurt_begins_with_a_marker() -> None:
    voice = Voice(Opus(dtx=True), SEEDS, 0)
    was, firsts = False, 0
    for n in range(5_000):
        spoken = voice.frame(n)
        if voice.talking:
            assert spoken is not None
            assert spoken.payload == 60
            assert spoken.first == (not was or firsts == 0)
            firsts += spoken.first
        elif spoken is not None:
            assert (spoken.payload, n % 20) == (SILENCE_BYTES, 0)
        was = voice.talking


def test_varying_sizes_keep_the_bit_rate() -> None:
    voice = Voice(Opus(bitrate=32e3, variation=0.3), SEEDS, 0)
    sizes = [voice.frame(n).payload for n in range(20_000)]
    assert np.mean(sizes) == pytest.approx(80, rel=0.02)
    assert np.std(np.log(sizes)) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("ratio", [1.0, 4.0, 10.0])
def test_a_camera_keeps_the_rate_whatever_its_key_frames_weigh(ratio) -> None:
    camera = Camera(Video(gop=50, key_ratio=ratio), SEEDS, 0)
    frames = [camera.frame(n, 8e5, key=False) for n in range(5_000)]
    sizes, keys = map(np.array, zip(*frames, strict=True))
    assert sizes.mean() * 8 * 30 == pytest.approx(8e5, rel=0.03)
    assert np.flatnonzero(keys).tolist() == list(range(0, 5_000, 50))
    assert sizes[keys].mean() == pytest.approx(ratio * sizes[~keys].mean(), rel=0.1)


def test_a_key_frame_that_was_asked_for_begins_a_group_of_pictures_anew() -> None:
    camera = Camera(Video(gop=10), SEEDS, 0)
    keys = [camera.frame(n, 1e6, key=n == 4)[1] for n in range(20)]
    assert [n for n, key in enumerate(keys) if key] == [0, 4, 14]


@given(size=st.integers(1, 200_000))
def test_frames_are_cut_into_as_few_nearly_equal_packets_as_fit(size) -> None:
    parts = pieces(size)
    assert sum(parts) == size
    assert max(parts) <= LARGEST_PAYLOAD
    assert max(parts) - min(parts) <= 1
    assert (len(parts) - 1) * LARGEST_PAYLOAD < size


def test_no_packet_of_a_session_is_larger_than_a_path_takes_repair_included() -> None:
    largest = {}

    def watch(_now, _way, packet) -> None:
        largest[packet.kind] = max(largest.get(packet.kind, 0), packet.size)

    spec = SessionSpec(audio=Opus(), video=Video(), fec=3)
    lossy = LinkParameters(rate_bps=5e6, propagation=0.03, loss=0.05)
    run_session(spec, Path.steady(lossy), until=10.0, watch=watch)
    assert len(largest) == 5
    assert max(largest.values()) <= MTU


def feed(control, lost: int, now: float, rtt: float = 0.1) -> float:
    sent = now - 0.2 + np.arange(10) * 0.01
    arrived = sent + 0.05
    arrived[:lost] = np.nan
    return control.feedback(sent, arrived, np.full(10, 1200.0), now, rtt)


def test_aimd_grows_by_a_packet_in_a_response_time_and_halves_once_for_a_burst_of_losses() -> None:
    control = Aimd(4e5, 3e4, 1e6)
    assert feed(control, 0, 0.1) == pytest.approx(4e5 + 9600 * 0.1 / 0.2**2)
    before = feed(control, 0, 0.2)
    assert feed(control, 3, 0.3) == pytest.approx(before / 2)
    assert feed(control, 3, 0.4) == pytest.approx(before / 2)  # sent before the rate was lowered
    assert feed(control, 3, 0.8) == pytest.approx(before / 4)
    for n in range(200):
        rate = feed(control, 0, 1.0 + 0.1 * n)
    assert rate == 1e6
    assert feed(Fixed(5e5), 9, 1.0) == 5e5


@pytest.mark.parametrize(
    "make",
    [
        lambda: Video(fps=0.0),
        lambda: Video(layers=(5e5, 1e5)),
        lambda: Data(size=0),
        lambda: SessionSpec(audio=Opus(), fec=256),
    ],
)
def test_what_no_codec_can_send_is_refused(make) -> None:
    with pytest.raises(ConfigError):
        make()
