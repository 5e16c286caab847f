"""Nodes that move: where they are at every step, which place they hang on, and what their last mile then is.

All of it is drawn when the plan is compiled, so that whoever lives the plan sees the same ways. Positions are metres on
a plane around the middle of the topology. Random waypoint starts in its steady state: a walk that starts anywhere with
any speed would slow down for a long time (Navidi and Camp, "Stationary distributions for the random waypoint mobility
model", IEEE TMC 3(1) 2004). Gauss-Markov has a memory of its course (Camp, Boleng, Davies, WCMC 2(5) 2002).
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from meshsim.links.cellular import Cell, cellular_link
from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import Role
from meshsim.scenario.part import Part
from meshsim.scenario.plan import PlannedMoves
from meshsim.scenario.quantities import Distance, Duration, Number, Period, Probability, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.mesh.topology import Topology
    from meshsim.scenario.plan import PlannedNodes

_METRES_PER_DEGREE = geo.EARTH_RADIUS * np.pi / 180


class Speed(Part):
    """How fast nodes go, metres per second."""

    low: Annotated[Number, Field(gt=0, le=1000)] = 0.8
    """Least; above 0, or a walk would come to rest for ever."""
    high: Annotated[Number, Field(gt=0, le=1000)] = 14.0
    """Most."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise refuse(f"the least speed ({self.low:g} m/s) is above the most ({self.high:g} m/s)")
        return self


class CellConfig(Part):
    """The base station at every place, as 3GPP TR 36.942 has a macro cell."""

    power: Annotated[Number, Field(ge=-50, le=100)] = 61.0
    """Transmitted power, antenna gains included, dBm."""
    noise: Annotated[Number, Field(ge=-200, le=0)] = -80.0
    """Noise and interference, dBm."""
    bandwidth: Annotated[Number, Field(gt=0, le=1e9)] = 10e6
    """Hertz."""
    share: Annotated[Probability, Field(gt=0)] = 0.2
    """Share of the bandwidth that one user gets."""
    shadowing: Annotated[Number, Field(ge=0, le=20)] = 6.0
    """Standard deviation of the shadowing, dB; it changes with the way gone."""
    decorrelation: Annotated[Distance, Field(gt=0)] = 50.0
    """Metres over which shadowing changes (Gudmundson 1991)."""


class MobilityConfig(Part):
    """People who move, and the cells they move through (modelled control plane, media as flows)."""

    model: Literal["none", "random_waypoint", "gauss_markov", "trace"] = "none"
    """How they move; `trace` reads positions from a file."""
    share: Probability = 1.0
    """Share of the peers that move."""
    speed: Speed = Speed()
    """Range of speeds (random waypoint); its middle is the mean of Gauss-Markov."""
    pause: Duration = 30.0
    """Longest pause at a waypoint, seconds; pauses are uniform."""
    memory: Annotated[Probability, Field(lt=1)] = 0.85
    """Of Gauss-Markov: how much of speed and course lasts from step to step."""
    margin: Distance = 500.0
    """How far the area reaches beyond the outermost places, metres."""
    period: Period = 5.0
    """Seconds between two positions."""
    hysteresis: Annotated[Number, Field(ge=0, le=60)] = 3.0
    """Decibels by which another station must be better before a node changes to it."""
    interruption: Duration = 0.05
    """Seconds without media at a handover (3GPP TR 36.881 has 49.5 ms for LTE)."""
    cell: CellConfig = CellConfig()
    """The base stations."""
    trace: str = ""
    """CSV file `node,t_s,latitude,longitude` (gzipped or not) for `trace`; between rows nodes go straight."""

    @model_validator(mode="after")
    def _traced(self) -> Self:
        if (self.model == "trace") != bool(self.trace):
            raise refuse("the model 'trace' and a file go together", at=("mobility", "trace"))
        return self


