"""What a scenario says of the network below: the topology, its edges, how routes stray, how quality drifts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario.graph_file import GraphFile
from meshsim.scenario.part import Part
from meshsim.scenario.quantities import (
    Count,
    Distance,
    Duration,
    Extent,
    Number,
    Period,
    PositiveDuration,
    Probability,
    Rate,
    refuse,
)
from meshsim.scenario.topologies import GENERATORS, check_name
from meshsim.scenario.topologies.files import named_like_file
from meshsim.scenario.topologies.generators import parameters_of
from meshsim.scenario.topologies.library import draw_graph

if TYPE_CHECKING:
    from meshsim.scenario.topologies.generators import Parameter


class Generated(Part):
    """Base of generated topologies."""

    generator: str
    """Which generator."""
    seed: Count | None = None
    """Seed of the graph; that of the episode when absent."""

    def parameters(self) -> dict[str, Parameter]:
        """What the generator takes beside the seed."""
        return self.model_dump(exclude={"generator", "seed"})


class Grid(Generated):
    """A grid of places, each joined to its neighbours to the right and below."""

    generator: Literal["grid"]
    """Which generator."""
    rows: Annotated[Count, Field(ge=1, le=40)] = 4
    """Rows of places."""
    columns: Annotated[Count, Field(ge=1, le=40)] = 5
    """Columns of places."""
    spacing: Extent = 500e3
    """Metres between neighbours."""

    @model_validator(mode="after")
    def _has_links(self) -> Self:
        if self.rows * self.columns == 1:
            raise refuse("a grid has at least two places")
        return self


class Ring(Generated):
    """Places on a circle, each joined to the next."""

    generator: Literal["ring"]
    """Which generator."""
    places: Annotated[Count, Field(ge=3, le=1000)] = 12
    """Number of places."""
    spacing: Extent = 500e3
    """Metres between neighbours."""


class Waxman(Generated):
    """Random places; two are joined with probability beta exp(-d / (alpha L)) (Waxman 1988)."""

    generator: Literal["waxman"]
    """Which generator."""
    places: Annotated[Count, Field(ge=2, le=1000)] = 30
    """Number of places."""
    alpha: Annotated[Number, Field(gt=0, le=10)] = 0.2
    """Reach of links, relative to the largest distance L."""
    beta: Annotated[Number, Field(gt=0, le=1)] = 0.6
    """Density of links."""
    extent: Extent = 4000e3
    """Side of the square of places, metres."""


class Geometric(Generated):
    """Random places; two are joined when nearer than a radius."""

    generator: Literal["geometric"]
    """Which generator."""
    places: Annotated[Count, Field(ge=2, le=1000)] = 30
    """Number of places."""
    radius: Annotated[Number, Field(gt=0, le=2)] = 0.3
    """Radius, relative to the side of the square."""
    extent: Extent = 4000e3
    """Side of the square of places, metres."""


class BarabasiAlbert(Generated):
    """Random places joined by preferential attachment (Barabasi and Albert 1999)."""

    generator: Literal["barabasi_albert"]
    """Which generator."""
    places: Annotated[Count, Field(ge=2, le=1000)] = 30
    """Number of places."""
    attachments: Annotated[Count, Field(ge=1, le=50)] = 2
    """Links that each new place brings."""
    extent: Extent = 4000e3
    """Side of the square of places, metres."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.attachments >= self.places:
            raise refuse(f"attachments must be fewer than places: {self.attachments} >= {self.places}")
        return self


class Hierarchical(Generated):
    """Three tiers: cores all joined, regions with two cores each, places with their region."""

    generator: Literal["hierarchical"]
    """Which generator."""
    cores: Annotated[Count, Field(ge=2, le=50)] = 4
    """Places of the first tier, for super nodes."""
    regions: Annotated[Count, Field(ge=1, le=50)] = 3
    """Places of the second tier around each core, for relays."""
    places: Annotated[Count, Field(ge=1, le=50)] = 4
    """Places of the third tier around each region, for peers."""
    extent: Extent = 4000e3
    """Side of the square of cores, metres."""


class Networkx(Generated):
    """A generator of networkx by its name, with its own parameters beside those here; `networkx/<name>` for short.

    Places lie where the generator puts them, or else as `layout` says; parts left apart are joined by their shortest
    gaps, directions and parallel links are dropped.
    """

    model_config = ConfigDict(extra="allow")

    generator: Literal["networkx"]
    """Which generator."""
    name: str
    """As in `networkx.generators`, e.g. `random_regular_graph`; its parameters stand beside it: `d: 4`, `n: 50`."""
    layout: Literal["spring", "spectral", "random"] = "spring"
    """Where places lie that have no position: joined ones near each other, by eigenvectors, or anywhere."""
    extent: Extent = 4000e3
    """Side of the square of places, metres."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        own: dict[str, Any] = dict(self.model_extra or {})
        try:
            draw_graph(self.name, own, self.seed or 0)
        except ConfigError as error:
            place = ("underlay", "topology", *([error.key] if error.key else []))
            raise refuse(error.message, allowed=error.allowed, near=error.nearest, at=place) from error
        return self


class Foreign(Generated):
    """A generator that an installed package brings, with its own parameters beside those here."""

    model_config = ConfigDict(extra="allow")

    generator: str
    """Which generator: the name of an entry point in the group `meshsim.topology_source`."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        takes = parameters_of(self.generator)
        for key, value in (self.model_extra or {}).items():
            at = ("underlay", "topology", key)
            if takes is not None and key not in takes:
                problem = f"{self.generator} has no parameter {key!r}"
                raise refuse(problem, allowed=takes, near=nearest(key, takes), at=at)
            if not isinstance(value, int | float | str):
                raise refuse(f"{key} is {value!r}", allowed=["a number", "a word", "true or false"], at=at)
        return self


