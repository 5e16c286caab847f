"""Sessions between two ends: what they lose, repair, hear, see and tell."""

from __future__ import annotations

import dataclasses

import pytest

from meshsim.links import LinkParameters
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.quality import voice_mos
from meshsim.rtc.gcc import Gcc
from meshsim.sim.rtc import (
    SPECS,
    Data,
    Fixed,
    Opus,
    Path,
    Placed,
    SessionSpec,
    TimedLink,
    Video,
    run_session,
    run_sessions,
)
from meshsim.sim.rtc.video import choose_layer

CALL = SPECS[MediaType.AUDIO_VIDEO]


def path(rate: float = 5e6, delay: float = 0.03, **more: float) -> Path:
    return Path.steady(LinkParameters(rate_bps=rate, propagation=delay, **more))


def changed(spec: SessionSpec, **fields: object) -> SessionSpec:
    return dataclasses.replace(spec, **fields)


@pytest.mark.parametrize("media", list(MediaType))
def test_a_session_puts_on_the_wire_what_a_call_of_its_media_asks_for(media) -> None:
    there = run_session(SPECS[media], path(), until=20.0).there
    assert there.rate == pytest.approx(demand(media).rate_bps, rel=0.06)
    assert there.network_loss == 0.0


def test_equal_seeds_give_equal_sessions_and_another_seed_another() -> None:
    lossy = path(loss=0.05, jitter=0.01)
    first, same, other = (run_session(CALL, lossy, seed=seed, until=4.0) for seed in (1, 1, 2))
    assert repr(first) == repr(same)
    assert repr(first) != repr(other)


def test_loss_in_is_loss_out_without_repair() -> None:
    plain = changed(SPECS[MediaType.AUDIO], nack=False)
    there = run_session(plain, path(loss=0.08, burst=2.0), until=120.0).there
    assert there.audio.concealed == pytest.approx(there.network_loss, abs=0.001)
    assert there.network_loss == pytest.approx(0.08, abs=0.015)
    assert there.audio.late == 0.0


def test_round_trips_of_rtcp_are_those_of_the_path() -> None:
    result = run_session(SPECS[MediaType.AUDIO], path(rate=1e9, delay=0.11), until=60.0)
    assert result.there.rtt == pytest.approx(0.22, abs=0.002)
    assert result.back.rtt == pytest.approx(0.22, abs=0.002)


def test_mouth_to_ear_is_a_frame_the_path_and_the_buffer() -> None:
    there = run_session(SPECS[MediaType.AUDIO], path(rate=1e9, delay=0.1), until=20.0).there
    assert there.audio.mouth_to_ear == pytest.approx(0.02 + 0.1 + 0.02, abs=0.002)


def test_asking_again_repairs_most_losses_of_video_and_every_repair_was_in_time() -> None:
    lossy = path(loss=0.03)
    with_nack, without = (run_session(changed(CALL, nack=nack), lossy, until=15.0).there for nack in (True, False))
    assert without.repaired_by_rtx == 0
    assert without.video_loss == pytest.approx(without.network_loss, abs=0.015)
    assert with_nack.video_loss < 0.002
    assert with_nack.video.freeze_share < 0.02 < without.video.freeze_share
    assert with_nack.mos > without.mos


def test_nothing_is_asked_for_again_over_a_path_too_long_to_answer_in_time() -> None:
    far = run_session(CALL, path(delay=1.2, loss=0.03), until=20.0).there
    # the first asks go out before a round trip was measured
    assert far.repaired_by_rtx < 0.1 * far.sent * far.network_loss
    assert far.key_requests > 0


def test_protection_repairs_losses_of_speech_where_asking_cannot() -> None:
    lossy = path(loss=0.05)
    plain, protected = (run_session(SessionSpec(audio=Opus(), fec=fec), lossy, until=60.0).there for fec in (0, 3))
    assert protected.repaired_by_fec > 0
    assert protected.audio.concealed < 0.5 * plain.audio.concealed
    assert protected.rate > 1.25 * plain.rate


def test_redundancy_of_opus_costs_nothing_on_the_wire_and_conceals_less() -> None:
    lossy = path(loss=0.05)
    plain, again = (run_session(SessionSpec(audio=Opus(fec=fec)), lossy, until=60.0).there for fec in (False, True))
    assert again.rate == plain.rate
    assert again.audio.concealed < 0.3 * plain.audio.concealed


