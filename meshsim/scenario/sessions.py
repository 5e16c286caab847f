"""How long nodes stay and stay away: laws of session length, their stationary start, and named laws with evidence.

A node that is looked at at a random instant is in a session that is longer than most, for long sessions cover more
time: its length has density x f(x) / E[X], and what is left of it is a uniform share of that. This is how episodes
begin (Feller, "An Introduction to Probability Theory and its Applications" II, XI.4). The same holds the other way
round for data: the age of the sessions under way has density (1 - F(x)) / E[X], whatever F is, so ages are no session
lengths, and a law of sessions is found from them through that relation alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from meshsim.mesh.errors import nearest
from meshsim.scenario.lengths import Lengths, read_lengths
from meshsim.scenario.part import SHARE_TOLERANCE, Part
from meshsim.scenario.quantities import LONGEST, Duration, Flag, Number, PositiveDuration, Probability, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meshsim.mesh.seeds import SeedTree, Stream

SHORTEST_MEAN = 1.0
"""Seconds: nodes that come and go faster than that on average are no nodes."""

_SHORTEST = 1e-6
"""Seconds: no span is shorter, so that the instants of one node are in order."""

HOUR, MINUTE = 3600.0, 60.0

Move = Literal["up", "down", "goodbye"]
"""What a node that churns does: a goodbye says that it will be down soon."""


class Law(Part):
    """Base of laws: lengths in seconds."""

    @property
    def expected(self) -> float:
        """Mean length, seconds."""
        raise NotImplementedError

    def draw(self, generator: np.random.Generator) -> float:
        """One length, seconds."""
        raise NotImplementedError

    def biased(self, generator: np.random.Generator) -> float:
        """The length of the span that is under way at a random instant, seconds: density x f(x) / E[X]."""
        raise NotImplementedError

    def residual(self, generator: np.random.Generator) -> float:
        """What is left, at a random instant, of the span under way, seconds: density (1 - F(x)) / E[X]."""
        return self.biased(generator) * generator.random()

    def check(self) -> None:
        """Refuses parameters that make no law."""

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        self.check()
        if not SHORTEST_MEAN <= self.expected <= LONGEST:
            raise refuse(f"the mean length is {self.expected:g} s", allowed=[f"{SHORTEST_MEAN:g} to {LONGEST:g} s"])
        return self


class Exponential(Law):
    """Lengths without memory: what is left never depends on what was."""

    law: Literal["exponential"] = "exponential"
    """Which law."""
    mean: Annotated[Duration, Field(ge=SHORTEST_MEAN)]
    """Seconds."""

    @property
    def expected(self) -> float:
        """Mean length, seconds."""
        return self.mean

    def draw(self, generator: np.random.Generator) -> float:
        """One length, seconds."""
        return float(generator.exponential(self.mean))

    def biased(self, generator: np.random.Generator) -> float:
        """The length of the span under way, seconds."""
        return float(generator.gamma(2.0, self.mean))

    def residual(self, generator: np.random.Generator) -> float:
        """What is left of the span under way, seconds: as long as a new one."""
        return self.draw(generator)


class Weibull(Law):
    """1 - F(x) = exp(-(x / scale)^shape); with a shape below 1 the longer a node has stayed, the longer it will."""

    law: Literal["weibull"] = "weibull"
    """Which law."""
    shape: Annotated[Number, Field(ge=0.15, le=20)]
    """k."""
    scale: PositiveDuration
    """Seconds."""

    @property
    def expected(self) -> float:
        """Mean length, seconds."""
        return self.scale * math.gamma(1.0 + 1.0 / self.shape)

    def draw(self, generator: np.random.Generator) -> float:
        """One length, seconds."""
        return float(self.scale * generator.weibull(self.shape))

    def biased(self, generator: np.random.Generator) -> float:
        """The length of the span under way, seconds: (x / scale)^shape is then gamma with 1 + 1 / shape."""
        return float(self.scale * generator.gamma(1.0 + 1.0 / self.shape) ** (1.0 / self.shape))


class Pareto(Law):
    """1 - F(x) = (least / x)^alpha from `least` on: few nodes stay very long."""

    law: Literal["pareto"] = "pareto"
    """Which law."""
    alpha: Annotated[Number, Field(gt=0, le=100)]
    """Tail index; the mean is finite above 1 only."""
    least: PositiveDuration
    """Shortest length, seconds."""

    @property
    def expected(self) -> float:
        """Mean length, seconds; infinite up to alpha 1."""
        return self.least * self.alpha / (self.alpha - 1.0) if self.alpha > 1.0 else math.inf

    def draw(self, generator: np.random.Generator) -> float:
        """One length, seconds."""
        return float(self.least * (1.0 + generator.pareto(self.alpha)))

    def biased(self, generator: np.random.Generator) -> float:
        """The length of the span under way, seconds: Pareto again, with alpha less by one."""
        return float(self.least * (1.0 + generator.pareto(self.alpha - 1.0)))

    def check(self) -> None:
        """Refuses laws without a mean."""
        if self.alpha <= 1.0:
            problem = f"pareto with alpha {self.alpha:g} has no finite mean: nodes have no stationary start"
            raise refuse(problem, allowed=["alpha > 1"])


class LogNormal(Law):
    """Lengths whose logarithm is normal."""

    law: Literal["lognormal"] = "lognormal"
    """Which law."""
    median: PositiveDuration
    """Seconds."""
    sigma: Annotated[Number, Field(ge=0, le=4)]
    """Standard deviation of the logarithm."""

    @property
    def expected(self) -> float:
        """Mean length, seconds."""
        return self.median * math.exp(self.sigma**2 / 2.0)

    def draw(self, generator: np.random.Generator) -> float:
        """One length, seconds."""
        return float(self.median * math.exp(self.sigma * generator.standard_normal()))

    def biased(self, generator: np.random.Generator) -> float:
        """The length of the span under way, seconds: its logarithm is normal too, sigma^2 further up."""
        return self.draw(generator) * math.exp(self.sigma**2)


class Mixed(Law):
    """A mixture of exponentials: visitors and residents."""

    law: Literal["mixed"] = "mixed"
    """Which law."""
    shares: tuple[Probability, ...]
    """Share of each kind among sessions; they sum to 1."""
    means: tuple[PositiveDuration, ...]
    """Mean length of each kind, seconds."""

    @property
    def expected(self) -> float:
        """Mean length, seconds."""
        return math.fsum(share * mean for share, mean in zip(self.shares, self.means, strict=True))

    def draw(self, generator: np.random.Generator) -> float:
        """One length, seconds."""
        return float(generator.exponential(self.means[_pick(self.shares, generator)]))

    def biased(self, generator: np.random.Generator) -> float:
        """The length of the span under way, seconds."""
        return float(generator.gamma(2.0, self.means[_pick(self._time(), generator)]))

    def _time(self) -> tuple[float, ...]:
        """Share of time that is covered by each kind."""
        return tuple(share * mean / self.expected for share, mean in zip(self.shares, self.means, strict=True))

    def check(self) -> None:
        """Refuses shares that are none."""
        if len(self.shares) != len(self.means) or not self.shares:
            raise refuse(f"{len(self.shares)} shares and {len(self.means)} means", allowed=["a mean for each share"])
        if abs(sum(self.shares) - 1.0) > SHARE_TOLERANCE:
            raise refuse(f"the shares sum to {sum(self.shares):g}, not 1", allowed=["shares that sum to 1"])


class Measured(Law):
    """Lengths as they were measured: each in the file comes as often as the others."""

    law: Literal["trace"] = "trace"
    """Which law."""
    file: Annotated[str, Field(min_length=1, max_length=1000)]
    """A CSV file, also .gz, or a set of the data folder: mesh_router_uptime, bitnodes_2022."""
    column: str = ""
    """The column of lengths; the first when empty. Sets of the data folder know theirs."""
    unit: Literal["s", "min", "h"] = "s"
    """What the file counts in."""
    ages: Flag = False
    """Whether the file has ages of sessions under way instead of lengths; sets of the data folder know."""

    @property
    def expected(self) -> float:
        """Mean length, seconds."""
        return self._measured.mean

    def draw(self, generator: np.random.Generator) -> float:
        """One length, seconds."""
        measured = self._measured
        return float(measured.length[np.searchsorted(measured.drawn, generator.random(), side="right")])

    def biased(self, generator: np.random.Generator) -> float:
        """The length of the span under way, seconds."""
        measured = self._measured
        return float(measured.length[np.searchsorted(measured.covered, generator.random(), side="right")])

    @property
    def _measured(self) -> Lengths:
        return read_lengths(self.file, self.column, self.unit, ages=self.ages)


def _pick(shares: Any, generator: np.random.Generator) -> int:
    # The last bound is left open: shares may sum to a hair less than 1.
    return int(np.searchsorted(np.cumsum(shares)[:-1], generator.random(), side="right"))


NAMED: dict[str, Law] = {
    "skype_supernode": LogNormal(median=5.5 * HOUR, sigma=1.53),
    "skype_relay": LogNormal(median=3.5 * HOUR, sigma=1.53),
    "bittorrent": Weibull(shape=0.6, scale=240 * MINUTE),
    "stutzbach": Weibull(shape=0.38, scale=42.4 * MINUTE),
    "ipfs": Weibull(shape=0.518, scale=1.934 * HOUR),
    "mesh_router": Mixed(shares=(0.98336, 0.01664), means=(182.85 * HOUR, 1465.6 * HOUR)),
    "bitcoin": Mixed(shares=(0.87508, 0.12258, 0.00234), means=(4.1376 * HOUR, 45.391 * HOUR, 814.48 * HOUR)),
    "p2p_viewer": LogNormal(median=math.exp(1.89) * MINUTE, sigma=1.94),
}
"""Laws of published and measured sessions; docs/processes.md tells the evidence for each.

