"""Sweeps of an experiment: many worlds written as a few lines. From what a person wrote to named overrides, no I/O.

What a sweep varies are keys of the scenario; policies and seeds are crossed with every point of it in any case, so that
all points meet the same seeds (common random numbers).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, NoReturn, Self

import numpy as np
from pydantic import Field, model_validator

from meshsim.lab.adaptive import Adaptive, first
from meshsim.lab.axes import Axis, Bundles, Drawn, Level, Point, Range, Said, Scalar, levels, make_point
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.scenario.quantities import refuse
from meshsim.scenario.text import Text, dotted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from meshsim.scenario.text import Path

MOST_POINTS = 10_000
"""Of a sweep: each is at least as many runs as there are policies and seeds."""


class Latin(Said):
    """A Latin hypercube: each axis is cut into as many equal strata as there are points, each stratum is met once."""

    points: Annotated[int, Field(ge=1, le=MOST_POINTS)]
    """How many worlds; equal ones are run once."""
    seed: int = 0
    """Of the hypercube, not of the episodes; every axis draws from a stream of its own."""
    of: Annotated[dict[str, Drawn], Field(min_length=1)]
    """A range, a list of values, or named bundles for each axis."""


class Sweep(Said):
    """Many worlds at once: exactly one of the four."""

    grid: Annotated[dict[str, Axis], Field(min_length=1)] | None = None
    """Every combination of the values of all axes."""
    zip: Annotated[dict[str, Axis], Field(min_length=1)] | None = None
    """The first values of all axes together, then the second ones, ..."""
    latin: Latin | None = None
    """Points spread over many axes."""
    adaptive: Adaptive | None = None
    """Points where a metric crosses a threshold."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = tuple(type(self).model_fields)
        named = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(named) != 1:
            raise refuse(f"a sweep is one of its kinds, not {len(named)}", allowed=kinds)
        return self

    @model_validator(mode="after")
    def _sized(self) -> Self:
        lengths = {key: len(axis) for key, axis in (self.grid or self.zip or {}).items()}
        if self.grid and math.prod(lengths.values()) > MOST_POINTS:
            raise refuse(f"{math.prod(lengths.values())} points", allowed=[f"<= {MOST_POINTS} points"])
        if self.zip and len(set(lengths.values())) > 1:
            told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
            raise refuse(f"axes of different lengths: {told}", allowed=["as many values on each"])
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [point.name for point in points(self)]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise refuse(
                    f"two points would be called {name!r}", allowed=["names of their own: {name: [key=value]}"]
                )
        return self

    def names(self, metrics: Iterable[str]) -> Iterator[tuple[Path, str, Iterable[str]]]:
        """Every name of a metric: where it stands in the sweep, and what it may be."""
        if self.adaptive is not None:
            yield ("adaptive", "metric"), self.adaptive.metric, metrics


def points(sweep: Sweep) -> list[Point]:
    """The worlds of a sweep in order; of an adaptive one those of its first round.

    >>> [point.name for point in points(Sweep(grid={"calls.rate": [1, 2], "nodes.relays": [20]}))]
    ['rate=1,relays=20', 'rate=2,relays=20']
    """
    if sweep.adaptive is not None:
        return first(sweep.adaptive)
    if sweep.latin is not None:
        drawn = _hypercube(sweep.latin)
        made = [make_point(drawn, row) for row in zip(*drawn.values(), strict=True)]
        return list({point.overrides: point for point in made}.values())
    axes = sweep.grid or sweep.zip or {}
    rows = [levels(axis) for axis in axes.values()]
    return [make_point(axes, row) for row in (itertools.product(*rows) if sweep.grid else zip(*rows, strict=True))]


# Latin hypercube ------------------------------------------------------------------------------------------------------


def _hypercube(latin: Latin) -> dict[str, tuple[Level, ...]]:
    """As many levels of each axis as there are points, shuffled (M. D. McKay et al., Technometrics 21, 1979)."""
    return {key: tuple(_level(axis, share) for share in _shares(latin, key)) for key, axis in latin.of.items()}


def _shares(latin: Latin, key: str) -> list[float]:
    """One share in each of n strata of [0, 1), in random order; (n,)."""
    drawn = SeedTree(latin.seed).stream(f"sweep/{key}").uniform(0, 2 * latin.points)
    strata = np.argsort(drawn[: latin.points], kind="stable")
    shares: list[float] = ((strata + drawn[latin.points :]) / latin.points).tolist()
    return shares


def _level(axis: Range | tuple[Scalar, ...] | Bundles, share: float) -> Level:
    if isinstance(axis, Range):
        return axis.written(axis.at(share))
    listed = levels(axis)
    return listed[int(share * len(listed))]


# Mistakes -------------------------------------------------------------------------------------------------------------


def check(sweep: Sweep, load: Callable[[tuple[str, ...]], object], text: Text, file: str) -> None:
    """Tries every point; a scenario's mistake is told where it stands in the experiment.

    Args:
        sweep: Whose points.
        load: From a point's overrides to the scenario; raises `ConfigError`.
        text: Of the whole file, with the sweep under the key `sweep`.
        file: Its name.

    Raises:
        ConfigError: With file, line and key of the wrong value, or of the sweep, where values are wrong together.
    """
    for point in points(sweep):
        try:
            load(point.overrides)
        except ConfigError as error:
            _refuse(sweep, point, error, text, file)


def _refuse(sweep: Sweep, point: Point, error: ConfigError, text: Text, file: str) -> NoReturn:
    place = _blamed(sweep, point, error)
    raise ConfigError(
        f"{error.message} (point {point.name})",
        file=file,
        line=text.line(place),
        key=dotted(place),
        allowed=error.allowed,
        nearest=error.nearest,
    ) from error


def _blamed(sweep: Sweep, point: Point, error: ConfigError) -> Path:
    """Where the value stands whose override is wrong; the sweep itself where none is by itself."""
    wrong = [
        key for key, override in zip(point.axes, point.overrides, strict=True) if error.file == f"override {override!r}"
    ]
    if not wrong:
        return ("sweep",)
    if sweep.adaptive is not None:
        return ("sweep", "adaptive", "key")
    root: Path = ("sweep", "latin", "of") if sweep.latin else ("sweep", "grid" if sweep.grid else "zip")
    axis = (sweep.latin.of if sweep.latin else sweep.grid or sweep.zip or {})[wrong[0]]
    value = point.values[wrong[0]]
    at = () if isinstance(axis, Range) else (value if isinstance(axis, Mapping) else axis.index(value),)
    return (*root, wrong[0], *map(_step, at))


def _step(part: Scalar) -> str | int:
    return part if isinstance(part, (str, int)) else str(part)