@dataclass(frozen=True, slots=True)
class _Area:
    """Where nodes may be, metres: a rectangle around the places."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    places: NDArray[np.float64]
    middle: NDArray[np.float64]

    @property
    def size(self) -> NDArray[np.float64]:
        return self.high - self.low


def _area(topology: Topology, margin: float) -> _Area:
    degrees = np.stack([topology.longitude, topology.latitude], axis=1)
    middle = (degrees.min(axis=0) + degrees.max(axis=0)) / 2
    places = _metres(degrees, middle)
    return _Area(low=places.min(axis=0) - margin, high=places.max(axis=0) + margin, places=places, middle=middle)


def _metres(degrees: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    scale = _METRES_PER_DEGREE * np.array([math.cos(math.radians(middle[1])), 1.0])
    return np.asarray((degrees - middle) * scale)


def build_moves(
    config: MobilityConfig, duration: float, nodes: PlannedNodes, topology: Topology, seeds: SeedTree
) -> PlannedMoves:
    """Every change of place and last mile of the nodes that move, in order of time.

    Raises:
        ConfigError: If there is no area, or the trace of positions cannot be read or knows none of the nodes.
    """
    if config.model == "none":
        return no_moves()
    area = _area(topology, config.margin)
    times = np.arange(0.0, duration, config.period)
    rows = []
    for node, way in _ways(config, times, nodes, area, seeds):
        drawn = seeds.generator(f"mobility/{nodes.names[node]}/shadow")
        rows.append(_moves_of(config, node, times, way, area, drawn))
    return _joined(rows)


def _ways(
    config: MobilityConfig, times: NDArray[np.float64], nodes: PlannedNodes, area: _Area, seeds: SeedTree
) -> list[tuple[int, NDArray[np.float64]]]:
    """Nodes that move, and their positions (T, 2) in metres."""
    if config.model == "trace":
        return _traced(Path(config.trace), times, nodes, area)
    if not (area.size > 0.0).all():
        raise ConfigError(
            "the places lie on one line: without a margin there is no area to walk in", key="mobility.margin"
        )
    walk = random_waypoint if config.model == "random_waypoint" else gauss_markov
    ways = []
    for node, name in enumerate(nodes.names):
        if nodes.role[node] != Role.PEER or seeds.stream(f"mobility/{name}").at(0) >= config.share:
            continue
        ways.append((node, area.low + walk(config, times, area.size, seeds.generator(f"mobility/{name}/way"))))
    return ways


def random_waypoint(
    config: MobilityConfig, times: NDArray[np.float64], size: NDArray[np.float64], draw: np.random.Generator
) -> NDArray[np.float64]:
    """Positions (T, 2) in a rectangle of `size` metres: to a point, a pause, to the next, from the steady state on.

    At any instant of the steady state the length of the leg counts in the odds of being on it, and so does how long
    its speed takes: legs are accepted in proportion to their length, speeds drawn with density 1 / v.
    """
    low, high, pause = config.speed.low, config.speed.high, config.pause
    slowness = (math.log(high / low) / (high - low)) if high > low else 1.0 / low
    travel = _mean_leg(size) * slowness
    start, goal = _leg(size, draw)
    if draw.random() < 0.5 * pause / (0.5 * pause + travel):
        at = size * draw.random(2)
        # the rest of a uniform pause: its end is drawn with density proportional to 1 - t / pause
        clock = pause * (1.0 - math.sqrt(1.0 - draw.random()))
        knots, points = [0.0, clock], [at, at]
    else:
        at = start + draw.random() * (goal - start)
        speed = low * (high / low) ** draw.random()
        clock = float(np.hypot(*(goal - at))) / speed
        knots, points = [0.0, clock], [at, goal]
        clock = _rest(knots, points, clock, pause, draw)
    while clock <= times[-1]:
        goal = size * draw.random(2)
        clock += float(np.hypot(*(goal - points[-1]))) / draw.uniform(low, high)
        knots.append(clock)
        points.append(goal)
        clock = _rest(knots, points, clock, pause, draw)
    at_knots = np.array(points)
    return np.stack([np.interp(times, knots, at_knots[:, axis]) for axis in range(2)], axis=1)


def _rest(
    knots: list[float], points: list[NDArray[np.float64]], clock: float, pause: float, draw: np.random.Generator
) -> float:
    if pause > 0.0:
        clock += pause * draw.random()
        knots.append(clock)
        points.append(points[-1])
    return clock


def _leg(size: NDArray[np.float64], draw: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two points of a rectangle with odds in proportion to their distance."""
    longest = float(np.hypot(*size))
    while True:
        start, goal = size * draw.random(2), size * draw.random(2)
        if draw.random() * longest < np.hypot(*(goal - start)):
            return start, goal


def _mean_leg(size: NDArray[np.float64]) -> float:
    """Mean distance of two uniform points of a rectangle, metres (Santalo 1976; exact)."""
    b, a = sorted(float(side) for side in size)
    d = math.hypot(a, b)
    logs = (b**2 / a) * math.log((a + d) / b) + (a**2 / b) * math.log((b + d) / a)
    return (a**3 / b**2 + b**3 / a**2 + d * (3.0 - a**2 / b**2 - b**2 / a**2) + 2.5 * logs) / 15.0


def gauss_markov(
    config: MobilityConfig, times: NDArray[np.float64], size: NDArray[np.float64], draw: np.random.Generator
) -> NDArray[np.float64]:
    """Positions (T, 2): a velocity with memory and noise, of mean zero; walls reflect, so the area is filled evenly."""
    mean = (config.speed.low + config.speed.high) / 2
    # the components of the velocity are normal, so the speed is Rayleigh: its mean sets their deviation
    sigma = mean / math.sqrt(math.pi / 2.0)
    keep, fresh = config.memory, sigma * math.sqrt(1.0 - config.memory**2)
    start, noise = draw.random(2), draw.standard_normal((len(times), 2))
    speed = np.empty((len(times), 2))
    speed[0] = sigma * noise[0]
    for step in range(1, len(times)):
        speed[step] = keep * speed[step - 1] + fresh * noise[step]
    gone = np.concatenate([np.zeros((1, 2)), np.cumsum(speed[:-1], axis=0)]) * config.period
    free = size * start + gone
    folded = np.mod(free, 2 * size)
    return np.asarray(np.where(folded > size, 2 * size - folded, folded))


