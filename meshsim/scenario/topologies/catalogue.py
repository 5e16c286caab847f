"""Topologies by name: those of topohub, of the data folder, of the generators, and those in graph files."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from meshsim.mesh.errors import ConfigError
from meshsim.scenario.quantities import refuse
from meshsim.scenario.topologies import community, files, measured, published
from meshsim.scenario.topologies.generators import GENERATORS, Parameter, draw

if TYPE_CHECKING:
    from meshsim.mesh.topology import Topology


def names() -> tuple[str, ...]:
    """Every topology that `load` knows, sorted: by name (`sndlib/geant`, `measured/wondernetwork`), and generators."""
    return tuple(sorted((*_named(), *GENERATORS)))


@cache
def _named() -> frozenset[str]:
    return published.names() | {*measured.names(), *community.NAMES}


def load(name: str, /, seed: int = 0, **parameters: Parameter) -> Topology:
    """The topology `name`; the same arguments give the same arrays.

    Args:
        name: As `names` lists it, or the path of a graph file (`files.SUFFIXES`).
        seed: Of a generator's draws; others have none.
        parameters: Of a generator, or of a file (`files.Options`); lengths in metres.

    Raises:
        ConfigError: If the name or a parameter is unknown, or a file cannot be used.
    """
    return read(name, seed, **parameters).topology


def read(name: str, /, seed: int = 0, **parameters: Parameter) -> files.Imported:
    """The same, with what was mended or left out to make it.

    Raises:
        ConfigError: If the name or a parameter is unknown, or a file cannot be used.
    """
    if name in GENERATORS:
        return files.Imported(topology=draw(name, seed, parameters), notes=())
    if files.named_like_file(name):
        return files.read(name, files.options(parameters))
    problem, near = _unknown(name)
    if problem:
        raise ConfigError(problem, key="topology", allowed=_families(), nearest=near)
    if parameters:
        raise ConfigError(f"{name} takes no parameters: {', '.join(sorted(parameters))}", key="topology")
    if name in community.NAMES:
        return community.read(name)
    found = measured.load(name) if name in measured.names() else published.load(name)
    return files.Imported(topology=found, notes=())


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
    known = _named()
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
    counts = Counter(name.partition("/")[0] for name in _named())
    generators = (f"{{generator: {name}}}" for name in sorted(GENERATORS))
    stored = (f"{family}/<one of {number}>" for family, number in sorted(counts.items()))
    return (*stored, *generators, f"<file>{'|'.join(files.SUFFIXES)}")