_OURS = frozenset({"grid", "ring", "waxman", "geometric", "barabasi_albert", "hierarchical", "networkx"})
"""Generators with a part of the schema each; a test holds them to the annotation below."""


def _topology_tag(value: object) -> str:
    if isinstance(value, Generated):
        return value.generator if value.generator in _OURS else "foreign"
    if isinstance(value, GraphFile) or (isinstance(value, Mapping) and "generator" not in value):
        return "graph file"
    if isinstance(value, Mapping):
        return str(value["generator"]) if value["generator"] in _OURS else "foreign"
    return "name"


def _check_generator(value: object) -> object:
    if isinstance(value, str) and named_like_file(value):
        return {"file": value}
    if not isinstance(value, Mapping) or ("file" in value and "generator" not in value):
        return value
    known = sorted(GENERATORS)
    given = value.get("generator")
    if isinstance(given, str) and given.startswith("networkx/") and "name" not in value:
        return {**value, "generator": "networkx", "name": given.removeprefix("networkx/")}
    if "generator" not in value:
        raise refuse("the key 'generator' is missing (or 'file')", allowed=known)
    if given not in known:
        near = nearest(given, known) if isinstance(given, str) else None
        raise refuse(f"unknown generator {given!r}", allowed=known, near=near, at=("underlay", "topology", "generator"))
    return value


TopologySource = Annotated[
    Annotated[str, AfterValidator(check_name), Tag("name")]
    | Annotated[GraphFile, Tag("graph file")]
    | Annotated[Grid, Tag("grid")]
    | Annotated[Ring, Tag("ring")]
    | Annotated[Waxman, Tag("waxman")]
    | Annotated[Geometric, Tag("geometric")]
    | Annotated[BarabasiAlbert, Tag("barabasi_albert")]
    | Annotated[Hierarchical, Tag("hierarchical")]
    | Annotated[Networkx, Tag("networkx")]
    | Annotated[Foreign, Tag("foreign")],
    Discriminator(_topology_tag),
    BeforeValidator(_check_generator),
]
"""A name such as `topozoo/HurricaneElectric`, a mapping `{generator: waxman, places: 30}`, or a graph file."""


class Congestion(Part):
    """Episodes of congestion on underlay edges: background utilisation rises for a while."""

    rate_per_edge_per_hour: Annotated[Number, Field(ge=0, le=3600)] = 2.0
    """Mean number of episodes on one edge in an hour."""
    duration: PositiveDuration = 120.0
    """Mean length of an episode, seconds (exponential)."""
    extra_utilisation: Probability = 0.35
    """Utilisation added while it lasts."""


class Drift(Part):
    """How the background utilisation of each edge wanders: an Ornstein-Uhlenbeck process on the logit scale."""

    period: Period = 5.0
    """Step, seconds."""
    reversion: PositiveDuration = 120.0
    """Time constant of the return to the mean, seconds."""
    volatility: Annotated[Number, Field(ge=0, le=5)] = 0.4
    """Stationary standard deviation on the logit scale."""
    congestion: Congestion = Congestion()
    """Episodes of congestion."""
    hours: Annotated[Number, Field(ge=0, le=2)] = 0.0
    """How far background load follows the hours of `calls.arrivals.diurnal`: 0 not at all, 1 its odds in proportion."""


class UnderlayConfig(Part):
    """The real network below the overlay."""

    topology: TopologySource = "topozoo/HurricaneElectric"
    """Places and edges: a name, a generator, or a graph file."""
    capacity: Rate = 1e9
    """Capacity of an edge, bits per second (the median, when `capacity_spread` is set)."""
    capacity_spread: Annotated[Number, Field(ge=0, le=3)] = 0.0
    """Sigma of the log-normal spread of capacities."""
    utilisation_mean: Annotated[Probability, Field(lt=1)] = 0.45
    """Median background utilisation of an edge."""
    utilisation_spread: Annotated[Number, Field(ge=0, le=5)] = 0.6
    """Standard deviation of the edges' mean utilisation on the logit scale."""
    loss: Probability = 0.0003
    """Mean base loss of an edge."""
    loss_spread: Annotated[Number, Field(ge=0, le=3)] = 1.0
    """Sigma of the log-normal spread of base losses."""
    routing_inflation: Annotated[Number, Field(ge=0, le=3)] = 0.5
    """How far routes stray from the shortest: sigma of the factor on each edge's routing weight; 0 is shortest."""
    hop_cost: Distance = 200e3
    """Length that each hop adds to the routing weight, metres: policy prefers few networks."""
    hop_delay: Duration = 0.0002
    """Forwarding delay of each edge, seconds."""
    fibre_stretch: Annotated[Number, Field(ge=1, le=5)] = 1.4
    """Fibre length over the length drawn on the map."""
    drift: Drift = Drift()
    """How link quality changes over time."""
