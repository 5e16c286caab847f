from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.quality import poor, target
from meshsim.trust import conduct
from meshsim.trust.conduct import NO_PROMISE, PROMISE_SLACK, UNCALLED_FOR, credited, grade, misconduct

NAN = math.nan
GOOD = (0.05, 0.002, 0.0)
MEDIA = ("audio", "audio_video", "data")

measures = st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 0.1), st.floats(0.0, 0.4))
promises = st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 0.1), st.floats(0.0, 0.4))


def blamed(
    measured: tuple[float, float, float], media: str = "audio", promised: tuple[float, float, float] = NO_PROMISE
) -> bool:
    return bool(misconduct(*measured, media, promised))


@given(rtt=st.floats(0.0, 60.0), media=st.sampled_from(MEDIA))
def test_distance_alone_is_nobodys_fault(rtt: float, media: str) -> None:
    assert not blamed((rtt, 0.0, 0.0), media)
    assert not blamed((rtt, 0.0, 0.0), media, (rtt, 0.0, 0.0))


@given(measured=measures, media=st.sampled_from(MEDIA))
def test_who_keeps_a_promise_is_not_to_blame(measured: tuple[float, float, float], media: str) -> None:
    assert not blamed(measured, media, measured)
    assert not blamed(measured, media, tuple(part / PROMISE_SLACK * (1.0 + 1e-9) for part in measured))  # type: ignore[arg-type]


@given(measured=measures, promised=promises, media=st.sampled_from(MEDIA))
def test_nobody_is_blamed_for_a_call_that_is_not_poor(
    measured: tuple[float, float, float], promised: tuple[float, float, float], media: str
) -> None:
    if not poor(*measured, media):
        assert not blamed(measured, media, promised)


@given(measured=measures, promised=promises, more=st.floats(1.0, 3.0), media=st.sampled_from(MEDIA))
def test_a_smaller_promise_never_excuses_more(
    measured: tuple[float, float, float], promised: tuple[float, float, float], more: float, media: str
) -> None:
    larger = tuple(part * more for part in promised)
    assert blamed(measured, media, promised) >= blamed(measured, media, larger)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measured", "promised"),
    [((0.60, 0.0, 0.0), (0.4, 0.0, 0.0)), ((0.1, 0.030, 0.0), (0.1, 0.02, 0.0)), ((0.1, 0.0, 0.30), (0.1, 0.0, 0.2))],
)
def test_a_promise_is_broken_beyond_one_and_a_half_times_what_was_promised(
    measured: tuple[float, float, float], promised: tuple[float, float, float]
) -> None:
    place = int(np.argmax(np.array(measured) > promised))
    beyond, within = list(measured), list(measured)
    beyond[place] *= 1.001
    within[place] *= 0.999
    assert blamed(tuple(beyond), promised=promised)  # type: ignore[arg-type]
    assert not blamed(tuple(within), promised=promised)  # type: ignore[arg-type]
    exact = tuple(0.25 if k == place else 0.0 for k in range(3))
    at = tuple(PROMISE_SLACK * part for part in exact)
    assert poor(at[0], at[1], at[2])
    assert not blamed(at, promised=exact)  # type: ignore[arg-type]


def test_a_round_trip_is_too_long_only_where_the_judge_knew_of_a_promise() -> None:
    long = (0.5, 0.002, 0.0)
    assert not blamed(long)
    assert not blamed(long, promised=(NAN, 0.0, 0.0))
    assert blamed(long, promised=(0.2, 0.002, 0.0))


def test_where_no_promise_is_known_jitter_and_loss_count_by_themselves() -> None:
    voice = target("audio")  # type: ignore[arg-type]
    for jitter, loss, bad in [
        (voice.jitter, voice.loss, False),
        (1.01 * voice.jitter, 0.0, True),
        (0.0, 1.01 * voice.loss, True),
    ]:
        assert blamed((0.1, jitter, loss)) is bad
        assert blamed((0.1, jitter, loss), promised=(0.1, NAN, NAN)) is bad


