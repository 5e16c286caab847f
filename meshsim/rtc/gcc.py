"""Google congestion control, send side: how fast a sender may send, from when its packets arrived.

Two controllers, the lower of which counts. One watches the delay: packets are put into groups, the change of the delay
from group to group is summed and smoothed, its slope is compared with a threshold that adapts, and overuse lowers the
rate to 85 % of what arrives, while quiet raises it, by 8 % a second far from the last known limit and by half a packet
each response time near it. The other watches losses: above 10 % it lowers the rate, below 2 % it raises it.

Source: Holmer, Lundin, Carlucci, De Cicco, Mascolo, draft-ietf-rmcat-gcc-02 (2016); Carlucci et al., "Analysis and
design of the Google congestion control for WebRTC", MMSys 2016, for the adaptive threshold. The slope is the trendline
that replaced the draft's Kalman filter in WebRTC, with WebRTC's constants, as is the growth by 8 % where nothing is
lost (the draft has 5 % a report). Probing by bursts of padding, and the limits while a source sends less than it may,
are left out.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BURST = 0.005
"""Seconds within which packets sent together are one group (draft, section 5.2)."""

WINDOW, SMOOTHING, GAIN, MOST_DELTAS = 20, 0.9, 4.0, 60
"""Of the trendline: points, weight of the past, gain, and how many changes count in full."""

FIRST_THRESHOLD, LEAST_THRESHOLD, MOST_THRESHOLD = 12.5, 6.0, 600.0
"""Milliseconds (draft, section 5.4)."""

RISE, FALL = 0.0087, 0.039
"""How fast the threshold follows a larger and a smaller slope, per millisecond (WebRTC's K_u and K_d)."""

SPIKE = 15.0
"""Milliseconds above the threshold from which a slope, of a sudden cross-flow say, does not move it."""

OVERUSE_TIME = 0.010
"""Seconds of too steep a slope after which it is overuse."""

BETA, ETA = 0.85, 1.08
"""What is left of the arriving rate after overuse; factor of growth in a second."""

RATE_WINDOW = 0.5
"""Seconds over which the arriving rate is measured."""

PACKET_BITS = 8 * 1200.0
_LOSSY, _CLEAN = 0.10, 0.02
_NEAR = 3.0
_FREQUENCY = 30.0


class Usage(IntEnum):
    """What the delay says of the bottleneck."""

    UNDER = -1
    NORMAL = 0
    OVER = 1


@dataclass(slots=True, kw_only=True)
class Trendline:
    """The slope of the queueing delay, and whether it is too steep.

    Attributes:
        threshold: Milliseconds, adapted.
        usage: What was said last.
    """

    threshold: float = FIRST_THRESHOLD
    usage: Usage = Usage.NORMAL
    _points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _summed: float = 0.0
    _smoothed: float = 0.0
    _deltas: int = 0
    _trend: float = 0.0
    _over: float = -1.0
    _times_over: int = 0
    _adapted: float = math.nan

    def add(self, change: float, sent: float, arrived: float) -> Usage:
        """Takes in one more group of packets.

        Args:
            change: How much longer it took than the group before, seconds.
            sent: Seconds between the sending of the two.
            arrived: When it was complete, seconds.
        """
        self._deltas += 1
        self._summed += 1e3 * change
        self._smoothed = SMOOTHING * self._smoothed + (1.0 - SMOOTHING) * self._summed
        self._points.append((1e3 * arrived, self._smoothed))
        trend = _slope(self._points) if len(self._points) == WINDOW else self._trend
        self._detect(trend, sent, arrived)
        return self.usage

    def _detect(self, trend: float, sent: float, now: float) -> None:
        modified = min(self._deltas, MOST_DELTAS) * trend * GAIN
        if modified > self.threshold:
            self._over = self._over + sent if self._over >= 0.0 else sent / 2
            self._times_over += 1
            if self._over > OVERUSE_TIME and self._times_over > 1 and trend >= self._trend:
                self._over, self._times_over, self.usage = 0.0, 0, Usage.OVER
        else:
            self._over, self._times_over = -1.0, 0
            self.usage = Usage.UNDER if modified < -self.threshold else Usage.NORMAL
        self._trend = trend
        self._adapt(abs(modified), now)

    def _adapt(self, size: float, now: float) -> None:
        span = 0.0 if math.isnan(self._adapted) else min(1e3 * (now - self._adapted), 100.0)
        self._adapted = now
        if size > self.threshold + SPIKE:
            return
        moved = (FALL if size < self.threshold else RISE) * (size - self.threshold) * span
        self.threshold = min(max(self.threshold + moved, LEAST_THRESHOLD), MOST_THRESHOLD)


def _slope(points: deque[tuple[float, float]]) -> float:
    """Least-squares slope."""
    n = len(points)
    x = sum(point[0] for point in points) / n
    y = sum(point[1] for point in points) / n
    over = sum((point[0] - x) * (point[1] - y) for point in points)
    under = sum((point[0] - x) ** 2 for point in points)
    return over / under if under else 0.0


@dataclass(slots=True, kw_only=True)
class Capacity:
    """What arrived when the bottleneck was last full: an estimate of the link, and how sure it is; kbit/s.

    Attributes:
        estimate: Exponential mean; NaN when unknown.
        deviation: Its variance over its mean.
    """

    estimate: float = math.nan
    deviation: float = 0.4

    @property
    def known(self) -> bool:
        """Whether there is an estimate."""
        return not math.isnan(self.estimate)

    @property
    def spread(self) -> float:
        """Three standard deviations."""
        return _NEAR * math.sqrt(self.deviation * self.estimate)

    def add(self, sample: float) -> None:
        """Takes in a rate at overuse."""
        self.estimate = 0.95 * self.estimate + 0.05 * sample if self.known else sample
        error = (self.estimate - sample) ** 2 / max(self.estimate, 1.0)
        self.deviation = min(max(0.95 * self.deviation + 0.05 * error, 0.4), 2.5)


@dataclass(slots=True, kw_only=True)
class _Group:
    """Packets sent together: when the first and last were sent, when the last arrived."""

    first: float
    last: float
    arrived: float


class Gcc:
    """The sender's rate control; plain data, driven by feedback alone.

    Args:
        start_bps: Rate to begin with, bits per second.
        min_bps: Never less.
        max_bps: Never more.

    Attributes:
        rate: What may be sent now, bits per second.
        delay_rate: What the delay allows.
        loss_rate: What losses allow.
        detector: The slope of the delay.
    """

    def __init__(self, start_bps: float = 300e3, min_bps: float = 50e3, max_bps: float = 2e6) -> None:
        if not 0 < min_bps <= start_bps <= max_bps:
            raise ValueError(f"rates must be in order: 0 < {min_bps:g} <= {start_bps:g} <= {max_bps:g}")
        self.rate = self.delay_rate = self.loss_rate = start_bps
        self.detector = Trendline()
        self._min, self._max = min_bps, max_bps
        self._capacity = Capacity()
        self._group: _Group | None = None
        self._before: _Group | None = None
        self._arrivals: deque[tuple[float, float]] = deque()
        self._held = False
        self._changed = math.nan
        self._lowered = -math.inf
        self._lost = self._seen = 0
        self._loss_at = math.nan

    def feedback(
        self,
        sent: NDArray[np.float64],
        arrived: NDArray[np.float64],
        size: NDArray[np.float64],
        now: float,
        rtt: float,
    ) -> float:
        """Takes in what the receiver says of K packets; returns the new rate, bits per second.

        Args:
            sent: (K,) when each was sent, seconds, ascending.
            arrived: (K,) when each arrived, seconds on the receiver's clock; NaN for the lost.
            size: (K,) bytes.
            now: Seconds on the sender's clock.
            rtt: Round-trip time, seconds.
        """
        usage = Usage.NORMAL
        for out, at, length in zip(sent.tolist(), arrived.tolist(), size.tolist(), strict=True):
            self._seen += 1
            if math.isnan(at):
                self._lost += 1
                continue
            self._arrivals.append((at, 8.0 * length))
            said = self._watch(out, at)
            usage = said if said is not Usage.NORMAL or usage is Usage.NORMAL else usage
        self._steer(usage if usage is Usage.OVER else self.detector.usage, now, rtt)
        self._lose(now, rtt)
        self.rate = min(max(min(self.delay_rate, self.loss_rate), self._min), self._max)
        return self.rate

    def arriving(self) -> float:
        """What arrives, bits per second, over the last half second; NaN before anything did."""
        arrivals = self._arrivals
        while arrivals and arrivals[-1][0] - arrivals[0][0] > RATE_WINDOW:
            arrivals.popleft()
        if not arrivals:
            return math.nan
        span = arrivals[-1][0] - arrivals[0][0]
        if span < RATE_WINDOW / 5:
            return math.nan
        # the first packet only marks where the span begins
        return (sum(bits for _, bits in arrivals) - arrivals[0][1]) / span

    # --- delay --------------------------------------------------------------------------------------------------------

    def _watch(self, sent: float, arrived: float) -> Usage:
        """Puts a packet into its group; a group that is complete tells something."""
        group = self._group
        if group is None:
            self._group = _Group(first=sent, last=sent, arrived=arrived)
            return Usage.NORMAL
        if sent < group.first:
            return Usage.NORMAL  # reordered
        if sent - group.first <= BURST or self._bursts(group, sent, arrived):
            group.last, group.arrived = max(group.last, sent), max(group.arrived, arrived)
            return Usage.NORMAL
        usage, before = Usage.NORMAL, self._before
        if before is not None:
            gap = group.last - before.last
            usage = self.detector.add(group.arrived - before.arrived - gap, gap, group.arrived)
        self._before, self._group = group, _Group(first=sent, last=sent, arrived=arrived)
        return usage

    def _bursts(self, group: _Group, sent: float, arrived: float) -> bool:
        """Whether a packet came out of a channel together with those before, though sent later."""
        gap = arrived - group.arrived
        return gap <= BURST and gap < sent - group.last and arrived - group.first < 0.1  # noqa: PLR2004 - seconds

    def _steer(self, usage: Usage, now: float, rtt: float) -> None:
        """The delay-based rate: decrease on overuse, hold on underuse, else increase."""
        arriving = self.arriving()
        span = 0.0 if math.isnan(self._changed) else min(now - self._changed, 1.0)
        self._changed = now
        if usage is Usage.OVER and now - self._lowered >= min(max(rtt, 0.010), 0.200):
            self._lower(arriving, now)
        elif usage is Usage.NORMAL:
            if self._held:
                self._held = False  # what is queued has gone: from now on it may grow
            else:
                self._raise(arriving, span, rtt)
        elif usage is Usage.UNDER:
            self._held = True
        self.delay_rate = min(max(self.delay_rate, self._min), self._max)

    def _lower(self, arriving: float, now: float) -> None:
        lowered = BETA * (self.delay_rate if math.isnan(arriving) else arriving)
        if lowered > self.delay_rate and self._capacity.known:
            lowered = BETA * 1e3 * self._capacity.estimate
        self.delay_rate = min(lowered, self.delay_rate)
        self._held, self._lowered = True, now
        if math.isnan(arriving):
            return
        if self._capacity.known and arriving / 1e3 < self._capacity.estimate - self._capacity.spread:
            self._capacity = Capacity()
        self._capacity.add(arriving / 1e3)

    def _raise(self, arriving: float, span: float, rtt: float) -> None:
        capacity = self._capacity
        if capacity.known and not math.isnan(arriving) and arriving / 1e3 > capacity.estimate + capacity.spread:
            capacity = self._capacity = Capacity()
        if capacity.known:
            raised = self.delay_rate + max(self._packet() / (2.0 * (rtt + 0.1)), 4e3) * span
        else:
            raised = self.delay_rate * ETA**span + 1e3 * span
        # no rate is believed that was never tried: at most half more than what arrives
        if not math.isnan(arriving):
            raised = min(raised, max(1.5 * arriving + 10e3, self.delay_rate))
        self.delay_rate = raised

    def _packet(self) -> float:
        """Bits of a mean packet of a video at the present rate."""
        frame = self.delay_rate / _FREQUENCY
        return frame / math.ceil(frame / PACKET_BITS)

    # --- loss ---------------------------------------------------------------------------------------------------------

    def _lose(self, now: float, rtt: float) -> None:
        """The loss-based rate (draft, section 6), looked at once in a round trip and 200 ms."""
        if math.isnan(self._loss_at):
            self._loss_at = now
        span = now - self._loss_at
        if span < max(rtt, 0.0) + 0.2 or self._seen < 20:  # noqa: PLR2004 - fewer packets say nothing of 2 %
            return
        share = self._lost / self._seen
        self._lost = self._seen = 0
        self._loss_at = now
        if share > _LOSSY:
            self.loss_rate = self.rate * (1.0 - 0.5 * share)
        elif share < _CLEAN:
            self.loss_rate = max(self.loss_rate, self.rate) * ETA ** min(span, 1.0) + 1e3 * span
        self.loss_rate = min(max(self.loss_rate, self._min), self._max)
