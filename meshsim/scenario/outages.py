"""Regions that fail together: a power cut or a cable fault takes many nodes and edges, each back in its own time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from meshsim.mesh import geo
from meshsim.scenario.part import Part
from meshsim.scenario.quantities import Count, Duration, Extent, Number, PositiveDuration, Probability, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree, Stream
    from meshsim.mesh.topology import Topology
    from meshsim.scenario.plan import PlannedNodes

_DAY = 86400.0
_TINY = 1e-12


class Outage(Part):
    """The failure of a region, once or again and again: nodes vanish, and edges of the underlay carry nothing."""

    at: Duration | None = None
    """When, seconds; at random by `rate_per_day` when absent."""
    rate_per_day: Annotated[Number, Field(ge=0, le=10_000)] = 0.0
    """Mean number a day, where no `at` is said (Poisson)."""
    centre: str | Count | None = None
    """The underlay place in the middle, by name or index; drawn for each failure when absent."""
    radius: Extent = 300e3
    """Metres."""
    nodes: Probability = 1.0
    """Share of the region's nodes that go down."""
    edges: Probability = 1.0
    """Share of the edges with an end in the region that are cut, both ways at once."""
    recovery: PositiveDuration = 600.0
    """Median time until a node or edge is back, seconds; each has its own."""
    recovery_sigma: Annotated[Number, Field(ge=0, le=4)] = 0.5
    """Standard deviation of its logarithm (log-normal)."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.at is not None and self.rate_per_day:
            raise refuse("it strikes once, or by chance: not both", allowed=["at", "rate_per_day"])
        return self

    @property
    def harmless(self) -> bool:
        """Whether it can strike nothing."""
        return (self.nodes == 0.0 and self.edges == 0.0) or (self.at is None and self.rate_per_day == 0.0)


Outages = tuple[Outage, ...]
"""All failures of a scenario."""

NO_OUTAGES: Outages = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One node or directed edge, down from `start` to `end` seconds."""

    what: Literal["node", "edge"]
    number: int
    start: float
    end: float


def strikes(
    outages: Outages, duration: float, nodes: PlannedNodes, topology: Topology, seeds: SeedTree
) -> Iterator[Strike]:
    """All that failing regions do to nodes and edges.

    Args:
        outages: Of the scenario.
        duration: Of the episode, seconds; a longer one begins like a shorter one.
        nodes: N nodes.
        topology: Of the underlay.
        seeds: Root of the draws: streams `outages/...`.
    """
    for i, outage in enumerate(outages):
        if outage.harmless:
            continue
        for n, start in enumerate(_instants(outage, duration, seeds.generator(f"outages/{i}/at"))):
            place = _centre(outage, topology, seeds.stream(f"outages/{i}/centre").at(n))
            region = _Region(name=f"outages/{i}", failure=n, start=start, outage=outage, seeds=seeds)
            yield from region.nodes(nodes, _within(topology, place, nodes.latitude, nodes.longitude, outage.radius))
            inside = _within(topology, place, topology.latitude, topology.longitude, outage.radius)
            yield from region.edges(topology, inside)


def _instants(outage: Outage, duration: float, generator: np.random.Generator) -> Iterator[float]:
    if outage.at is not None:
        yield outage.at
        return
    at = generator.exponential(_DAY / outage.rate_per_day)
    while at < duration:
        yield float(at)
        at += generator.exponential(_DAY / outage.rate_per_day)


def _centre(outage: Outage, topology: Topology, draw: float) -> int:
    if outage.centre is None:
        return int(draw * len(topology))
    return outage.centre if isinstance(outage.centre, int) else topology.names.index(outage.centre)


def _within(
    topology: Topology, place: int, latitude: NDArray[np.float64], longitude: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    away = geo.distance(topology.latitude[place], topology.longitude[place], latitude, longitude)
    return np.asarray(away <= radius)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Region:
    """One failure of one region.

    Attributes:
        name: Of its streams.
        failure: Which of the outage's it is.
        start: Seconds.
    """

    name: str
    failure: int
    start: float
    outage: Outage
    seeds: SeedTree

    def nodes(self, nodes: PlannedNodes, inside: NDArray[np.bool_]) -> Iterator[Strike]:
        """What it does to the nodes inside."""
        for i in np.flatnonzero(inside).tolist():
            end = self._end(self.outage.nodes, self.seeds.stream(f"{self.name}/node/{nodes.names[i]}"))
            if end is not None:
                yield Strike(what="node", number=i, start=self.start, end=end)

    def edges(self, topology: Topology, inside: NDArray[np.bool_]) -> Iterator[Strike]:
        """What it does to the edges with an end inside; both directions share their draws."""
        for i in np.flatnonzero(inside[topology.src] | inside[topology.dst]).tolist():
            low, high = sorted((topology.names[topology.src[i]], topology.names[topology.dst[i]]))
            end = self._end(self.outage.edges, self.seeds.stream(f"{self.name}/edge/{low}/{high}"))
            if end is not None:
                yield Strike(what="edge", number=i, start=self.start, end=end)

    def _end(self, share: float, stream: Stream) -> float | None:
        """When one that it may hit is back, or None if it is spared."""
        hit, length = stream.uniform(2 * self.failure, 2).tolist()
        if hit >= share:
            return None
        normal = NormalDist().inv_cdf(min(max(length, _TINY), 1.0 - _TINY))
        return self.start + self.outage.recovery * math.exp(self.outage.recovery_sigma * normal)
