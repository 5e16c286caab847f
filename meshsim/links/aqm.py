"""Active queue management: CoDel, RED, and the lists of FQ-CoDel, over flat arrays that hold the state of all links.

The queues themselves belong to the engine. It calls, for a link whose state begins at `at` (fresh state is all zeros):

- `codel(now, sojourn, backlog, target, interval, state, at) -> drop`, row of `CODEL_STATE` floats, for each packet
  taken out of the queue; a dropped packet is followed by the next at the same instant. A packet that finds the link
  idle is taken out too, with sojourn 0.
- `red(now, packets, idle_since, service, u, rule, state, at) -> drop`, row of `RED_STATE` floats, for each packet that
  wants to join.
- FQ-CoDel: `fq_join(bucket, quantum, deficit, following, status, lists, at)` after a packet joined its bucket;
  `fq_pick(quantum, waiting, deficit, following, status, lists, at) -> bucket or -1` to take one out, after which the
  engine takes the packet from that bucket, asks `codel` with the bucket's own row and backlog, and picks again if it is
  dropped; `fq_charge(bucket, size_bytes, deficit)` for the packet that is sent. A bucket is an index into the flat
  arrays (the link's first bucket + the flow's key modulo the number of buckets); `lists` has a row of `FQ_LISTS`
  integers per link.

Sources: RFC 8289 (CoDel, section 5), RFC 8290 (FQ-CoDel, section 4), S. Floyd and V. Jacobson, Random Early Detection
Gateways for Congestion Avoidance, IEEE/ACM Trans. Netw. 1(4), 1993.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.links.arrays import Floats, Integers

CODEL_STATE = 6
"""Floats of CoDel's state: first_above, drop_next, count, last_count, dropping, owed."""

RED_STATE = 2
"""Floats of RED's state: average queue, packets let in since the last drop or since the average passed the least."""

FQ_LISTS = 4
"""Integers of FQ-CoDel's lists: head and tail of the new, head and tail of the old; bucket + 1, 0 for none."""

MAX_PACKET = 1500.0
"""Bytes; a queue with no more than this behind the packet taken out is a good queue (RFC 8289, 5.5: the MTU)."""

_IDLE, _NEW, _OLD = 0, 1, 2


def codel(now: float, sojourn: float, backlog: float, target: float, interval: float, state: Floats, at: int) -> bool:
    """Whether CoDel drops the packet just taken out of the queue (RFC 8289, 5.5 and 5.6, one packet at a time).

    Args:
        now: Seconds.
        sojourn: How long the packet waited, seconds.
        backlog: Bytes that still wait behind it.
        target: Acceptable standing wait, seconds.
        interval: Seconds for which the wait must stay above it.
        state: Rows of `CODEL_STATE` floats.
        at: Where this queue's row begins.
    """
    standing = _codel_standing(now, sojourn, backlog, target, interval, state, at)
    if state[at + 5] > 0.0:  # the drop before this packet sets the time of the next, if the queue still stands
        state[at + 5] = 0.0
        if standing:
            state[at + 1] += interval / math.sqrt(state[at + 2])
    if state[at + 4] > 0.0:
        return _codel_continue(now, standing, state, at)
    if standing:
        _codel_start(now, interval, state, at)
    return standing


def _codel_standing(
    now: float, sojourn: float, backlog: float, target: float, interval: float, state: Floats, at: int
) -> bool:
    """Whether the wait has been above target for an interval (`ok_to_drop`)."""
    if sojourn < target or backlog <= MAX_PACKET:
        state[at] = 0.0
        return False
    if state[at] == 0.0:
        state[at] = now + interval
        return False
    return bool(now >= state[at])


def _codel_continue(now: float, standing: bool, state: Floats, at: int) -> bool:  # noqa: FBT001 - computed, not chosen
    """In the dropping state: leave it, or drop when it is time."""
    if not standing:
        state[at + 4] = 0.0
        return False
    if now < state[at + 1]:
        return False
    state[at + 2] += 1.0
    state[at + 5] = 1.0
    return True


