"""Measured latency as complete underlays: one edge for each ordered pair of places, as slow as it was measured.

`measured/wondernetwork`: 242 cities, ping between all of them. `measured/planetlab490`: 490 hosts.
`measured/simblock`, `measured/ethshadow`: tables of a few regions, for small tests. The packets of a route take the
edge between its ends; what a detour over a third place would save stays to be won by relays.

The delay of an edge is half of its round trip, which each end measured for itself, so the two directions of a pair
differ by as much as the two measurements did. Pairs that were not measured get 31.4 ms + 17.4 ms for 1000 km
(`mesh.geo.predicted_rtt`); `gaps` counts them.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.topology import Topology
from meshsim.scenario.topologies.registry import reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PREFIX = "measured/"

_MS = 1e-3
_BOTH_WAYS = 2

_SIMBLOCK_AT = {
    "NORTH_AMERICA": (40.0, -95.0),
    "EUROPE": (50.0, 10.0),
    "SOUTH_AMERICA": (-15.0, -55.0),
    "ASIA_PACIFIC": (15.0, 105.0),
    "JAPAN": (36.0, 138.0),
    "AUSTRALIA": (-27.0, 140.0),
}
_ETHSHADOW_AT = {
    "australia": (-33.0, 151.0),
    "east_asia": (35.0, 125.0),
    "europe": (50.0, 9.0),
    "na_west": (37.0, -120.0),
    "na_east": (40.0, -75.0),
    "south_america": (-20.0, -50.0),
    "south_africa": (-30.0, 25.0),
    "west_asia": (25.0, 50.0),
}
"""Degrees of what the tables know by name alone; ours, for maps and neighbourhoods, not for delay."""


def names() -> tuple[str, ...]:
    """Every measured underlay by name, sorted."""
    return tuple(sorted(PREFIX + name for name in _READERS))


@cache
def load(name: str) -> Topology:
    """The measured underlay `name`, which `names` must list.

    Raises:
        ConfigError: If its files are not at hand or are not what they should be.
    """
    return _READERS[name.removeprefix(PREFIX)]()


def gaps(name: str) -> int:
    """How many ordered pairs of the underlay `name` were not measured and go by distance."""
    topology = load(name)
    by_distance = geo.predicted_rtt(topology.length) / _BOTH_WAYS
    return 0 if topology.delay is None else int((topology.delay == by_distance).sum())


def cities() -> tuple[tuple[str, ...], Array, Array]:
    """Names of C cities of `wondernetwork`, their degrees (C, 2: latitude, longitude), and their inhabitants (C,)."""
    with reading("wondernetwork", "cities.csv") as path:
        rows = table(path)
        at = np.array([(float(row["lat"]), float(row["lon"])) for row in rows]).reshape(-1, 2)
        return tuple(row["city"] for row in rows), at, np.array([float(row["population"] or 0) for row in rows])


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, packed or not.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
    return list(csv.DictReader(io.StringIO(text)))


def complete(name: str, places: Sequence[str], at: Array, round_trip: Array, jitter: Array | None = None) -> Topology:
    """A complete underlay.

    Args:
        name: Of the topology.
        places: N names.
        at: (N, 2) degrees: latitude, longitude.
        round_trip: (N, N) seconds from each place to each other, NaN where nobody measured.
        jitter: (N, N) seconds of one way, 0 where nobody measured; None if nobody did at all.
    """
    count = len(places)
    src, dst = (index.astype(np.int32) for index in np.nonzero(~np.eye(count, dtype=bool)))
    latitude, longitude = at.T
    length = geo.distance(latitude[src], longitude[src], latitude[dst], longitude[dst])
    told = round_trip[src, dst]
    return Topology(
        name=name,
        names=tuple(places),
        latitude=latitude.copy(),
        longitude=longitude.copy(),
        src=src,
        dst=dst,
        length=length,
        delay=np.where(np.isnan(told), geo.predicted_rtt(length), told) / _BOTH_WAYS,
        jitter=None if jitter is None else jitter[src, dst],
    )


def _wondernetwork() -> Topology:
    """Average round trips of pings; a pair's jitter is what its deviation leaves to each direction, mdev / sqrt(2)."""
    known, located, _ = cities()
    with reading("wondernetwork", "rtt_pairs.csv.gz") as path:
        rows = table(path)
        places = sorted({row["src"] for row in rows} | set(known))
        index = {place: i for i, place in enumerate(places)}
        round_trip, deviation = np.full((2, len(places), len(places)), np.nan)
        far = np.full((len(places), len(places)), np.inf)
        for row in rows:
            pair = index[row["src"]], index[row["dst"]]
            round_trip[pair], deviation[pair] = float(row["rtt_avg_ms"]) * _MS, float(row["rtt_mdev_ms"]) * _MS
            far[pair] = float(row["distance_km"])
    at = np.full((len(places), 2), np.nan)
    at[[index[place] for place in known]] = located
    for lost in np.flatnonzero(np.isnan(at[:, 0])):  # a city without coordinates lies at the one nearest by the pings
        at[lost] = at[np.where(np.isnan(at[:, 0]), np.inf, far[lost]).argmin()]
    jitter = np.nan_to_num(deviation) / np.sqrt(_BOTH_WAYS)
    return complete(PREFIX + "wondernetwork", places, at, round_trip, jitter)


