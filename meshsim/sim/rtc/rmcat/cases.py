"""The test cases of RFC 8867, sections 5.1 to 5.8, and what comes of them under a rate control.

Media are video of 150 kbit/s to 1.5 Mbit/s at 30 frames a second; the bottleneck is drop-tail with 300 ms of queue, the
way from it adds up to 30 ms at random in order (RFC 8867, section 4). What is judged is judged after convergence: the
first 15 s after every change of capacity, and after every flow that comes, pauses or goes (transfers by TCP too), are
left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.seeds import SeedTree
from meshsim.rtc.gcc import Gcc
from meshsim.sim.rtc.rmcat.bottleneck import Bottleneck, Log, MediaFlow, Steps, TcpFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

LEAST, MOST, FIRST = 150e3, 1.5e6, 300e3
"""Bits per second of the media source, and with what it begins."""

CONVERGENCE = 15.0
"""Seconds after a change that are left out."""

JITTER = 0.030
QUEUE = 0.300
_M = 1e6


def media() -> Gcc:
    """The rate control of the cases."""
    return Gcc(FIRST, LEAST, MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaCase:
    """One case.

    Attributes:
        slug: `5.1` and so on.
        title: As the RFC has it.
        capacity: Forward, bits per second.
        flows: Media and TCP.
        until: Seconds.
        back: Backward, if it is not as forward.
    """

    slug: str
    title: str
    capacity: Steps
    flows: tuple[MediaFlow | TcpFlow, ...]
    until: float
    back: Steps | None = None

    @property
    def tcp(self) -> bool:
        """Whether TCP competes: then the queue is TCP's to fill."""
        return any(isinstance(flow, TcpFlow) for flow in self.flows)

    def windows(self, logs: list[Log], *, back: bool = False) -> list[tuple[float, float]]:
        """When one direction has converged: pairs of seconds.

        Args:
            logs: Of the flows: when a transfer ended stands there.
            back: Whether the direction against the others is meant.
        """
        steps = self.back if back and self.back is not None else self.capacity
        changes = {0.0, *steps.at, self.until}
        for flow, log in _of(self, logs, back=back):
            if isinstance(flow, TcpFlow):
                changes |= {flow.start, max(filter(math.isfinite, log.arrived), default=flow.start)}
            else:
                changes |= {flow.start, flow.stop, *(t for pause in flow.pauses for t in pause)}
        times = sorted(t for t in changes if t <= self.until)
        return [(a + CONVERGENCE, b) for a, b in pairwise(times) if b - a > CONVERGENCE]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a case after convergence.

    Attributes:
        case: Slug.
        title: Of the case.
        utilisation: What arrived over what could have: the capacity, or the most that the media may send if that is
            less. The lower of the two directions.
        queue: 95th percentile of the waiting at the bottleneck, seconds; the higher of the two directions.
        fairness: Jain's index of the media flows that share a direction all the time; NaN for one alone.
        loss: Share of the media packets dropped, from beginning to end.
        share: Mean rate of the media flows over the mean of an equal share with the TCP flows; NaN without TCP.
    """

    case: str
    title: str
    utilisation: float
    queue: float
    fairness: float
    loss: float
    share: float


def cases(control: Callable[[], Gcc] = media) -> tuple[MediaCase, ...]:
    """The eight cases for media under `control`."""
    flow = control

    def several(*starts: float) -> tuple[MediaFlow, ...]:
        return tuple(MediaFlow(control=flow, start=start) for start in starts)

    near, far = (0.010, 0.025, 0.050, 0.100, 0.150), (0.0, 10.0, 20.0, 30.0, 40.0)
    unequal = tuple(MediaFlow(control=flow, delay=d, start=s) for d, s in zip(near, far, strict=True))
    paused = MediaFlow(control=flow, pauses=((40.0, 60.0),))
    return (
        MediaCase(
            slug="5.1",
            title="Variable available capacity with a single flow",
            capacity=Steps(at=(0.0, 40.0, 60.0, 80.0), value=(_M, 2.5 * _M, 0.6 * _M, _M)),
            flows=several(0.0),
            until=100.0,
        ),
        MediaCase(
            slug="5.2",
            title="Variable available capacity with multiple flows",
            capacity=Steps(at=(0.0, 25.0, 50.0, 75.0, 100.0), value=(4 * _M, 2 * _M, 3.5 * _M, _M, 2 * _M)),
            flows=several(0.0, 0.0),
            until=125.0,
        ),
        MediaCase(
            slug="5.3",
            title="Congested feedback link with bi-directional media flows",
            capacity=Steps(at=(0.0, 20.0, 40.0, 60.0), value=(2 * _M, _M, 0.5 * _M, 2 * _M)),
            back=Steps(at=(0.0, 35.0, 70.0), value=(2 * _M, 0.8 * _M, 2 * _M)),
            flows=(MediaFlow(control=flow), MediaFlow(control=flow, back=True)),
            until=100.0,
        ),
        MediaCase(
            slug="5.4",
            title="Competing media flows with the same congestion control",
            capacity=_constant(3.5 * _M),
            flows=several(0.0, 20.0, 40.0),
            until=120.0,
        ),
        MediaCase(slug="5.5", title="Round trip time fairness", capacity=_constant(4 * _M), flows=unequal, until=300.0),
        MediaCase(
            slug="5.6",
            title="Media flow competing with a long TCP flow",
            capacity=_constant(2 * _M),
            flows=(*several(5.0), TcpFlow()),
            until=120.0,
        ),
        MediaCase(
            slug="5.7",
            title="Media flows competing with short TCP flows",
            capacity=_constant(2 * _M),
            flows=(*several(5.0, 5.0), *_short()),
            until=300.0,
        ),
        MediaCase(
            slug="5.8",
            title="Media pause and resume",
            capacity=_constant(3.5 * _M),
            flows=(paused, *several(0.0, 0.0)),
            until=120.0,
        ),
    )


def _constant(rate: float) -> Steps:
    return Steps(at=(0.0,), value=(rate,))


def _short() -> Iterator[TcpFlow]:
    """Ten transfers of 100 kB to 1 MB, 10 s apart on average (RFC 8867, section 5.7)."""
    draws = SeedTree(8867).generator("rmcat/short")
    begin = np.cumsum(draws.exponential(10.0, 10)) + 10.0
    size = draws.uniform(100e3, 1000e3, 10)
    return (TcpFlow(start=float(at), bytes_=float(length)) for at, length in zip(begin, size, strict=True))


def run_case(case: MediaCase, seed: int = 1) -> Outcome:
    """Lives through one case.

    Args:
        case: Which.
        seed: Of frame sizes and jitter.
    """
    return judge_logs(case, lived(case, seed))


def lived(case: MediaCase, seed: int = 1) -> list[Log]:
    """What the flows of a case lived through, to draw or to judge."""
    run = Bottleneck(case.capacity, case.flows, back=case.back, queue=QUEUE, jitter=JITTER, seed=seed)
    return run.run(case.until)


def judge_logs(case: MediaCase, logs: list[Log]) -> Outcome:
    """What is told of a case."""
    ways = (False, True) if any(isinstance(flow, MediaFlow) and flow.back for flow in case.flows) else (False,)
    mine = [log for log, flow in zip(logs, case.flows, strict=True) if isinstance(flow, MediaFlow)]
    waits = np.array([wait for log in mine for wait in log.wait])
    return Outcome(
        case=case.slug,
        title=case.title,
        utilisation=min(_utilisation(case, logs, back=way) for way in ways),
        queue=max(_queue(case, logs, back=way) for way in ways),
        fairness=_fairness(case, logs),
        loss=float(np.isinf(waits).mean()),
        share=_share(case, logs),
    )


def _of(case: MediaCase, logs: list[Log], *, back: bool) -> list[tuple[MediaFlow | TcpFlow, Log]]:
    pairs = zip(case.flows, logs, strict=True)
    return [(flow, log) for flow, log in pairs if (isinstance(flow, MediaFlow) and flow.back) == back]


def _utilisation(case: MediaCase, logs: list[Log], *, back: bool) -> float:
    got = could = 0.0
    pairs = _of(case, logs, back=back)
    for start, stop in case.windows(logs, back=back):
        steps = case.back if back and case.back is not None else case.capacity
        wanted = sum(math.inf if isinstance(flow, TcpFlow) else MOST * _sends(flow, start) for flow, _ in pairs)
        could += min(steps.mean(start, stop), wanted) * (stop - start)
        got += sum(log.delivered(start, stop) for _, log in pairs) * (stop - start)
    return got / could


def _sends(flow: MediaFlow, t: float) -> bool:
    return flow.start <= t < flow.stop and not any(start <= t < stop for start, stop in flow.pauses)


def _inside(times: NDArray[np.float64], windows: list[tuple[float, float]]) -> NDArray[np.bool_]:
    return np.asarray(np.any([(times >= start) & (times < stop) for start, stop in windows], axis=0), dtype=np.bool_)


def _queue(case: MediaCase, logs: list[Log], *, back: bool) -> float:
    pairs = [(flow, log) for flow, log in _of(case, logs, back=back) if isinstance(flow, MediaFlow)]
    at = np.concatenate([log.at for _, log in pairs])
    wait = np.concatenate([log.wait for _, log in pairs])
    kept = wait[_inside(at, case.windows(logs, back=back)) & np.isfinite(wait)]
    return float(np.percentile(kept, 95))


def _fairness(case: MediaCase, logs: list[Log]) -> float:
    """Jain's index over the rates of the forward media flows that send, the mean over windows weighted by length."""
    pairs = [(flow, log) for flow, log in _of(case, logs, back=False) if isinstance(flow, MediaFlow)]
    told = []
    for start, stop in case.windows(logs):
        rates = np.array([log.delivered(start, stop) for flow, log in pairs if _sends(flow, start)])
        if len(rates) > 1:
            told.append((float(rates.sum() ** 2 / (len(rates) * (rates**2).sum())), stop - start))
    return sum(index * span for index, span in told) / sum(span for _, span in told) if told else math.nan


def _share(case: MediaCase, logs: list[Log]) -> float:
    if not case.tcp:
        return math.nan
    start, stop = case.windows(logs)[-1]
    pairs = _of(case, logs, back=False)
    media_flows = [log.delivered(start, stop) for flow, log in pairs if isinstance(flow, MediaFlow)]
    others = sum(isinstance(flow, TcpFlow) and math.isinf(flow.bytes_) for flow in case.flows)
    equal = min(case.capacity.mean(start, stop) / (len(media_flows) + others), MOST)
    return float(np.mean(media_flows) / equal)
