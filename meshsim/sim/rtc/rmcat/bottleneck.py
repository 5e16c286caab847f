"""A dumbbell for congestion control: flows that share one bottleneck each way, on the simulator's clock.

Every flow has its own way to and from the bottleneck; packets wait in one drop-tail FIFO (`links.queue.fifo`) whose
rate changes at given times; what the receiver says travels back through the other direction's bottleneck. Media flows
send frames at the rate that their control allows, TCP flows as their window allows.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.links.queue import fifo
from meshsim.mesh.seeds import SeedTree
from meshsim.sim.environment import Environment
from meshsim.sim.rtc.rmcat.tcp import Tcp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.mesh.seeds import Stream
    from meshsim.rtc.gcc import Gcc

PACKET = 1200
"""Most bytes of a media packet on the wire."""

FRAME_RATE = 30.0
PACING = 1.5
"""How much faster than its rate a sender sends what it has: a frame is spread over two thirds of its interval."""

FEEDBACK = 0.05
"""Seconds between two reports of a receiver."""

SEGMENT = 1500
"""Bytes of a TCP segment on the wire."""

REPORT_BYTES = 80
ACK_BYTES = 40
FRAME_SPREAD = 0.1
"""Standard deviation of the logarithm of frame sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A value that changes at given times.

    Attributes:
        at: Seconds, ascending, the first 0.
        value: As many.
    """

    at: tuple[float, ...]
    value: tuple[float, ...]

    def __call__(self, t: float) -> float:
        """The value at `t` seconds."""
        return self.value[bisect_right(self.at, t) - 1]

    def mean(self, start: float, stop: float) -> float:
        """Mean from `start` to `stop`, seconds."""
        edges = np.clip([*self.at, math.inf], start, stop)
        return float(np.dot(np.diff(edges), self.value) / (stop - start))


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFlow:
    """One sender of video.

    Attributes:
        control: Makes its rate control.
        delay: One-way propagation delay, seconds.
        start: Seconds.
        stop: Seconds.
        pauses: (from, to) pairs, seconds, in which nothing is sent.
        back: Whether it goes against the others.
    """

    control: Callable[[], Gcc]
    delay: float = 0.05
    start: float = 0.0
    stop: float = math.inf
    pauses: tuple[tuple[float, float], ...] = ()
    back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpFlow:
    """One transfer by TCP.

    Attributes:
        delay: One-way propagation delay, seconds.
        start: Seconds.
        bytes_: How much; infinite for a flow that never ends.
    """

    delay: float = 0.05
    start: float = 0.0
    bytes_: float = math.inf


@dataclass(slots=True, kw_only=True)
class Log:
    """What happened to the packets of a flow, in order of arrival at the bottleneck.

    Attributes:
        at: When each reached the bottleneck, seconds.
        wait: How long it waited there and was sent, seconds; infinite for the dropped.
        size: Bytes.
        arrived: When it reached the other end, seconds; infinite for the dropped.
        rates: (seconds, bits per second) whenever the control spoke.
    """

    at: list[float] = field(default_factory=list)
    wait: list[float] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)

    def delivered(self, start: float, stop: float) -> float:
        """Bits per second that arrived between `start` and `stop`, seconds."""
        arrived, size = np.array(self.arrived), np.array(self.size)
        inside = (arrived >= start) & (arrived < stop)
        return float(8.0 * size[inside].sum() / (stop - start))


@dataclass(slots=True, kw_only=True)
class _Media:
    """A media flow under way."""

    flow: MediaFlow
    control: Gcc
    draws: Stream
    frames: int = 0
    budget: float = 0.0
    busy_until: float = 0.0
    waiting: int = 0
    unsaid: list[tuple[float, float, int]] = field(default_factory=list)


class Bottleneck:
    """One run.

    Args:
        capacity: Bits per second, forward.
        back: The same, backward; as forward when None.
        flows: Media and TCP flows.
        queue: Longest queueing delay at the capacity of the moment, seconds.
        jitter: Most that the way from the bottleneck to the receiver adds at random, seconds; packets keep their order.
        seed: Of frame sizes and jitter.

    Attributes:
        logs: One for each flow.
    """

    def __init__(
        self,
        capacity: Steps,
        flows: Sequence[MediaFlow | TcpFlow],
        *,
        back: Steps | None = None,
        queue: float = 0.3,
        jitter: float = 0.0,
        seed: int = 1,
    ) -> None:
        self._capacity, self._queue, self._jitter = (capacity, back or capacity), queue, jitter
        self._env, self._flows = Environment(), tuple(flows)
        self._free, self._seeds = [0.0, 0.0], SeedTree(seed)
        self.logs = [Log() for _ in flows]
        self._last = [0.0 for _ in flows]
        self._count = [0 for _ in flows]
        self._shake = [self._seeds.stream("rmcat/jitter", i) for i in range(len(flows))]
        self._media: dict[int, _Media] = {}
        self._tcp: dict[int, Tcp] = {}
        for kind in ("frame", "pace", "report", "heard", "pump", "reach", "ack", "timeout"):
            self._env.on(kind, getattr(self, f"_{kind}"))
        for i, flow in enumerate(self._flows):
            self._begin(i, flow)

    def run(self, until: float) -> list[Log]:
        """Goes on to `until` seconds."""
        self._env.run(until=until)
        return self.logs

    def _begin(self, i: int, flow: MediaFlow | TcpFlow) -> None:
        if isinstance(flow, TcpFlow):
            self._tcp[i] = Tcp(flow.bytes_)
            self._env.schedule_record(flow.start, "pump", i)
            return
        self._media[i] = _Media(flow=flow, control=flow.control(), draws=self._seeds.stream("rmcat/frame", i))
        self._env.schedule_record(flow.start, "frame", i)
        self._env.schedule_record(flow.start + FEEDBACK, "report", i, 1)

    # --- the bottleneck -----------------------------------------------------------------------------------------------

    def _through(self, way: int, size: float) -> float:
        """When a packet that reaches a bottleneck now has been sent on; infinite if it is dropped."""
        rate = self._capacity[way](self._env.now)
        limit = max(rate * self._queue / 8.0, 2.0 * PACKET)
        left, self._free[way], _ = fifo(self._env.now, size, rate, self._free[way], limit)
        return left

    def _enter(self, i: int, size: int, *, back: bool) -> float:
        """When a packet of flow `i` reaches its other end; infinite if it is dropped."""
        log, flow, now = self.logs[i], self._flows[i], self._env.now
        left = self._through(int(back), size)
        arrived = left + flow.delay
        if math.isfinite(left):
            shaken = arrived + self._jitter * float(self._shake[i].at(self._count[i]))
            arrived = self._last[i] = max(shaken, self._last[i])
        self._count[i] += 1
        log.at.append(now)
        log.wait.append(left - now)
        log.size.append(size)
        log.arrived.append(arrived)
        return arrived

    # --- media --------------------------------------------------------------------------------------------------------

    def _frame(self, i: int, _: Any) -> None:
        """The encoder gives a frame; its packets queue for the pacer."""
        media, now = self._media[i], self._env.now
        if now >= media.flow.stop:
            return
        paused = any(start <= now < stop for start, stop in media.flow.pauses)
        if not paused:
            u = np.clip(media.draws.uniform(2 * media.frames, 2), 1e-12, 1.0)
            drawn = math.sqrt(-2.0 * math.log(u[0])) * math.cos(2.0 * math.pi * u[1])
            factor = math.exp(FRAME_SPREAD * drawn - FRAME_SPREAD**2 / 2)
            media.budget += media.control.rate / FRAME_RATE / 8.0 * factor
            if media.waiting == 0:
                media.waiting = 1
                self._env.schedule_record(max(now, media.busy_until), "pace", i)
        media.frames += 1
        self._env.schedule_record(media.flow.start + media.frames / FRAME_RATE, "frame", i)

    def _pace(self, i: int, _: Any) -> None:
        """Sends one packet, and the next when its time has come."""
        media, now = self._media[i], self._env.now
        size = int(min(PACKET, media.budget))
        if size < 100:  # noqa: PLR2004 - bytes: less goes with the next frame
            media.waiting = 0
            return
        media.budget -= size
        media.busy_until = now + 8.0 * size / (PACING * media.control.rate)
        arrived = self._enter(i, size, back=media.flow.back)
        media.unsaid.append((now, arrived, size))
        self._env.schedule_record(media.busy_until, "pace", i)

    def _report(self, i: int, step: int) -> None:
        """The receiver says what arrived since it was last heard; what others overtook is lost."""
        media, now = self._media[i], self._env.now
        if now > media.flow.stop + 1.0:
            return
        told = _told(media.unsaid, now)
        if told:
            left = self._through(1 - int(media.flow.back), REPORT_BYTES)
            if math.isfinite(left):  # else the next report says it again
                self._env.schedule_record(left + media.flow.delay, "heard", i, tuple(media.unsaid[:told]))
                del media.unsaid[:told]
        self._env.schedule_record(media.flow.start + (step + 1) * FEEDBACK, "report", i, step + 1)

    def _heard(self, i: int, said: tuple[tuple[float, float, int], ...]) -> None:
        """What the receiver said has come back."""
        media, now = self._media[i], self._env.now
        sent, arrived, size = np.array(said, dtype=np.float64).T
        came = np.where(np.isfinite(arrived), arrived, np.nan)
        rtt = float(np.nanmin(came - sent)) + media.flow.delay
        self.logs[i].rates.append((now, media.control.feedback(sent, came, size, now, rtt)))

    # --- TCP ----------------------------------------------------------------------------------------------------------

    def _pump(self, i: int, _: Any) -> None:
        """Sends what the window lets through."""
        tcp, now = self._tcp[i], self._env.now
        while tcp.may_send():
            number = tcp.send(now)
            arrived = self._enter(i, SEGMENT, back=False)
            if math.isfinite(arrived):
                self._env.schedule_record(arrived, "reach", i, (number, now))
        if not tcp.armed and not tcp.done:
            tcp.armed = True
            self._env.schedule_record(tcp.deadline, "timeout", i)

    def _reach(self, i: int, what: tuple[int, float]) -> None:
        """A segment is there; its acknowledgement goes back."""
        left = self._through(1, ACK_BYTES)
        if math.isfinite(left):
            self._env.schedule_record(left + self._flows[i].delay, "ack", i, what)

    def _ack(self, i: int, what: tuple[int, float]) -> None:
        number, sent = what
        self._tcp[i].acknowledge(number, self._env.now, self._env.now - sent)
        self._pump(i, None)

    def _timeout(self, i: int, _: Any) -> None:
        tcp, now = self._tcp[i], self._env.now
        tcp.armed = False
        if tcp.done:
            return
        if tcp.deadline <= now:
            tcp.expire(now)
        self._pump(i, None)


def _told(unsaid: Sequence[tuple[float, float, int]], now: float) -> int:
    """How many packets the receiver can tell of: up to the last that has arrived."""
    return max((k + 1 for k, (_, arrived, _) in enumerate(unsaid) if arrived <= now), default=0)