def test_each_media_is_held_to_its_own_target() -> None:
    jittery, lossy = (0.1, 0.030, 0.0), (0.1, 0.0, 0.03)
    assert [blamed(jittery, media) for media in MEDIA] == [True, True, False]
    assert [blamed(lossy, media) for media in MEDIA] == [True, True, False]
    assert [blamed((0.1, 0.0, 0.06), media) for media in MEDIA] == [True, True, True]
    three = misconduct([0.1] * 3, [0.03] * 3, [0.0] * 3, MEDIA)
    assert three.tolist() == [True, True, False]


@pytest.mark.parametrize("media", MEDIA)
def test_no_promise_excuses_a_loss_of_more_than_half(media: str) -> None:
    assert blamed((0.1, 0.0, UNCALLED_FOR + 0.001), media, (0.1, 0.0, 1.0))
    assert not blamed((0.1, 0.0, UNCALLED_FOR), media, (0.1, 0.0, 1.0))
    assert not blamed((0.1, 0.0, UNCALLED_FOR - 0.001), media, (0.1, 0.0, 1.0))


def test_where_nothing_was_measured_nobody_is_to_blame() -> None:
    broken = (0.05, 0.001, 0.0)
    assert not blamed((0.1, NAN, 0.9), promised=broken)
    assert not blamed((0.1, 0.09, NAN), promised=broken)
    assert not blamed((NAN, NAN, NAN), promised=broken)
    assert blamed((0.1, 0.09, 0.9), promised=broken)


def test_calls_are_judged_one_by_one_each_by_its_own_promise() -> None:
    rng = np.random.default_rng(5)
    rtt, jitter, loss = rng.uniform(0.0, 1.0, 60), rng.uniform(0.0, 0.05, 60), rng.uniform(0.0, 0.1, 60)
    said = [rng.uniform(0.0, 1.0, 60), rng.uniform(0.0, 0.05, 60), rng.uniform(0.0, 0.1, 60)]
    said[0][::7] = NAN
    together = misconduct(rtt, jitter, loss, "audio", said)
    alone = [
        blamed((rtt[k], jitter[k], loss[k]), promised=(said[0][k], said[1][k], said[2][k])) for k in range(len(rtt))
    ]
    assert together.tolist() == alone
    assert together.dtype == np.bool_
    assert 0 < together.sum() < len(rtt)


def test_a_promise_has_three_parts() -> None:
    with pytest.raises(ValueError, match="zip"):
        misconduct(*GOOD, "audio", (0.1, 0.1))


@given(said=promises, believed=promises)
def test_no_promise_lets_relays_be_blamed_for_the_expected_or_excused_for_the_unexpected(
    said: tuple[float, float, float], believed: tuple[float, float, float]
) -> None:
    rtt, jitter, loss = credited(said, believed)
    assert rtt == max(said[0], believed[0])
    assert (jitter, loss) == (min(said[1], believed[1]), min(said[2], believed[2]))


@pytest.mark.parametrize("place", range(3))
def test_what_one_side_does_not_know_is_no_promise(place: int) -> None:
    whole, left_out = (0.2, 0.01, 0.02), [0.2, 0.01, 0.02]
    left_out[place] = NAN
    for said, believed in [(whole, left_out), (left_out, whole)]:
        known = [not math.isnan(part) for part in credited(tuple(said), tuple(believed))]  # type: ignore[arg-type]
        assert known == [part != place for part in range(3)]


def test_a_grade_halves_at_the_loss_and_at_the_jitter_that_halve_it() -> None:
    assert grade(0.0, 0.0) == 1.0
    assert grade(conduct.LOSS_AT_HALF, 0.0) == grade(0.0, conduct.JITTER_AT_HALF) == 0.5
    assert grade(conduct.LOSS_AT_HALF, conduct.JITTER_AT_HALF) == 0.25
    assert grade(0.0, 3.0 * conduct.JITTER_AT_HALF) == 0.25
    assert (conduct.LOSS_AT_HALF, conduct.JITTER_AT_HALF) == (0.043, 0.040)


@given(st.floats(0.0, 1.0), st.floats(0.0, 10.0), st.floats(0.0, 0.5), st.floats(0.0, 0.5))
def test_grades_are_above_zero_and_fall_with_loss_and_jitter(
    loss: float, jitter: float, more: float, shakier: float
) -> None:
    assert 0.0 < grade(loss + more, jitter + shakier) <= grade(loss, jitter) <= 1.0
