"""What a sweep varies: axes with their values, and the points that they make. Which points: `sweeps`, `adaptive`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario.quantities import refuse
from meshsim.scenario.text import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic_core import ErrorDetails, PydanticCustomError

DIGITS = 4
"""Digits of a drawn number: what is run is what its name says."""

Scalar = bool | int | float | str
"""A value of a key."""

Bundles = dict[str, tuple[str, ...]]
"""Overrides under a name of their own."""

Level = Scalar | tuple[str, tuple[str, ...]]
"""Where a point stands on an axis: a value of the key, or a bundle with its name."""

_EXACT = 2**53
"""Below it every whole float is that integer."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=,-]+")


@dataclass(frozen=True, slots=True)
class Point:
    """A world of a sweep.

    Attributes:
        name: Such as `rate=0.5,relays=40`; unique within the sweep, and fit for a file's name.
        overrides: `key=value` each, after those of the experiment.
        axes: Of which axis each override is.
        values: The value, or the bundle's name, of each axis: columns of a tidy table.
    """

    name: str
    overrides: tuple[str, ...]
    axes: tuple[str, ...]
    values: Mapping[str, Scalar] = field(hash=False)


class Said(BaseModel):
    """Base of what a person writes of a sweep."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Range(Said):
    """Numbers between two bounds, in SI units unless a unit is named."""

    low: Annotated[float, Field(allow_inf_nan=False)]
    """The least."""
    high: Annotated[float, Field(allow_inf_nan=False)]
    """The most."""
    scale: Literal["linear", "log"] = "linear"
    """Whether equal steps or equal ratios count alike."""
    whole: bool = False
    """Whether only integers."""
    unit: str = ""
    """Written after each number: `ms`."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, said: Any) -> Any:
        """The keys of a mapping inside a mapping with keys of a person's own are not known to `problems.explain`."""
        keys = tuple(cls.model_fields)
        unknown = [key for key in said if key not in keys] if isinstance(said, Mapping) else []
        if unknown:
            raise refuse(f"unknown key {unknown[0]!r} of a range", allowed=keys, near=nearest(unknown[0], keys))
        return said

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.low >= self.high:
            raise refuse(f"from {self.low:g} to {self.high:g} is no range", allowed=["low < high"])
        if self.scale == "log" and self.low <= 0:
            raise refuse(f"no logarithm of {self.low:g}", allowed=["low > 0 where scale is log"])
        return self

    def at(self, share: float) -> float:
        """The number at a share of the way from `low` to `high`.

        >>> Range(low=1, high=100, scale="log").at(0.5), Range(low=1, high=4, whole=True).at(0.999)
        (10.0, 4)
        """
        if self.scale == "log":
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high + self.whole - self.low)
        if self.whole:
            return int(min(math.floor(value) if self.scale == "linear" else round(value), self.high))
        return self.rounded(value)

    def rounded(self, value: float) -> float:
        """A number with few digits, so that its name says all of it: of the range, or its own where ratios count."""
        if self.scale == "log":
            short = float(f"{value:.{DIGITS}g}")
        else:
            short = round(value, DIGITS - 1 - math.floor(math.log10(self.high - self.low)))
        return min(max(short, self.low), self.high)

    def written(self, value: float) -> Scalar:
        """A number with its unit, as it is handed to the scenario."""
        return f"{shown(value)}{self.unit}" if self.unit else value


def _values(said: object) -> tuple[Scalar, ...] | Bundles:
    """An axis: values of the key, or bundles of overrides by name."""
    if isinstance(said, Mapping):
        return _bundles(said)
    if not isinstance(said, (list, tuple)) or not said:
        raise refuse(
            f"not an axis: {said!r}", allowed=["[value, value, ...]", "{name: [key=value, ...], name: [], ...}"]
        )
    for value in said:
        if not isinstance(value, (bool, int, float, str)):
            raise refuse(
                f"not a word or number: {value!r}; give it a name of its own", allowed=["{name: [key=value, ...], ...}"]
            )
    return tuple(said)