skype_supernode: median 5.5 h (Guha, Daswani, Jain, IPTPS 2006), sigma assumed as of relays. skype_relay: median 3.5 h
(Kho, Baset, Schulzrinne); sigma such that the largest of their 9,584 nodes is expected at their 42.5 days. bittorrent:
TU Delft report, 17 traces, middle of the typical fits. stutzbach: Stutzbach and Rejaie, IMC 2006, the middle one of
three. ipfs: through 87.6 % under 8 h and 2.5 % over 24 h (Trautwein et al., SIGCOMM 2022). mesh_router, bitcoin:
fitted to the AGES of Freifunk routers and Bitcoin connections through the equilibrium relation. p2p_viewer: browsers
in a peer-to-peer live stream.
"""

_LAWS = ("exponential", "weibull", "pareto", "lognormal", "mixed", "trace")


def _known(value: object) -> object:
    """A law by name, or one that says which it is."""
    if isinstance(value, str):
        if value not in NAMED:
            names = sorted(NAMED)
            raise refuse(f"no law of sessions is named {value!r}", allowed=names, near=nearest(value, names))
        return NAMED[value]
    if isinstance(value, Mapping) and value.get("law") not in _LAWS:
        given = value.get("law")
        near = nearest(given, _LAWS) if isinstance(given, str) else None
        raise refuse("the key 'law' is missing" if given is None else f"no law {given!r}", allowed=_LAWS, near=near)
    return value


SessionLaw = Annotated[
    Annotated[
        Exponential | Weibull | Pareto | LogNormal | Mixed | Measured,
        Field(discriminator="law"),
    ],
    BeforeValidator(_known, json_schema_input_type=str | dict[str, Any]),
]
"""A name such as `skype_relay`, or a mapping `{law: weibull, shape: 0.6, scale: 4 h}`."""


class Churn(Part):
    """Nodes that leave and come back, found as they are at a random instant of a long life."""

    enabled: Flag = False
    """Whether nodes churn at all."""
    session_mean: Annotated[Duration, Field(ge=SHORTEST_MEAN)] = 1200.0
    """Mean seconds up, where `session` says no law: exponential."""
    downtime_mean: Annotated[Duration, Field(ge=SHORTEST_MEAN)] = 90.0
    """Mean seconds down, where `downtime` says no law: exponential."""
    session: SessionLaw | None = None
    """The law of the time up: a name such as `skype_relay`, or a mapping `{law: weibull, shape: 0.6, scale: 4 h}`."""
    downtime: SessionLaw | None = None
    """The law of the time down."""
    applies_to: Literal["relays", "all"] = "relays"
    """Which nodes churn: those that carry others' calls, or all."""
    goodbye: Probability = 0.0
    """Share of the departures that are announced; the others leave without a word."""
    notice: PositiveDuration = 3.0
    """Seconds from a goodbye to the departure; half the session where that is less."""

    def lives(self, name: str, seeds: SeedTree, until: float) -> Iterator[tuple[float, Move]]:
        """When the node `name` leaves, says so and comes back, up to `until` seconds; in order."""
        # a departure after the end may be announced before it
        moves = self.renewals(seeds.generator(f"churn/{name}"), until + self.notice * (self.goodbye > 0.0))
        told = moves if self.goodbye == 0.0 else _announced(moves, seeds.stream(f"goodbye/{name}"), self)
        return takewhile(lambda move: move[0] < until, told)

    def renewals(self, generator: np.random.Generator, until: float) -> Iterator[tuple[float, Literal["up", "down"]]]:
        """When one node leaves and comes back, up to `until` seconds; `generator` is of this node alone."""
        up, away = (
            self.session or Exponential(mean=self.session_mean),
            self.downtime or Exponential(mean=self.downtime_mean),
        )
        return renewals(up, away, generator, until)