def _traced(
    path: Path, times: NDArray[np.float64], nodes: PlannedNodes, area: _Area
) -> list[tuple[int, NDArray[np.float64]]]:
    index = {name: i for i, name in enumerate(nodes.names)}
    found: dict[int, list[tuple[float, float, float]]] = {}
    for name, at in _read(path).items():
        if name in index:
            found[index[name]] = at
    if not found:
        raise ConfigError("the trace knows no node of the scenario", file=str(path), key="mobility.trace")
    return [(node, _along(np.array(sorted(at)), times, area)) for node, at in sorted(found.items())]


def _along(rows: NDArray[np.float64], times: NDArray[np.float64], area: _Area) -> NDArray[np.float64]:
    there = _metres(rows[:, [2, 1]], area.middle)
    return np.stack([np.interp(times, rows[:, 0], there[:, axis]) for axis in range(2)], axis=1)


def _read(path: Path) -> dict[str, list[tuple[float, float, float]]]:
    """Time, latitude and longitude of each node's rows.

    Raises:
        ConfigError: If the file is no such table, with its line.
    """
    columns = ("node", "t_s", "latitude", "longitude")
    rows: dict[str, list[tuple[float, float, float]]] = {}
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise ConfigError("not a trace of positions", file=str(path), line=1, allowed=[",".join(columns)])
            for row in reader:
                rows.setdefault(row["node"], []).append(_position(row, str(path), reader.line_num))
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path), key="mobility.trace") from error
    return rows


def _position(row: Mapping[str, str], file: str, line: int) -> tuple[float, float, float]:
    try:
        at, latitude, longitude = (float(row[name]) for name in ("t_s", "latitude", "longitude"))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not a position: {dict(row)}", file=file, line=line) from error
    if not (at >= 0 and math.isfinite(at) and abs(latitude) <= 90 and abs(longitude) <= 180):  # noqa: PLR2004 - degrees
        raise ConfigError(f"not a position: {dict(row)}", file=file, line=line)
    return at, latitude, longitude


def _moves_of(
    config: MobilityConfig,
    node: int,
    times: NDArray[np.float64],
    way: NDArray[np.float64],
    area: _Area,
    draw: np.random.Generator,
) -> PlannedMoves:
    """What changes for one node: the station with the strongest signal, and what the link to it gives."""
    cell = Cell(
        power_dbm=config.cell.power,
        noise_dbm=config.cell.noise,
        bandwidth=config.cell.bandwidth,
        share=config.cell.share,
        shadowing_db=config.cell.shadowing,
    )
    gap = np.hypot(*(way[:, None, :] - area.places[None, :, :]).transpose(2, 0, 1))
    shadow = _shadows(way, config.cell.decorrelation, draw)
    at = _stations(gap, config.hysteresis)
    links = np.array([cellular_link(float(gap[k, place]), float(shadow[k]), cell) for k, place in enumerate(at)])
    degrees = way / (_METRES_PER_DEGREE * np.array([math.cos(math.radians(area.middle[1])), 1.0])) + area.middle
    return PlannedMoves(
        at=times,
        node=np.full(len(times), node, dtype=np.int32),
        router=at.astype(np.int32),
        latitude=degrees[:, 1],
        longitude=degrees[:, 0],
        up=links[:, 0],
        down=links[:, 1],
        loss=links[:, 2],
    )


def _stations(gap: NDArray[np.float64], hysteresis: float) -> NDArray[np.int64]:
    """(T,) the station of each step: another one only when it is better by `hysteresis` dB; (T, U) metres."""
    nearer = 10.0 ** (hysteresis / 37.6)  # path loss grows by 37.6 dB with each factor of ten
    at = np.empty(len(gap), dtype=np.int64)
    here = int(np.argmin(gap[0]))
    for step, distances in enumerate(gap):
        best = int(np.argmin(distances))
        if distances[best] * nearer < distances[here]:
            here = best
        at[step] = here
    return at


def _shadows(way: NDArray[np.float64], decorrelation: float, draw: np.random.Generator) -> NDArray[np.float64]:
    """(T,) standard normal shadowing, correlated exp(-d / decorrelation) over the way gone (Gudmundson 1991)."""
    noise = draw.standard_normal(len(way))
    kept = np.exp(-np.hypot(*np.diff(way, axis=0).T) / decorrelation)
    shadow = np.empty(len(way))
    shadow[0] = noise[0]
    for step, rho in enumerate(kept, start=1):
        shadow[step] = rho * shadow[step - 1] + math.sqrt(1.0 - rho**2) * noise[step]
    return shadow


def no_moves() -> PlannedMoves:
    """Nobody moves."""
    return _joined(())


def _joined(parts: Sequence[PlannedMoves]) -> PlannedMoves:
    """All moves in order of time, then of nodes."""
    kinds = {"at": np.float64, "node": np.int32, "router": np.int32}
    columns = {
        name: np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)]).astype(kinds.get(name, float))
        for name in PlannedMoves.__slots__
    }
    order = np.lexsort((columns["node"], columns["at"]))
    return PlannedMoves(**{name: values[order] for name, values in columns.items()})
