"""Topologies drawn by rule. Each generator is one function from a seed and parameters to a connected graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError, nearest
from meshsim.mesh.registry import Registry
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.topology import Topology

if TYPE_CHECKING:
    from numpy.typing import NDArray

Parameter = float | str
"""A number, a truth or a word."""

_METRES_PER_DEGREE = geo.EARTH_RADIUS * np.pi / 180

GENERATORS: Registry[Callable[..., Topology]] = Registry("topology source")
"""Each generator by name: a function of a seed and, by keyword, of its parameters (lengths in metres)."""


def parameters_of(name: str) -> list[str] | None:
    """What the generator `name` takes beside the seed; None if any word may be a parameter of it.

    Raises:
        ConfigError: If there is no such generator.
    """
    own = inspect.signature(GENERATORS[name]).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
        return None
    return [parameter.name for parameter in own if parameter.kind is parameter.KEYWORD_ONLY]


def draw(name: str, seed: int, parameters: Mapping[str, Parameter]) -> Topology:
    """The graph of the generator `name`.

    Raises:
        ConfigError: If the generator or a parameter is unknown, or the generator refuses.
    """
    known = parameters_of(name)
    for parameter in parameters:
        if known is not None and parameter not in known:
            near = nearest(parameter, known)
            raise ConfigError(f"{name} has no parameter {parameter!r}", key="topology", allowed=known, nearest=near)
    return GENERATORS[name](seed, **parameters)


@GENERATORS.register("grid")
def grid(seed: int, *, rows: int = 4, columns: int = 5, spacing: float = 500e3) -> Topology:
    """`rows` times `columns` places, `spacing` metres apart; nothing is drawn from `seed`."""
    del seed
    row, column = np.divmod(np.arange(rows * columns), columns)
    at = np.stack([column * spacing, row * spacing])
    right = [(i, i + 1) for i in range(rows * columns) if (i + 1) % columns]
    below = [(i, i + columns) for i in range((rows - 1) * columns)]
    return lay_out("grid", at, right + below)


@GENERATORS.register("ring")
def ring(seed: int, *, places: int = 12, spacing: float = 500e3) -> Topology:
    """`places` on a circle, neighbours `spacing` metres apart; nothing is drawn from `seed`."""
    del seed
    radius = spacing / (2 * np.sin(np.pi / places))
    angle = 2 * np.pi * np.arange(places) / places
    at = radius * np.stack([np.cos(angle), np.sin(angle)])
    return lay_out("ring", at, [(i, (i + 1) % places) for i in range(places)])


@GENERATORS.register("waxman")
def waxman(seed: int, *, places: int = 30, alpha: float = 0.2, beta: float = 0.6, extent: float = 4000e3) -> Topology:
    """Places in a square of side `extent`; a pair d apart is joined with probability beta exp(-d / (alpha L)).

    L is the largest distance; parts left apart are joined by their shortest gaps.
    Source: Waxman, "Routing of multipoint connections", IEEE JSAC 6(9) 1988.
    """
    at = _scatter(seed, "waxman", places, extent)
    gap = _gaps(at)
    chance = beta * np.exp(-gap / (alpha * gap.max()))
    drawn = SeedTree(seed).generator("topology/waxman/links").random((places, places))
    return lay_out("waxman", at, _pairs(drawn < chance))


@GENERATORS.register("geometric")
def geometric(seed: int, *, places: int = 30, radius: float = 0.3, extent: float = 4000e3) -> Topology:
    """Places in a square of side `extent`; pairs nearer than `radius` times the side are joined, then parts."""
    at = _scatter(seed, "geometric", places, extent)
    return lay_out("geometric", at, _pairs(_gaps(at) < radius * extent))


@GENERATORS.register("barabasi_albert")
def barabasi_albert(seed: int, *, places: int = 30, attachments: int = 2, extent: float = 4000e3) -> Topology:
    """Places join one by one, each linked to `attachments` earlier ones in proportion to their degree.

    Source: Barabasi and Albert, "Emergence of scaling in random networks", Science 286, 1999.
    """
    draw = SeedTree(seed).generator("topology/barabasi_albert/links")
    pairs = [(0, i) for i in range(1, attachments + 1)]
    for new in range(attachments + 1, places):
        degree = np.bincount(np.array(pairs).ravel(), minlength=new)
        chosen = draw.choice(new, size=attachments, replace=False, p=degree / degree.sum())
        pairs += [(int(old), new) for old in sorted(chosen)]
    return lay_out("barabasi_albert", _scatter(seed, "barabasi_albert", places, extent), pairs)


CORE, REGION = "core-", "region-"
"""How the names of the upper tiers begin; `nodes.placement` knows tiers by them."""


@GENERATORS.register("hierarchical")
def hierarchical(seed: int, *, cores: int = 4, regions: int = 3, places: int = 4, extent: float = 4000e3) -> Topology:
    """Three tiers: all cores joined with all, regions with the two nearest cores, places with their region.

    Each core has so many `regions` around it, each region so many `places`. Cores lie in a square of side `extent`,
    regions within an eighth of it from their core, places within a fortieth of it from their region. Super nodes
    belong to cores, relays to regions, peers to places (`nodes.placement: tiers`).
    """
    core = _scatter(seed, "hierarchical/cores", cores, extent)
    region = np.repeat(core, regions, axis=1) + _around(seed, "hierarchical/regions", cores * regions, extent / 8)
    low = np.repeat(region, places, axis=1) + _around(seed, "hierarchical", region.shape[1] * places, extent / 40)
    nearest_cores = np.argsort(np.hypot(*(region[:, :, None] - core[:, None])), axis=1, kind="stable")[:, :2]
    pairs = [(a, b) for b in range(cores) for a in range(b)]
    pairs += [(int(up), cores + i) for i, both in enumerate(nearest_cores) for up in both]
    first = cores + region.shape[1]
    pairs += [(cores + i // places, first + i) for i in range(low.shape[1])]
    names = [f"{CORE}{i}" for i in range(cores)] + [
        f"{REGION}{i // regions}-{i % regions}" for i in range(first - cores)
    ]
    names += [f"place-{i // places // regions}-{i // places % regions}-{i % places}" for i in range(low.shape[1])]
    return lay_out("hierarchical", np.concatenate([core, region, low], axis=1), pairs, names)


def _around(seed: int, name: str, places: int, reach: float) -> NDArray[np.float64]:
    return _scatter(seed, name, places, 2 * reach) - reach


def _scatter(seed: int, name: str, places: int, extent: float) -> NDArray[np.float64]:
    return SeedTree(seed).generator(f"topology/{name}/places").random((places, 2)).T * extent


def _gaps(at: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.hypot(at[0][:, None] - at[0], at[1][:, None] - at[1]))


def _pairs(joined: NDArray[np.bool_]) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(joined, 1)), strict=True)]


def lay_out(
    name: str, at: NDArray[np.float64], pairs: list[tuple[int, int]], names: Sequence[str] | None = None
) -> Topology:
    """A topology of places on a plane; parts that no link joins are joined by their shortest gaps.

    Args:
        name: What `generated/` is put before.
        at: Metres, (2, N); their mean comes to lie at (0, 0) degrees.
        pairs: Places that are linked, in both directions.
        names: Of the places; numbered ones when None.
    """
    gap = _gaps(at)
    links = sorted({link for a, b in _joined(gap, pairs) for link in ((a, b), (b, a))})
    src, dst = (np.array(column, dtype=np.int32) for column in zip(*links, strict=True))
    longitude, latitude = (at - at.mean(axis=1, keepdims=True)) / _METRES_PER_DEGREE
    return Topology(
        name=f"generated/{name}",
        names=tuple(names or (f"place-{i:03d}" for i in range(at.shape[1]))),
        latitude=latitude,
        longitude=longitude,
        src=src,
        dst=dst,
        length=gap[src, dst],
    )


def _joined(gap: NDArray[np.float64], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """`pairs` and the shortest bridges (Prim) that make one part of all places."""
    part = np.arange(len(gap))
    for a, b in pairs:
        part[part == part[b]] = part[a]
    bridges = []
    while len(np.unique(part)) > 1:
        here = part == part[0]
        start, end = np.unravel_index(np.argmin(np.where(here[:, None] & ~here, gap, np.inf)), gap.shape)
        bridges.append((int(start), int(end)))
        part[part == part[end]] = part[0]
    return pairs + bridges
