"""What links did: sums that only grow, read off at two instants, and their difference as results."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from meshsim.sim.kernel.network import LinkResults


class LinkCount(NamedTuple):
    """What a link did from the beginning of a run to an instant.

    Attributes:
        offered: Packets that came.
        sent: Packets whose last bit left.
        dropped: Refused or thrown out by the queue.
        lost: By the channel.
        sent_bytes: Of packets sent.
        waiting: Seconds that the packets sent waited before their service.
        service: Seconds of their service.
        busy: Seconds of service up to the instant, of all servers.
        area: Integral over time of the packets waiting or in service, seconds.
    """

    offered: int
    sent: int
    dropped: int
    lost: int
    sent_bytes: float
    waiting: float
    service: float
    busy: float
    area: float


def link_results(begin: list[LinkCount], end: list[LinkCount], servers: list[int], seconds: float) -> LinkResults:
    """What E links did in between, as arrays of shape (E,).

    Args:
        begin: Counts at the first instant.
        end: Counts at the second.
        servers: Of each link.
        seconds: From the first instant to the second.
    """
    rows = np.array(end, dtype=np.float64).reshape(-1, len(LinkCount._fields))
    rows = rows - np.array(begin, dtype=np.float64).reshape(rows.shape)
    did = LinkCount(*rows.T)
    sent = np.where(np.asarray(did.sent) > 0, did.sent, math.nan)
    span = seconds if seconds > 0.0 else math.nan
    return LinkResults(
        offered=_whole(did.offered),
        sent=_whole(did.sent),
        dropped=_whole(did.dropped),
        lost=_whole(did.lost),
        sent_bytes=np.asarray(did.sent_bytes),
        busy=did.busy / (span * np.array(servers, dtype=np.float64)),
        waiting_mean=did.waiting / sent,
        sojourn_mean=(did.waiting + did.service) / sent,
        number_mean=np.asarray(did.area / span),
    )


def _whole(column: object) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.asarray(column).astype(np.int64)