def _announced(
    moves: Iterable[tuple[float, Literal["up", "down"]]], draws: Stream, churn: Churn
) -> Iterator[tuple[float, Move]]:
    """`moves` and the goodbyes before some of them; the n-th departure is announced by the n-th draw alone."""
    since, departures = 0.0, 0
    for at, kind in moves:
        # who is away as the episode begins has left before it
        if kind == "down" and at > 0.0:
            if draws.at(departures) < churn.goodbye:
                yield at - min(churn.notice, (at - since) / 2.0), "goodbye"
            departures += 1
        since = at
        yield at, kind


def renewals(
    session: Law, downtime: Law, generator: np.random.Generator, until: float
) -> Iterator[tuple[float, Literal["up", "down"]]]:
    """When one node leaves and comes back, from a stationary start to `until` seconds.

    Args:
        session: Of the time up.
        downtime: Of the time away.
        generator: Of this node alone; a longer `until` begins like a shorter one.
        until: Seconds.
    """
    online = bool(generator.random() >= downtime.expected / (session.expected + downtime.expected))
    if not online:
        yield 0.0, "down"
    at = (session if online else downtime).residual(generator)
    while at < until:
        online = not online
        yield at, "up" if online else "down"
        at += max((session if online else downtime).draw(generator), _SHORTEST)