def test_pauses_are_not_sent_and_are_no_losses() -> None:
    spec = SessionSpec(audio=Opus(dtx=True), feedback_period=0.0)
    there = run_session(spec, path(), until=300.0).there
    # talk spurts of 1.004 s, pauses of 1.587 s in which one packet in twenty is sent
    assert there.sent / (300.0 / 0.02) == pytest.approx(0.3875 + 0.6125 / 20, rel=0.15)
    assert there.audio.concealed == 0.0


def test_lips_are_in_step_because_speech_waits_for_the_picture() -> None:
    lossy = path(loss=0.03, jitter=0.01)
    synced, loose = (run_session(changed(CALL, lip_sync=sync), lossy, until=10.0).there for sync in (True, False))
    assert abs(synced.skew) < 0.02
    assert loose.skew > 0.04
    assert loose.audio.mouth_to_ear < synced.audio.mouth_to_ear


def test_a_broken_picture_freezes_until_the_key_frame_that_was_asked_for() -> None:
    gone = LinkParameters(rate_bps=5e6, propagation=0.03, loss=1.0)
    fine = LinkParameters(rate_bps=5e6, propagation=0.03)
    link = TimedLink(at=(0.0, 5.0, 6.0), rows=(fine, gone, fine))
    spec = changed(CALL, video=Video(gop=10_000))
    there = run_session(spec, Path(there=(link,), back=(TimedLink.steady(fine),)), until=12.0).there
    assert there.key_requests >= 1
    assert there.video.freezes == 1
    # a second without packets, then the wait, the asking and the key frame
    assert 1.0 / 12.0 < there.video.freeze_share < 1.7 / 12.0
    assert there.audio.concealed == pytest.approx(1.0 / 12.0, abs=0.02)


