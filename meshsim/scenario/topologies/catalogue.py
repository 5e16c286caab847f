"""Topologies by name: those of topohub and those of the generators."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from meshsim.mesh.errors import ConfigError
from meshsim.scenario.quantities import refuse
from meshsim.scenario.topologies import published
from meshsim.scenario.topologies.generators import GENERATORS, Parameter

if TYPE_CHECKING:
    from meshsim.mesh.topology import Topology


def names() -> tuple[str, ...]:
    """Every topology that `load` knows, sorted: published ones (`sndlib/geant`) and generators (`waxman`)."""
    return tuple(sorted((*published.names(), *GENERATORS)))


def load(name: str, /, seed: int = 0, **parameters: Parameter) -> Topology:
    """The topology `name`; the same arguments give the same arrays.

    Args:
        name: As `names` lists it.
        seed: Of a generator's draws; published topologies have none.
        parameters: Of a generator; lengths in metres.

    Raises:
        ConfigError: If the name or a parameter is unknown.
    """
    if name in GENERATORS:
        return GENERATORS[name](seed, parameters)
    problem, near = _unknown(name)
    if problem:
        raise ConfigError(problem, key="topology", allowed=_families(), nearest=near)
    if parameters:
        raise ConfigError(f"{name} takes no parameters: {', '.join(sorted(parameters))}", key="topology")
    return published.load(name)


def check_name(name: str) -> str:
    """`name` itself, when a scenario may name it as a published topology.

    Raises:
        PydanticCustomError: If it may not; for use as a validator.
    """
    problem, near = _unknown(name)
    if problem:
        raise refuse(problem, allowed=_families(), near=near)
    return name


def _unknown(name: str) -> tuple[str, str | None]:
    known = published.names()
    if name in known:
        return "", None
    if name in GENERATORS:
        return f"{name!r} is a generator", f"{{generator: {name}}}"
    return f"unknown topology {name!r}", _nearest(name, known)


def _nearest(name: str, known: frozenset[str]) -> str | None:
    folded = {generator: f"{{generator: {generator}}}" for generator in GENERATORS}
    folded.update({full.casefold(): full for full in sorted(known)})
    folded.update({full.partition("/")[2].casefold(): full for full in sorted(known, reverse=True)})
    # What was written may be the beginning of a name; the shortest such is meant.
    begun = sorted((full for full in folded if full.startswith(name.casefold())), key=len) if name else []
    close = begun or get_close_matches(name.casefold(), sorted(folded), n=1, cutoff=0.5)
    return folded[close[0]] if close else None


@cache
def _families() -> tuple[str, ...]:
    counts = Counter(name.partition("/")[0] for name in published.names())
    generators = (f"{{generator: {name}}}" for name in sorted(GENERATORS))
    return (*(f"{family}/<one of {number}>" for family, number in sorted(counts.items())), *generators)
