"""Targets and opinions by type of media: which bounds count, what the models were published with, and how they fall."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.media import VIDEO_RATE, MediaType, demand
from meshsim.mesh.quality import mos, poor, target, video_quality, voice_mos
from meshsim.mesh.quality.transfer import goodput_share, transfer_mos
from meshsim.mesh.quality.video import together, video_call_mos, video_rate

MEDIA = list(MediaType)
FINE = (0.05, 0.001, 0.0)


# --- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", MEDIA)
def test_the_bounds_themselves_are_not_poor_and_just_beyond_is(media: MediaType) -> None:
    bound = target(media)
    for at, name in enumerate(("rtt", "jitter", "loss")):
        most = getattr(bound, name)
        if math.isfinite(most):
            measures = list(FINE)
            measures[at] = most
            assert not poor(*measures, media)
            measures[at] = np.nextafter(most, 1.0)
            assert poor(*measures, media)
    assert not poor(*FINE, media, share=bound.rate)


@pytest.mark.parametrize("media", [MediaType.AUDIO_VIDEO, MediaType.DATA])
def test_too_little_rate_is_poor(media: MediaType) -> None:
    assert poor(*FINE, media, share=target(media).rate - 1e-6)


def test_data_bear_jitter_and_distance_but_not_slowness() -> None:
    assert not poor(0.7, 0.2, 0.0, MediaType.DATA)
    assert poor(0.7, 0.2, 0.0, MediaType.AUDIO)
    assert not poor(0.05, 0.0, 0.04, MediaType.DATA)
    # the same loss on a long round trip: congestion control leaves less than half of the rate
    assert goodput_share(1.0, 0.04, 1.0, rate=demand(MediaType.DATA).rate_bps, segment=1200) < 0.5
    assert poor(1.0, 0.0, 0.04, MediaType.DATA)


def test_the_targets_of_video_calls_are_where_the_picture_is_just_fair() -> None:
    bound = target(MediaType.AUDIO_VIDEO)
    assert float(video_quality(video_rate(bound.rate), 0.0)) == pytest.approx(3.0, abs=0.01)
    assert float(video_quality(VIDEO_RATE, bound.loss)) == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("media", MEDIA)
def test_what_nobody_could_measure_is_poor(media: MediaType) -> None:
    assert poor(math.nan, 0.0, 0.0, media)
    assert poor(0.1, 0.0, math.nan, media)


measure = st.tuples(st.floats(0, 2), st.floats(0, 0.1), st.floats(0, 1), st.floats(0, 1), st.sampled_from(MEDIA))


@given(st.lists(measure, min_size=1, max_size=20))
def test_many_calls_are_judged_as_each_alone(calls: list[tuple[float, float, float, float, MediaType]]) -> None:
    rtt, jitter, loss, share = (np.array(column) for column in list(zip(*calls, strict=True))[:4])
    media = [call[-1] for call in calls]
    alone = [bool(poor(*call[:3], call[-1], share=call[3])) for call in calls]
    assert poor(rtt, jitter, loss, media, share=share).tolist() == alone
    places = np.array([MEDIA.index(one) for one in media])
    assert poor(rtt, jitter, loss, places, share=share).tolist() == alone
    opinions = [float(mos(one, r / 2, j, p, s)) for r, j, p, s, one in calls]
    assert mos(media, rtt / 2, jitter, loss, share).tolist() == pytest.approx(opinions)


# --- opinions ---------------------------------------------------------------------------------------------------------


@given(st.sampled_from(MEDIA), st.floats(0, 3), st.floats(0, 0.2), st.floats(0, 1), st.floats(0.01, 1), st.floats(0, 1))
def test_worse_is_never_better(
    media: MediaType, delay: float, jitter: float, loss: float, share: float, more: float
) -> None:
    now = float(mos(media, delay, jitter, loss, share))
    assert 1.0 <= now <= 4.5
    assert float(mos(media, delay + more, jitter, loss, share)) <= now + 1e-9
    assert float(mos(media, delay, jitter + more, loss, share)) <= now + 1e-9
    assert float(mos(media, delay, jitter, min(1.0, loss + more), share)) <= now + 1e-9
    assert float(mos(media, delay, jitter, loss, share * (1.0 - more))) <= now + 1e-9


def test_a_voice_is_judged_as_ever() -> None:
    delay = np.linspace(0.0, 0.5, 9)
    assert mos(MediaType.AUDIO, delay, 0.003, 0.01).tolist() == voice_mos(delay, 0.003, 0.01).tolist()


def test_coded_video_at_full_rate_is_worth_what_g1070_says() -> None:
    # by hand, from (11-16) to (11-21) with Table B.4, column 1: Ofr 16.741, IOfr 2.9270, DFr 2.964
    by_hand = 1 + 2.9267 * math.exp(-(math.log(30 / 16.741) ** 2) / (2 * 2.964**2))
    assert float(video_quality(1e6, 0.0)) == pytest.approx(by_hand, abs=2e-3)
    assert float(video_quality(1e6, 0.03353)) == pytest.approx(1 + (by_hand - 1) / math.e, abs=2e-3)


def test_speech_and_video_come_together_as_g1070_says() -> None:
    # by hand, from (11-22) to (11-25) with Annex C, 4.2 inches: Sq 4, Vq 3.5, 200 ms
    seen = -0.3255 * 4 + 0.3309 * 3.5 + 0.1494 * 14 + 0.5457
    late = 3.915 - 3.235e-4 * 400
    by_hand = -0.4457 * seen - 0.6638 * late + 0.4042 * seen * late + 2.321
    assert float(together(4.0, 3.5, 0.2)) == pytest.approx(by_hand, abs=1e-6)


def test_lips_wait_for_the_voice() -> None:
    assert float(video_call_mos(0.05, 0.03, 0.0, 1e6)) < float(video_call_mos(0.05, 0.005, 0.0, 1e6))


def test_a_transfer_at_half_its_rate_loses_as_much_as_from_there_to_a_quarter() -> None:
    full, half, quarter = transfer_mos([1.0, 0.5, 0.25]).tolist()
    assert full - half == pytest.approx(half - quarter)
    assert full == 4.5
