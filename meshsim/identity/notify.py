"""Whose devices ring for a call, and how: a pure decision over a person's preferences, the call and the instant.

Nothing here rings, waits or knows who picks up. A device is whatever the person has registered: a node of the mesh, an
app on it. Local time is the Unix clock shifted by the person's `utc_offset`; there is no time zone data here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from meshsim.mesh.errors import IdentityError, nearest
from meshsim.mesh.media import MediaType

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY = 86_400.0
"""Seconds."""

RING_TIMEOUT = 30.0
"""Seconds until a call that nobody takes is given up, unless a person says otherwise."""

RECENT = 300.0
"""Seconds since its last use within which a device counts as the one in the person's hand."""

EVERYONE, CONTACTS, NOBODY = AUDIENCES = ("everyone", "contacts", "nobody")
_DAYS_PER_WEEK = 7
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday; Monday is 0
_MOST_OFFSET = 14 * 3600.0
_EVERY_DAY = frozenset(range(_DAYS_PER_WEEK))


class RingMode(StrEnum):
    """In which order devices ring: all at once, or one after the other."""

    ALL = "all"
    SEQUENTIAL = "sequential"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """A stretch of the day in which nothing rings.

    Attributes:
        start: Seconds after local midnight.
        end: Seconds after local midnight, not included; before `start`, it lies on the next day.
        days: Weekdays on which the stretch begins, Monday is 0.

    Raises:
        IdentityError: If an instant lies outside the day, the stretch is empty, or a weekday is none.

    >>> QuietHours(start=22 * 3600, end=7 * 3600).contains(3 * 3600)
    True
    """

    start: float
    end: float
    days: frozenset[int] = _EVERY_DAY

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            if not 0.0 <= getattr(self, name) < DAY:
                raise IdentityError(f"{name} of quiet hours is {getattr(self, name)!r}, not within a day's 86400 s")
        if self.start == self.end:
            raise IdentityError(f"quiet hours that start and end at {self.start:g} s are empty")
        if not self.days or not self.days <= _EVERY_DAY:
            raise IdentityError(f"weekdays are 0 (Monday) to 6, not {sorted(self.days)}")

    def contains(self, local: float) -> bool:
        """Whether the instant `local`, Unix seconds shifted to local time, is quiet."""
        day, clock = divmod(local, DAY)
        weekday = (int(day) + _EPOCH_WEEKDAY) % _DAYS_PER_WEEK
        if self.start < self.end:
            return self.start <= clock < self.end and weekday in self.days
        begun_yesterday = clock < self.end and (weekday - 1) % _DAYS_PER_WEEK in self.days
        return begun_yesterday or (clock >= self.start and weekday in self.days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """How a person wants to be called.

    Attributes:
        do_not_disturb: Whether nothing rings at all, but for `favourites`.
        quiet: When nothing rings, but for `favourites`.
        utc_offset: Seconds that local time is ahead of UTC.
        audience: Who may ring: one of `AUDIENCES`; `nobody` leaves the favourites.
        contacts: AuraIDs of the person's contacts, as text.
        favourites: AuraIDs that always ring, unless they are blocked.
        blocked: AuraIDs that never ring.
        timeout: Seconds until a call that nobody takes is given up.
        mode: All devices at once, or one after the other, each for an equal part of the timeout.
        smart: Smart routing: devices that cannot carry the medium stay silent, and if one was used lately, it comes
            first in a sequence, or rings alone.

    Raises:
        IdentityError: If a value is out of its limits.
    """

    do_not_disturb: bool = False
    quiet: tuple[QuietHours, ...] = ()
    utc_offset: float = 0.0
    audience: str = EVERYONE
    contacts: frozenset[str] = frozenset()
    favourites: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    timeout: float = RING_TIMEOUT
    mode: RingMode = RingMode.ALL
    smart: bool = True

    def __post_init__(self) -> None:
        if self.audience not in AUDIENCES:
            near = nearest(self.audience, AUDIENCES)
            hint = f"; did you mean {near}?" if near else ""
            raise IdentityError(f"unknown audience {self.audience!r}; allowed: {', '.join(AUDIENCES)}{hint}")
        if not (math.isfinite(self.timeout) and self.timeout > 0.0):
            raise IdentityError(f"a ring timeout is a positive number of seconds, not {self.timeout!r}")
        if not abs(self.utc_offset) <= _MOST_OFFSET:
            raise IdentityError(f"local time is at most 14 hours from UTC, not {self.utc_offset!r} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of the person who is called.

    Attributes:
        name: How the caller of `decide` tells devices apart.
        online: Whether it is known to be reachable.
        media: What it can carry.
        used_at: When the person last used it, Unix seconds; -inf if never.
    """

    name: str
    online: bool = True
    media: frozenset[MediaType] = frozenset(MediaType)
    used_at: float = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A call that wants to ring.

    Attributes:
        caller: The caller's AuraID, as text.
        media: What the call carries.
        devices: The called person's devices.
    """

    caller: str
    media: MediaType
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Devices that ring.

    Attributes:
        devices: Their names; in a sequence, the first first.
        timeout: Seconds for all of it.
        mode: All at once, or one after the other.
    """

    devices: tuple[str, ...]
    timeout: float
    mode: RingMode

    def turns(self) -> tuple[tuple[str, float, float], ...]:
        """Each device with the seconds from and until which it rings.

        >>> Ring(devices=("desk", "phone"), timeout=30.0, mode=RingMode.SEQUENTIAL).turns()
        (('desk', 0.0, 15.0), ('phone', 15.0, 30.0))
        """
        if self.mode is RingMode.ALL:
            return tuple((device, 0.0, self.timeout) for device in self.devices)
        count = len(self.devices)
        edges = [self.timeout * place / count for place in range(count + 1)]
        return tuple(zip(self.devices, edges[:-1], edges[1:], strict=True))


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing rings.

    Attributes:
        reason: Why, in words that tell the caller no more than that.
    """

    reason: str


def decide(preferences: Preferences, incoming: Incoming, now: float) -> Ring | Silence:
    """Whether and how a call rings.

    Args:
        preferences: Of the person who is called.
        incoming: The call.
        now: Unix seconds.

    Returns:
        The first ground of silence in the order block, audience, do not disturb, quiet hours, devices; else who rings.

    >>> call = Incoming(caller="@al.aura", media=MediaType.AUDIO, devices=(Device(name="desk"), Device(name="phone")))
    >>> decide(Preferences(), call, 0.0).devices
    ('desk', 'phone')
    >>> decide(Preferences(do_not_disturb=True), call, 0.0)
    Silence(reason='do not disturb')
    """
    reason = _unwanted(preferences, incoming.caller) or _untimely(preferences, incoming.caller, now)
    if reason:
        return Silence(reason)
    online = [device for device in incoming.devices if device.online]
    if not online:
        return Silence("no device online")
    able = [device for device in online if incoming.media in device.media] if preferences.smart else online
    if not able:
        return Silence(f"no device for {incoming.media}")
    ordered = _ordered(preferences, able, now)
    return Ring(devices=tuple(device.name for device in ordered), timeout=preferences.timeout, mode=preferences.mode)


def _unwanted(preferences: Preferences, caller: str) -> str:
    if caller in preferences.blocked:
        return "caller is blocked"
    if caller in preferences.favourites or preferences.audience == EVERYONE:
        return ""
    if preferences.audience == CONTACTS and caller in preferences.contacts:
        return ""
    return "caller is not a contact" if preferences.audience == CONTACTS else "calls are not taken"


def _untimely(preferences: Preferences, caller: str, now: float) -> str:
    if caller in preferences.favourites:
        return ""
    if preferences.do_not_disturb:
        return "do not disturb"
    local = now + preferences.utc_offset
    return "quiet hours" if any(hours.contains(local) for hours in preferences.quiet) else ""


def _ordered(preferences: Preferences, devices: Sequence[Device], now: float) -> list[Device]:
    """Devices in the order in which they are tried; with smart routing the one last used first, or alone."""
    if not preferences.smart:
        return list(devices)
    latest_first = sorted(devices, key=lambda device: -device.used_at)
    in_hand = now - latest_first[0].used_at <= RECENT
    return latest_first[:1] if in_hand and preferences.mode is RingMode.ALL else latest_first
