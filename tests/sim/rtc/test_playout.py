"""The listener's buffer: what is heard, and when."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.rtc.delays import FLOOR, WINDOW, Delays
from meshsim.sim.rtc.opus import FRAME
from meshsim.sim.rtc.playout import Playout


def listen(delays: list[float | None], *, redundant: bool = False) -> Playout:
    """Frames with these network delays, None for lost, in order of arrival."""
    arriving = sorted((FRAME * (n + 1) + delay, n) for n, delay in enumerate(delays) if delay is not None)
    playout = Playout(redundant=redundant)
    for now, frame in arriving:
        playout.take(frame, now)
    playout.advance(FRAME * len(delays) + 2.0)
    return playout


@settings(max_examples=50)
@given(delays=st.lists(st.one_of(st.none(), st.floats(0.0, 0.4)), min_size=5, max_size=100))
def test_every_frame_is_played_concealed_or_lost_and_shares_add_up_to_one(delays) -> None:
    heard = listen(delays).heard(list(range(len(delays))))
    if heard.frames:
        assert heard.frames == len(delays)
        assert heard.played + heard.recovered + heard.lost + heard.late == pytest.approx(1.0)
        lost = sum(delay is None for delay in delays)
        assert heard.lost * heard.frames == pytest.approx(lost)


@given(delays=st.lists(st.floats(0.0, 0.3), min_size=20, max_size=80))
def test_a_frame_is_heard_if_and_only_if_it_came_before_its_time(delays) -> None:
    playout, in_time = Playout(), 0
    arriving = sorted((FRAME * (n + 1) + delay, n) for n, delay in enumerate(delays))
    for now, frame in arriving:
        was_in_time = playout.take(frame, now)
        assert was_in_time == (frame >= playout.next)
        in_time += was_in_time
    playout.advance(FRAME * len(delays) + 10.0)
    heard = playout.heard(list(range(len(delays))))
    assert heard.played * heard.frames == pytest.approx(in_time)
    assert heard.late * heard.frames == pytest.approx(len(delays) - in_time)
    assert heard.buffer_delay >= 0.0


@settings(max_examples=30)
@given(loss=st.sets(st.integers(1, 298), max_size=40))
def test_loss_in_is_loss_out_on_a_path_without_jitter(loss) -> None:
    heard = listen([None if n in loss else 0.05 for n in range(300)]).heard(list(range(300)))
    assert heard.late == 0.0
    assert heard.concealed == pytest.approx(len(loss) / 300)


@given(lost=st.sets(st.integers(1, 97), max_size=30))
def test_redundancy_brings_back_exactly_the_losses_whose_next_packet_came(lost) -> None:
    heard = listen([None if n in lost else 0.05 for n in range(100)], redundant=True).heard(list(range(100)))
    back = {n for n in lost if n + 1 not in lost}
    assert heard.recovered == pytest.approx(len(back) / 100)
    assert heard.lost == pytest.approx(len(lost - back) / 100)


def test_the_buffer_is_as_short_as_it_may_be_on_a_steady_path() -> None:
    heard = listen([0.05] * 500).heard(list(range(500)))
    assert heard.buffer_delay == pytest.approx(FLOOR, abs=0.002)
    assert heard.mouth_to_ear == pytest.approx(FRAME + 0.05 + FLOOR, abs=0.002)


@pytest.mark.parametrize("scale", [0.01, 0.03])
def test_the_buffer_grows_with_jitter_until_about_three_packets_in_a_thousand_are_late(scale) -> None:
    draws = SeedTree(3).generator("jitter").exponential(scale, 6000)
    heard = listen([0.05 + float(draw) for draw in draws]).heard(list(range(6000)))
    assert 0.0005 < heard.late < 0.01
    # the quantile of the exponential is 5.8 means; the wait in the buffer is that less the mean
    assert heard.buffer_delay == pytest.approx(4.8 * scale, rel=0.35)


def test_a_talk_spurt_may_change_the_delay_at_once() -> None:
    slow, quick = Playout(), Playout()
    for playout, spurt in ((slow, False), (quick, True)):
        for n in range(100):
            playout.take(n, FRAME * (n + 1) + 0.05 + 0.02 * (n % 5))
        for n in range(100, 400):
            playout.take(n, FRAME * (n + 1) + 0.3, first=spurt and n == 200)
    assert quick.delay == pytest.approx(slow.delay, abs=0.05)
    assert quick.delay > 0.3


@given(delays=st.lists(st.floats(0.0, 0.9), min_size=1, max_size=200))
def test_the_target_never_lies_below_the_quickest_and_its_floor(delays) -> None:
    kept = Delays()
    for n, delay in enumerate(delays):
        kept.add(delay, 0.02 * n)
        recent = [d for m, d in enumerate(delays[: n + 1]) if 0.02 * (n - m) <= 2.0 - 1e-9]
        assert kept.base <= min(recent)
        assert kept.target >= kept.base + FLOOR


def test_a_burst_of_delay_is_forgotten_when_it_has_left_the_window() -> None:
    kept, now = Delays(), 0.0
    for n in range(2000):
        now = 0.02 * n
        kept.add(0.5 if 200 <= n < 250 else 0.05, now)
        if 250 <= n < 200 + WINDOW / 0.02:
            assert kept.target == pytest.approx(0.5)
    assert kept.target == pytest.approx(0.05 + FLOOR)
