"""What the paths of named calls are like while an episode runs, written down to be lived through packet by packet.

A tap only looks: the episode's trace is the same with and without it. It is plain data, and is saved with the episode.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from meshsim.links import LinkParameters
from meshsim.mesh.errors import ConfigError, MeshSimError
from meshsim.mesh.media import MediaType, demand
from meshsim.sim.environment import LATE
from meshsim.sim.resources import Hops
from meshsim.sim.rtc.link import TimedLink
from meshsim.sim.rtc.session import Path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.scenario.plan import PlannedCalls
    from meshsim.sim.environment import Environment
    from meshsim.sim.world import World

LOOK = "tap.look"
"""Kind of the records at which a call is looked at."""

PERIOD = 0.1
"""Seconds between two looks: what drifts is seen within this time."""

RINGING = 120.0
"""Seconds after a call's planned end for which it is still looked at, as it may have rung first."""

QUEUE_SECONDS, LEAST_QUEUE = 0.100, 65_536.0
"""What the queue of a recorded way holds: so many seconds of its rate, at least so many bytes."""

WAYS = 2


class NoMedia(MeshSimError):  # noqa: N818 - reads as what it is
    """A call was to be captured that had no media."""


class Carrying(Protocol):
    """Who carries calls."""

    def flow_of(self, number: int) -> int:
        """The world's flow of a call, -1 while its media do not flow."""


class Condition(NamedTuple):
    """One way of a path; all is lost if media do not pass.

    Attributes:
        delay: Seconds, without the sending of the call's own packets.
        jitter: Standard deviation of the delay, seconds.
        loss: Probability.
        rate: Bits per second that the way has for the call.
    """

    delay: float
    jitter: float
    loss: float
    rate: float


OUTAGE = Condition(0.0, 0.0, 1.0, 1e6)


@dataclass(slots=True)
class Recording:
    """A call's path over its life.

    Attributes:
        number: Row in the plan.
        media: What the call carries.
        at: Instants of the episode from which each row holds, seconds.
        ways: Both ways at each.
        end: When it was looked at last, seconds.
    """

    number: int
    media: str
    at: list[float] = field(default_factory=list)
    ways: list[tuple[Condition, Condition]] = field(default_factory=list)
    end: float = math.nan

    def note(self, now: float, ways: tuple[Condition, Condition]) -> None:
        """What it is like from now on."""
        self.end = now
        if self.ways and self.ways[-1] == ways:
            return
        if self.ways or ways != (OUTAGE, OUTAGE):
            self.at.append(now)
            self.ways.append(ways)

    @property
    def over(self) -> bool:
        """Whether nothing comes through at the last look."""
        return bool(self.ways) and self.ways[-1] == (OUTAGE, OUTAGE)

    @property
    def seconds(self) -> float:
        """From its first media to its last; outages between count.

        Raises:
            NoMedia: If its media never flowed.
        """
        if not self.ways:
            raise NoMedia(f"call {self.number} never connected: there are no packets to capture")
        return (self.at[-1] if self.over else self.end) - self.at[0]

    def path(self) -> Path:
        """The path, from the first media at time 0 on.

        Raises:
            NoMedia: If its media never flowed, or for an instant only.
        """
        if self.seconds <= 0.0:
            raise NoMedia(f"call {self.number} had media for less than {PERIOD} s: there are no packets to capture")
        at = tuple(instant - self.at[0] for instant in self.at)
        there, back = ((TimedLink(at=at, rows=tuple(_row(both[way]) for both in self.ways)),) for way in range(WAYS))
        return Path(there=there, back=back)


def _row(way: Condition) -> LinkParameters:
    """A way as one link: the exponential jitter has the standard deviation, and comes on top of what is sure."""
    return LinkParameters(
        rate_bps=way.rate,
        propagation=max(way.delay - way.jitter, 0.0),
        jitter=way.jitter,
        loss=min(way.loss, 1.0),
        queue_bytes=max(QUEUE_SECONDS * way.rate / 8.0, LEAST_QUEUE),
    )


class Tap:
    """Looks at calls while they last.

    Args:
        env: The clock.
        world: The truth.
        board: Who carries the calls.
        numbers: Of the calls.

    Attributes:
        recordings: By number, in the order asked for.

    Raises:
        ConfigError: If there is no call of a number.
    """

    def __init__(self, env: Environment, world: World, board: Carrying, numbers: Sequence[int]) -> None:
        calls = world.plan.calls
        for number in numbers:
            if not 0 <= number < len(calls.start):
                raise ConfigError(f"no call {number}", key="--pcap", allowed=[f"0 to {len(calls.start) - 1}"])
        self._env, self._world, self._board = env, world, board
        self.recordings = {number: Recording(number, str(calls.media[number])) for number in numbers}
        env.on(LOOK, self._look)
        for number in self.recordings:
            env.schedule_record(_start(calls, number), LOOK, number, 0, LATE)

    def _look(self, number: int, n: int) -> None:
        now, calls, recording = self._env.now, self._world.plan.calls, self.recordings[number]
        flow = self._board.flow_of(number)
        media = MediaType(recording.media)
        recording.note(now, (OUTAGE, OUTAGE) if flow < 0 else conditions(self._world, flow, media))
        end = _start(calls, number) + float(calls.duration[number])
        if flow >= 0 or now < end + RINGING:
            # products, not sums: the n-th look is at the same instant however it is reached
            at = _start(calls, number) + (n + 1) * PERIOD
            self._env.schedule_record(at, LOOK, number, n + 1, LATE)


def _start(calls: PlannedCalls, number: int) -> float:
    return float(calls.start[number])


def conditions(world: World, flow: int, media: MediaType) -> tuple[Condition, Condition]:
    """What both ways of an open flow are like now.

    The rate is what the tightest link has to spare, and what the flow itself takes: never less than that, because
    what an overloaded link refuses is in the loss already.

    Args:
        world: The truth.
        flow: Number of the flow.
        media: What it carries.
    """
    paths = world.flow_paths(flow)
    if not world.connected(paths)[0]:
        return OUTAGE, OUTAGE
    rows = [paths.resource[paths.way == way] for way in range(WAYS)]
    links = [way[way < world.resources.relay] for way in rows]
    every = [*rows, *links]
    starts = np.cumsum([0, *map(len, every)])
    truth = world.hop_truth(Hops(resource=np.concatenate(every), indptr=starts))
    passed = float(np.prod(1.0 - world.drop[paths.nodes[1:-1]]))
    own = [share * demand(media).rate_bps for share in world.flow_share(flow)]
    there, back = (
        Condition(
            truth.delay.item(way),
            truth.jitter.item(way),
            1.0 - (1.0 - truth.loss.item(way)) * passed,
            own[way] + truth.rate.item(WAYS + way),
        )
        for way in range(WAYS)
    )
    return there, back
