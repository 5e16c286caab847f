"""Who rings: preferences in, a decision out, and never a ring that the preferences forbid."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity.notify import (
    AUDIENCES,
    DAY,
    RECENT,
    Device,
    Incoming,
    Preferences,
    QuietHours,
    Ring,
    RingMode,
    Silence,
    decide,
)
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.media import MediaType

PEOPLE = ("@ann.aura", "@ben.aura", "@cat.aura")
people = st.frozensets(st.sampled_from(PEOPLE))
clocks = st.integers(0, int(DAY) - 1).map(float)
quiet_hours = (
    st.tuples(clocks, clocks, st.frozensets(st.integers(0, 6), min_size=1))
    .filter(lambda drawn: drawn[0] != drawn[1])
    .map(lambda drawn: QuietHours(start=drawn[0], end=drawn[1], days=drawn[2]))
)
preferences = st.builds(
    Preferences,
    do_not_disturb=st.booleans(),
    quiet=st.lists(quiet_hours, max_size=2).map(tuple),
    utc_offset=st.integers(-14, 14).map(lambda hours: 3600.0 * hours),
    audience=st.sampled_from(AUDIENCES),
    contacts=people,
    favourites=people,
    blocked=people,
    timeout=st.floats(1.0, 120.0),
    mode=st.sampled_from(RingMode),
    smart=st.booleans(),
)
devices = st.lists(
    st.builds(
        Device,
        name=st.sampled_from("abcde"),
        online=st.booleans(),
        media=st.frozensets(st.sampled_from(MediaType)),
        used_at=st.one_of(st.just(-math.inf), st.floats(0.0, 2e9)),
    ),
    max_size=4,
    unique_by=lambda device: device.name,
).map(tuple)
incoming = st.builds(Incoming, caller=st.sampled_from(PEOPLE), media=st.sampled_from(MediaType), devices=devices)
instants = st.floats(0.0, 2e9)


def call(*names: str, caller: str = "@ann.aura", media: MediaType = MediaType.AUDIO, **given: object) -> Incoming:
    chosen = tuple(Device(name=name, **given) for name in names or ("desk",))  # type: ignore[arg-type]
    return Incoming(caller=caller, media=media, devices=chosen)


def reason(decision: Ring | Silence) -> str:
    return decision.reason if isinstance(decision, Silence) else ""


@given(preferences, incoming, instants)
def test_only_devices_that_are_online_ring_each_once_and_within_the_timeout(wish, ask, now):
    decision = decide(wish, ask, now)
    if isinstance(decision, Ring):
        assert set(decision.devices) <= {device.name for device in ask.devices if device.online}
        assert len(set(decision.devices)) == len(decision.devices) > 0
        turns = decision.turns()
        assert [name for name, _, _ in turns] == list(decision.devices)
        assert all(0.0 <= start < end <= wish.timeout for _, start, end in turns)
        assert turns[-1][2] == wish.timeout
    else:
        assert decision.reason


@given(preferences, incoming, instants)
def test_a_blocked_caller_never_rings_and_a_favourite_rings_whatever_the_hour(wish, ask, now):
    decision = decide(wish, ask, now)
    if ask.caller in wish.blocked:
        assert decision == Silence("caller is blocked")
    elif ask.caller in wish.favourites:
        assert isinstance(decision, Ring) or reason(decision).startswith("no device")
    elif wish.do_not_disturb:
        assert isinstance(decision, Silence)


@given(preferences, incoming, instants)
def test_smart_routing_rings_no_device_that_cannot_carry_the_medium(wish, ask, now):
    decision = decide(wish, ask, now)
    if wish.smart and isinstance(decision, Ring):
        able = {device.name for device in ask.devices if ask.media in device.media}
        assert set(decision.devices) <= able


@given(quiet_hours, st.integers(0, 20_000), clocks)
def test_a_stretch_and_the_rest_of_the_week_are_each_others_complement(hours, day, clock):
    every = QuietHours(start=hours.start, end=hours.end)
    rest = QuietHours(start=hours.end, end=hours.start)
    local = day * DAY + clock
    assert every.contains(local) != rest.contains(local)
    assert every.contains(local) or not hours.contains(local)


@given(quiet_hours, st.datetimes(datetime(1970, 1, 8), datetime(2060, 1, 1)), st.integers(-12, 14))  # noqa: DTZ001 - local
def test_quiet_hours_follow_the_calendar_of_local_time(hours, local, offset):
    local = local.replace(microsecond=0, tzinfo=UTC)
    now = (local - timedelta(hours=offset)).timestamp()
    clock = local.hour * 3600 + local.minute * 60 + local.second
    begins = local.weekday() if hours.start < hours.end or clock >= hours.start else (local.weekday() - 1) % 7
    inside = hours.start <= clock < hours.end if hours.start < hours.end else not hours.end <= clock < hours.start
    wish = Preferences(quiet=(hours,), utc_offset=3600.0 * offset)
    assert reason(decide(wish, call(), now)) == ("quiet hours" if inside and begins in hours.days else "")


@pytest.mark.parametrize(
    ("wish", "ask", "why"),
    [
        (Preferences(blocked=frozenset({"@ann.aura"})), call(), "caller is blocked"),
        (Preferences(audience="contacts"), call(), "caller is not a contact"),
        (Preferences(audience="contacts", contacts=frozenset({"@ann.aura"})), call(), ""),
        (Preferences(audience="nobody", contacts=frozenset({"@ann.aura"})), call(), "calls are not taken"),
        (Preferences(do_not_disturb=True), call(), "do not disturb"),
        (Preferences(quiet=(QuietHours(start=0.0, end=60.0),)), call(), "quiet hours"),
        (Preferences(), call(online=False), "no device online"),
        (Preferences(), call(media=MediaType.DATA), ""),
    ],
)
def test_each_ground_of_silence_has_its_reason(wish, ask, why):
    assert reason(decide(wish, ask, 0.0)) == why


def test_a_device_without_the_medium_stays_silent_only_with_smart_routing():
    ask = call(media=MediaType.AUDIO_VIDEO)
    deaf = Incoming(
        caller=ask.caller, media=ask.media, devices=(Device(name="desk", media=frozenset({MediaType.AUDIO})),)
    )
    assert reason(decide(Preferences(), deaf, 0.0)) == "no device for audio_video"
    assert isinstance(decide(Preferences(smart=False), deaf, 0.0), Ring)


def test_the_device_in_the_hand_rings_alone_or_first():
    desk, phone = Device(name="desk", used_at=0.0), Device(name="phone", used_at=1000.0)
    ask = Incoming(caller="@ann.aura", media=MediaType.AUDIO, devices=(desk, phone))
    now, later = 1000.0 + RECENT, 1001.0 + RECENT
    assert decide(Preferences(), ask, now) == Ring(devices=("phone",), timeout=30.0, mode=RingMode.ALL)
    assert decide(Preferences(), ask, later).devices == ("phone", "desk")
    assert decide(Preferences(mode=RingMode.SEQUENTIAL), ask, now).devices == ("phone", "desk")
    assert decide(Preferences(smart=False), ask, now).devices == ("desk", "phone")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: QuietHours(start=-1.0, end=3.0), "start of quiet hours"),
        (lambda: QuietHours(start=0.0, end=DAY), "end of quiet hours"),
        (lambda: QuietHours(start=5.0, end=5.0), "are empty"),
        (lambda: QuietHours(start=1.0, end=5.0, days=frozenset({7})), "weekdays"),
        (lambda: QuietHours(start=1.0, end=5.0, days=frozenset()), "weekdays"),
        (lambda: Preferences(audience="contact"), "did you mean contacts"),
        (lambda: Preferences(timeout=0.0), "ring timeout"),
        (lambda: Preferences(timeout=math.nan), "ring timeout"),
        (lambda: Preferences(utc_offset=60_000.0), "14 hours"),
    ],
)
def test_values_out_of_their_limits_are_refused_by_name(make, said):
    with pytest.raises(IdentityError, match=said):
        make()