def test_data_arrive_whole_whatever_is_lost() -> None:
    spec = SessionSpec(data=Data(size=2e5, rate=1e6))
    there = run_session(spec, path(loss=0.1), until=60.0).there
    pieces = -(-200_000 // 1146)
    assert there.data_bytes == pieces * 1150
    assert there.data_seconds < 60.0
    assert there.sent > pieces


def test_a_transfer_is_judged_by_the_time_that_it_took_not_by_how_long_one_looked_on() -> None:
    spec = SessionSpec(data=Data(size=2e5, rate=1e6))
    brief, long = (run_session(spec, path(), until=until).there for until in (20.0, 40.0))
    assert brief.data_seconds == long.data_seconds < 20.0
    assert brief.mos == long.mos


def test_transfers_halve_and_grow_until_a_common_link_is_full() -> None:
    link = TimedLink.steady(LinkParameters(rate_bps=4e5, propagation=0.02, queue_bytes=10_000.0))
    spec = SessionSpec(data=Data(rate=1e6))
    both = [Placed(spec=spec, there=(0,), back=(1,)) for _ in range(2)]
    one, two = run_sessions((link, TimedLink.steady(LinkParameters(rate_bps=1e7, propagation=0.02))), both, until=60.0)
    assert 0.7 * 4e5 < one.there.rate + two.there.rate < 1.2 * 4e5
    shares = one.there.goodput, two.there.goodput
    assert sum(shares) ** 2 / (2 * sum(share**2 for share in shares)) > 0.9


def test_a_rate_control_sets_what_a_camera_sends() -> None:
    slow = changed(CALL, start_rate=4e5)
    there = run_session(slow, path(), until=20.0, control=lambda _: Fixed(4e5)).there
    assert there.rate == pytest.approx(4e5, rel=0.1)
    assert there.target == pytest.approx(4e5)


def test_google_congestion_control_finds_a_narrow_link_that_a_fixed_rate_floods() -> None:
    narrow, spec = path(rate=5e5, queue_bytes=30_000.0), changed(CALL, start_rate=3e5)
    fixed = run_session(CALL, narrow, until=10.0).there
    fitted = run_session(spec, narrow, until=20.0, control=lambda _: Gcc(3e5, 5e4, 1.5e6)).there
    assert fitted.network_loss < 0.02
    assert fixed.network_loss > 0.3
    assert 0.3 * 5e5 < fitted.rate < 5e5
    assert fitted.mos > fixed.mos


def test_the_layer_of_simulcast_follows_the_estimate_and_begins_with_a_key_frame() -> None:
    layers = (1e5, 4e5, 1e6)
    spec = SessionSpec(audio=Opus(), video=Video(layers=layers))
    for target, rate in ((2e5, 1e5), (6e5, 4e5), (2e6, 1e6)):
        told = run_session(spec, path(), until=6.0, control=lambda _, target=target: Fixed(target)).there
        assert told.video.rate == pytest.approx(rate, rel=0.2)
        assert told.video.freezes == 0
    assert [choose_layer(layers, estimate, 1) for estimate in (9e4, 3.9e5, 4.1e5, 1.1e6, 1.2e6)] == [0, 0, 1, 1, 2]


def test_sessions_on_a_common_link_queue_for_it_and_do_not_shift_each_others_draws() -> None:
    link = TimedLink.steady(LinkParameters(rate_bps=1e5, propagation=0.02))
    wide = TimedLink.steady(LinkParameters(rate_bps=1e9, propagation=0.02))
    one = Placed(spec=SPECS[MediaType.AUDIO], there=(0,), back=(1,))
    late = dataclasses.replace(one, start=5.0, stop=15.0)
    alone = run_sessions((link, wide), (one,), until=20.0)[0]
    first, second = run_sessions((link, wide), (one, late), until=20.0)
    assert second.seconds == 10.0
    assert second.there.network_loss == 0.0
    assert first.there.audio.mouth_to_ear > alone.there.audio.mouth_to_ear
    assert repr(first.back) != repr(second.back)
    assert first.back.audio.mouth_to_ear == pytest.approx(alone.back.audio.mouth_to_ear, abs=1e-5)
    assert first.back.sources[0].ssrc == alone.back.sources[0].ssrc


def test_what_cannot_be_lived_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="sends something"):
        SessionSpec()
    with pytest.raises(ConfigError, match="feedback"):
        SessionSpec(data=Data(), feedback_period=0.0)
    with pytest.raises(ConfigError, match="until"):
        run_session(CALL, path(), until=float("inf"))
    with pytest.raises(ConfigError, match="ways"):
        run_sessions((), (Placed(spec=CALL, there=(0,), back=(1,)),), until=1.0)


@pytest.mark.parametrize(("delay", "loss"), [(0.15, 0.01), (0.05, 0.03)])
def test_without_jitter_the_opinion_of_a_lived_call_is_that_of_the_formula(delay, loss) -> None:
    there = run_session(SPECS[MediaType.AUDIO], path(rate=2e7, delay=delay, loss=loss), until=120.0).there
    assert there.mos == pytest.approx(float(voice_mos(delay, 0.0, loss)), abs=0.08)


def test_jitter_costs_delay_in_the_buffer_and_a_few_late_packets_in_a_thousand() -> None:
    steady, shaken = (
        run_session(SPECS[MediaType.AUDIO], path(rate=2e7, delay=0.05, jitter=jitter), until=120.0).there
        for jitter in (0.0, 0.012)
    )
    assert shaken.audio.mouth_to_ear > steady.audio.mouth_to_ear + 0.03
    assert 0.0 < shaken.audio.late < 0.01
    assert shaken.mos < steady.mos


def test_a_long_outage_is_told_in_one_feedback_and_its_losses_are_counted() -> None:
    fine = LinkParameters(rate_bps=5e6, propagation=0.03)
    gone = dataclasses.replace(fine, loss=1.0)
    link = TimedLink(at=(0.0, 5.0, 85.0), rows=(fine, gone, fine))
    there = run_session(CALL, Path(there=(link,), back=(TimedLink.steady(fine),)), until=90.0).there
    assert there.network_loss == pytest.approx(80 / 90, abs=0.02)
    assert there.video_loss == pytest.approx(80 / 90, abs=0.02)
    assert there.video.freeze_share == pytest.approx(80 / 90, abs=0.02)
    assert there.audio.concealed == pytest.approx(80 / 90, abs=0.02)
    assert there.video.freezes == 1
