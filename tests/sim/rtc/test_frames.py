"""The viewer's side: frames in order, none before it is whole, repairs in time or not at all."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.sim.rtc.frames import KEY_PERIOD, PATIENCE, Frames
from meshsim.sim.rtc.packet import Piece

FPS = 30.0


def piece(frame: int, part: int = 0, parts: int = 1, *, key: bool = False) -> Piece:
    return Piece(frame, part, parts, key or frame == 0, frame / FPS)


def watch(
    arrivals: list[tuple[float, Piece, bool]], *, rtt: float = 0.05, until: float = 4.0
) -> tuple[Frames, list[tuple[float, Piece]], list[float]]:
    """Frames, the repairs of use, and when key frames were asked for; ticks are 20 ms apart."""
    frames, useful, asked, tick = Frames(again=True), [], [], 0.02
    for now, one, repaired in sorted(arrivals, key=lambda arrival: arrival[0]):
        while tick < now:
            asked += [tick] * frames.tick(tick, rtt)
            tick += 0.02
        frames.noticed(now)
        deadline = frames.deadline(one, now, rtt)
        if frames.take(one, 1000, now, rtt, repaired=repaired) and repaired:
            useful.append((now, one))
            assert math.isnan(deadline) or now <= deadline  # nothing is known before the first packet
    while tick < until:
        asked += [tick] * frames.tick(tick, rtt)
        tick += 0.02
    return frames, useful, asked


packets = st.tuples(
    st.sampled_from(["comes", "comes", "comes", "comes", "lost", "repaired"]), st.floats(0.0, 0.08), st.floats(0.0, 1.5)
)


@settings(max_examples=40)
@given(fates=st.lists(st.lists(packets, min_size=1, max_size=3), min_size=4, max_size=40), gop=st.integers(3, 20))
def test_frames_are_shown_in_order_whole_and_after_what_they_are_decoded_from(fates, gop) -> None:
    arrivals, whole_at = [], {}
    for n, parts in enumerate(fates):
        here = []
        for part, (fate, delay, more) in enumerate(parts):
            if fate != "lost":
                at = n / FPS + 0.05 + delay + (more if fate == "repaired" else 0.0)
                here.append(at)
                arrivals.append((at, piece(n, part, len(parts), key=n % gop == 0), fate == "repaired"))
        if len(here) == len(parts):
            whole_at[n / FPS] = max(here)
    frames, _, _ = watch(arrivals)
    shown = frames.shown
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(shown))
    for captured, at in shown:
        assert at >= whole_at[captured]
    numbers = [round(captured * FPS) for captured, _ in shown]
    assert all(number % gop == 0 or number - 1 in numbers for number in numbers)


def test_a_frame_waits_for_its_repair_and_is_shown_when_it_is_back() -> None:
    arrivals = [(n / FPS + 0.05, piece(n), False) for n in range(30) if n != 10]
    back = 10 / FPS + 0.05 + 0.12
    frames, useful, asked = watch([*arrivals, (back, piece(10), True)])
    assert [one.frame for _, one in useful] == [10]
    assert len(frames.shown) == 30
    assert asked == []
    assert min(at for captured, at in frames.shown if captured >= 10 / FPS) >= back


def test_a_frame_that_stays_away_is_given_up_after_the_wait_and_a_key_frame_asked_for_again_and_again() -> None:
    arrivals = [(n / FPS + 0.05, piece(n), False) for n in range(60) if n != 10]
    frames, _, asked = watch(arrivals, until=3.0)
    assert len(frames.shown) == 10
    given_up = 10 / FPS + 0.05 + PATIENCE
    assert given_up < asked[0] < given_up + 0.15
    assert all(later - earlier >= KEY_PERIOD for earlier, later in pairwise(asked))
    assert len(asked) > 3
    seen = frames.seen(3.0)
    assert seen.freezes == 1
    assert seen.freeze_share == pytest.approx(1.0 - 10 / FPS / 3.0, abs=0.05)


def test_a_repair_after_the_wait_is_of_no_use() -> None:
    arrivals = [(n / FPS + 0.05, piece(n), False) for n in range(60) if n != 10]
    _, useful, _ = watch([*arrivals, (10 / FPS + 1.0, piece(10), True)])
    assert useful == []


def test_a_steady_stream_never_freezes_and_shows_every_frame_after_the_same_delay() -> None:
    frames, _, asked = watch([(n / FPS + 0.08, piece(n), False) for n in range(300)])
    seen = frames.seen(300 / FPS)
    assert asked == []
    assert (seen.freezes, seen.freeze_share) == (0, 0.0)
    assert seen.rate == pytest.approx(1000 * 8 * FPS, rel=0.02)


def test_who_sees_one_picture_and_no_more_sees_a_freeze_to_the_end() -> None:
    frames, _, _ = watch([(0.05, piece(0), False)], until=0.1)
    seen = frames.seen(3.0)
    assert (seen.rendered, seen.freezes, seen.freeze_share) == (1, 1, pytest.approx(1.0))