def _codel_start(now: float, interval: float, state: Floats, at: int) -> None:
    """Enter the dropping state, at the pace of the last one if that is not long ago."""
    recent = now - state[at + 1] < 16.0 * interval
    delta = state[at + 2] - state[at + 3]
    state[at + 2] = delta if recent and delta > 1.0 else 1.0
    state[at + 3] = state[at + 2]
    state[at + 4] = 1.0
    state[at + 1] = now + interval / math.sqrt(state[at + 2])


def red(
    now: float,
    packets: int,
    idle_since: float,
    service: float,
    u: float,
    rule: tuple[float, float, float, float],
    state: Floats,
    at: int,
) -> bool:
    """Whether RED drops a packet that wants to join (not gentle: above the largest average all are dropped).

    Args:
        now: Seconds.
        packets: Waiting or in service.
        idle_since: When the link fell idle, seconds (-inf: never busy); looked at only if `packets` is 0.
        service: Seconds that a typical packet takes to send, above 0: an idle link counts as sending such packets.
        u: A uniform draw in [0, 1).
        rule: Least and largest average (packets), largest probability, weight of the newest sample.
        state: Rows of `RED_STATE` floats.
        at: Where this queue's row begins.
    """
    least, most, largest, weight = rule
    if packets > 0:
        state[at] += weight * (packets - state[at])
    else:
        state[at] *= (1.0 - weight) ** ((now - idle_since) / service)
    average = state[at]
    if average < least:
        state[at + 1] = 0.0
        return False
    if average < most and not _red_chosen(u, largest * (average - least) / (most - least), state[at + 1]):
        state[at + 1] += 1.0
        return False
    state[at + 1] = 0.0
    return True


def _red_chosen(u: float, probability: float, since: float) -> bool:
    """Whether to drop after `since` packets let in: gaps between drops are uniform on 1 .. 1 / probability."""
    rest = 1.0 - since * probability
    return rest <= 0.0 or u < probability / rest


def fq_join(
    bucket: int, quantum: float, deficit: Floats, following: Integers, status: Integers, lists: Integers, at: int
) -> None:
    """A packet joined `bucket`: a bucket that was idle is put at the end of the new ones, with one quantum.

    Args:
        bucket: Index into `deficit`, `following` and `status`.
        quantum: Bytes.
        deficit: Bytes each bucket may still send in this round.
        following: The bucket + 1 behind each in its list.
        status: 0 idle, 1 among the new, 2 among the old.
        lists: Rows of `FQ_LISTS` integers.
        at: Where this link's row begins.
    """
    if status[bucket] == _IDLE:
        deficit[bucket] = quantum
        status[bucket] = _NEW
        _append(bucket, following, lists, at)


def fq_pick(
    quantum: float,
    waiting: Integers,
    deficit: Floats,
    following: Integers,
    status: Integers,
    lists: Integers,
    at: int,
) -> int:
    """The bucket to take a packet from, -1 if nothing waits (RFC 8290, 4.2).

    Args:
        quantum: Bytes.
        waiting: Packets in each bucket.
        deficit: Bytes each bucket may still send in this round.
        following: The bucket + 1 behind each in its list.
        status: 0 idle, 1 among the new, 2 among the old.
        lists: Rows of `FQ_LISTS` integers.
        at: Where this link's row begins.
    """
    while lists[at] > 0 or lists[at + 2] > 0:
        among = at if lists[at] > 0 else at + 2
        bucket = lists[among] - 1
        if deficit[bucket] > 0.0 and waiting[bucket] > 0:
            return int(bucket)
        lists[among] = following[bucket]
        if deficit[bucket] <= 0.0:
            deficit[bucket] += quantum
        elif among != at:
            status[bucket] = _IDLE
            continue
        status[bucket] = _OLD  # also an empty new bucket: it must not come back as new and starve the old
        _append(bucket, following, lists, at + 2)
    return -1


def _append(bucket: int, following: Integers, lists: Integers, among: int) -> None:
    """Put a bucket at the end of the list whose head stands at `among`, its tail behind."""
    following[bucket] = 0
    if lists[among] == 0:
        lists[among] = bucket + 1
    else:
        following[lists[among + 1] - 1] = bucket + 1
    lists[among + 1] = bucket + 1


def fq_charge(bucket: int, size_bytes: float, deficit: Floats) -> None:
    """A packet of `size_bytes` from `bucket` is being sent."""
    deficit[bucket] -= size_bytes