def _planetlab490() -> Topology:
    """Medians over twelve time slices; hosts lie where `embed` puts them, for their places are not told."""
    with reading("planetlab490", "planetlab490_median.npz") as path, np.load(path) as told:
        round_trip = told["rtt_ms"].astype(np.float64) * _MS
    hosts = [f"host-{i:03d}" for i in range(len(round_trip))]
    return complete(PREFIX + "planetlab490", hosts, embed(round_trip), round_trip)


def embed(round_trip: Array) -> Array:
    """Places on the Earth, (N, 2) degrees, that lie as far apart as their round trips say.

    Each round trip becomes a distance by `mesh.geo.predicted_rtt` turned round; classical scaling on the sphere takes
    the three main axes of cos(distance / radius). Source: Cox and Cox, "Multidimensional scaling on a sphere",
    Communications in Statistics 20(9), 1991. Axes are free to turn: only distances mean something.

    Args:
        round_trip: (N, N) seconds, symmetric.
    """
    metres = np.maximum(round_trip - geo.RTT_INTERCEPT, 0.0) / geo.RTT_PER_METRE
    np.fill_diagonal(metres, 0.0)
    likeness = np.cos(np.minimum(metres / geo.EARTH_RADIUS, np.pi))
    values, vectors = np.linalg.eigh((likeness + likeness.T) / 2)
    axes = vectors[:, -3:] * np.sqrt(np.maximum(values[-3:], 0.0))
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(3)])  # eigenvectors may point either way
    x, y, z = (axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)).T[::-1]
    return np.stack([np.degrees(np.arcsin(np.clip(z, -1.0, 1.0))), np.degrees(np.arctan2(y, x))], axis=1)


def _simblock() -> Topology:
    with reading("simblock_regions", "regions.json") as path:
        told = json.loads(path.read_text(encoding="utf-8"))
        return _of_regions("simblock", told["regions"], _SIMBLOCK_AT, np.array(told["latency_2019"]))


def _ethshadow() -> Topology:
    with reading("ethshadow_regions", "regions.json") as path:
        latency = json.loads(path.read_text(encoding="utf-8"))["latency"]
        one_way = [[latency[src][dst] for dst in _ETHSHADOW_AT] for src in _ETHSHADOW_AT]
        return _of_regions("ethshadow", list(_ETHSHADOW_AT), _ETHSHADOW_AT, np.array(one_way))


def _of_regions(name: str, regions: list[str], at: dict[str, tuple[float, float]], one_way: Array) -> Topology:
    """Two places in each region, so that what the table says of a region and itself is an edge too."""
    places = [f"{region.lower()}-{i}" for region in regions for i in range(_BOTH_WAYS)]
    degrees = np.array([(at[region][0], at[region][1] + i) for region in regions for i in range(_BOTH_WAYS)])
    twice = np.repeat(np.repeat(one_way, _BOTH_WAYS, axis=0), _BOTH_WAYS, axis=1)
    return complete(PREFIX + name, places, degrees, _BOTH_WAYS * _MS * twice)


_READERS: dict[str, Callable[[], Topology]] = {
    "ethshadow": _ethshadow,
    "planetlab490": _planetlab490,
    "simblock": _simblock,
    "wondernetwork": _wondernetwork,
}