def _bundles(said: Mapping[Any, Any]) -> Bundles:
    if not said:
        raise refuse("an axis without values", allowed=["{name: [key=value, ...], ...}"])
    for name, overrides in said.items():
        if not isinstance(overrides, (list, tuple)) or not all(isinstance(one, str) for one in overrides):
            raise refuse(f"{name!r} is no list of overrides: {overrides!r}", allowed=["[key=value, ...]"])
    return {str(name): tuple(overrides) for name, overrides in said.items()}


def _drawn(said: object) -> Range | tuple[Scalar, ...] | Bundles:
    """An axis to draw from: a range where bounds are named."""
    if isinstance(said, Mapping) and not {"low", "high"}.isdisjoint(said):
        try:
            return Range.model_validate(said)
        except ValidationError as error:
            raise _same(error.errors()[0]) from error
    return said if isinstance(said, Range) else _values(said)


def _same(detail: ErrorDetails) -> PydanticCustomError:
    """A range's mistake as one of the axis: a person's own keys enclose it, of which `problems.explain` knows none."""
    context = detail.get("ctx", {})
    if detail["type"] == "scenario":
        return refuse(context["message"], allowed=context["allowed"], near=context["nearest"])
    return refuse(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}: {detail['input']!r}")


_plain = PlainSerializer(lambda value: value)
Axis = Annotated[tuple[Scalar, ...] | Bundles, PlainValidator(_values), _plain]
Drawn = Annotated[Range | tuple[Scalar, ...] | Bundles, PlainValidator(_drawn), _plain]


# Names ----------------------------------------------------------------------------------------------------------------


def levels(axis: Range | tuple[Scalar, ...] | Bundles) -> list[Level]:
    """The values of an axis in order; of a range none is listed."""
    if isinstance(axis, Range):
        return []
    return list(axis.items()) if isinstance(axis, Mapping) else list(axis)


def make_point(keys: Iterable[str], row: Sequence[Level]) -> Point:
    """The point that stands at one level of each axis.

    Args:
        keys: Of the axes.
        row: Levels in the same order.

    >>> make_point(["calls.rate", "attack"], [2.0, ("ring", ("trust.model=beta",))]).overrides
    ('calls.rate=2', 'trust.model=beta')
    """
    axes = list(keys)
    short = dict(zip(axes, _short(axes), strict=True))
    words: list[str] = []
    overrides: list[tuple[str, str]] = []
    values: dict[str, Scalar] = {}
    for key, level in zip(axes, row, strict=True):
        value, bundle = level if isinstance(level, tuple) else (level, (f"{key}={shown(level)}",))
        words.append(f"{short[key]}={value if isinstance(level, tuple) else shown(value)}")
        overrides += [(key, override) for override in bundle]
        values[key] = value
    name = _UNSAFE.sub("-", ",".join(words))
    return Point(name, tuple(override for _, override in overrides), tuple(key for key, _ in overrides), values)


def _short(keys: Sequence[str]) -> list[str]:
    """The last words of dotted keys, as many as tell them apart."""
    most = max(key.count(".") for key in keys) + 1
    for words in range(1, most + 1):
        ends = [".".join(key.split(".")[-words:]) for key in keys]
        if len(set(ends)) == len(ends):
            return ends
    return list(keys)


def shown(value: Scalar) -> str:
    """A value as it is written in an override: what YAML reads back as the same value.

    >>> shown(3.0), shown("open"), shown("12"), shown(False)
    ('3', 'open', '"12"', 'false')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(int(value)) if value == value // 1 and abs(value) < _EXACT else repr(value)
    return value if _reads_back(value, value) else json.dumps(value, ensure_ascii=False)


def _reads_back(text: str, value: str) -> bool:
    try:
        return bool(parse(text, file="").value == value)
    except ConfigError:
        return False
