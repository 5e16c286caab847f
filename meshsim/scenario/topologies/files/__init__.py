"""Graph files: GraphML, GML, node-link JSON, edge CSV and SNDlib's XML into topologies and back, packed or plain.

One file knows each format (`graphml`, `gml`, `nodelink`, `table`, `sndlib`) and makes a `raw.Raw` of it; `assemble`
makes a topology of that, mending what can be mended and saying so. A topology from a file is named `file/<stem>`, which
no list of `allowed` names: it is for evaluation alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario.topologies.files import attributes, gml, graphml, nodelink, sndlib, table
from meshsim.scenario.topologies.files.assemble import Imported, Options, Part, assemble, largest_part
from meshsim.scenario.topologies.files.raw import Place, Raw, RawEdge, RawNode
from meshsim.scenario.topologies.files.stored import read_bytes, write_bytes

if TYPE_CHECKING:
    from meshsim.mesh.topology import Topology

__all__ = [
    "SUFFIXES",
    "Imported",
    "Options",
    "Part",
    "largest_part",
    "named_like_file",
    "options",
    "read",
    "read_raw",
    "write",
]


@dataclasses.dataclass(frozen=True, slots=True)
class _Format:
    read: Callable[[bytes, str], Raw]
    write: Callable[[Raw], str]


_FORMATS = {
    ".graphml": _Format(graphml.read, graphml.write),
    ".gml": _Format(gml.read, gml.write),
    ".json": _Format(nodelink.read, nodelink.write),
    ".csv": _Format(table.read, table.write),
    ".xml": _Format(sndlib.read, sndlib.write),
}

SUFFIXES = tuple(_FORMATS)
"""What names of graph files end in, before an optional `.gz`."""


def named_like_file(name: str) -> bool:
    """Whether `name` ends as a graph file does.

    >>> named_like_file("maps/town.graphml.gz"), named_like_file("sndlib/geant")
    (True, False)
    """
    return name.removesuffix(".gz").endswith(SUFFIXES)


def read(path: str | Path, options: Options | None = None) -> Imported:
    """The topology in a graph file, and what was mended.

    Args:
        path: Its ending says the format: `.graphml`, `.gml`, `.json` (node-link), `.csv` (edges), `.xml` (SNDlib), each
            with `.gz` when packed.
        options: What to make of what the file leaves open.

    Raises:
        ConfigError: With the file and the line or element, if it cannot be read or used.
    """
    return assemble(read_raw(path), f"file/{_stem(Path(path))}", options or Options())


def options(parameters: Mapping[str, object]) -> Options:
    """The options that `parameters` name.

    Raises:
        ConfigError: If one is unknown, or cannot have its value.
    """
    known = [field.name for field in dataclasses.fields(Options)]
    for name in parameters:
        if name not in known:
            raise ConfigError(f"files have no option {name!r}", allowed=known, nearest=nearest(name, known))
    return Options(**dict(parameters))  # type: ignore[arg-type]  # it checks them itself


def read_raw(path: str | Path) -> Raw:
    """What a graph file says, unmended, with every attribute.

    Raises:
        ConfigError: With the file and the line or element, if it cannot be read.
    """
    form = _format(Path(path))
    return form.read(read_bytes(Path(path)), str(path))


def write(topology: Topology, path: str | Path) -> None:
    """Writes `topology` in the format that the ending of `path` says; `read` with `component="all"` gives it back.

    Raises:
        ConfigError: If the ending is unknown, a place has a name that no file can keep, or `path` cannot be written.
    """
    form = _format(Path(path))
    write_bytes(Path(path), form.write(_taken_apart(topology, str(path))).encode("utf-8"))


def _format(path: Path) -> _Format:
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in _FORMATS:
        problem = (
            f"not a graph file: its name ends in {suffix!r}" if suffix else "not a graph file: its name has no ending"
        )
        allowed = [*SUFFIXES, *(f"{known}.gz" for known in SUFFIXES)]
        raise ConfigError(problem, file=str(path), allowed=allowed, nearest=nearest(suffix, SUFFIXES))
    return _FORMATS[suffix]


def _stem(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem


def _taken_apart(topology: Topology, file: str) -> Raw:
    """What a file is to say of `topology`: each edge once, if every link has its equal in the other direction."""
    place = Place(file=file)
    for name in topology.names:
        problem = attributes.unwritable(name)
        if problem:
            raise place.error(f"{problem}: {name!r}")
    raw = Raw(place=place, directed=not _symmetric(topology))
    for i, name in enumerate(topology.names):
        at = {"latitude": float(topology.latitude[i]), "longitude": float(topology.longitude[i])}
        raw.add_node(RawNode(id=name, said={"name": name, **at}, place=place))
    for i, (a, b) in enumerate(zip(topology.src.tolist(), topology.dst.tolist(), strict=True)):
        if raw.directed or a < b:
            said = {attributes.WRITTEN[measure]: value for measure, value in topology.measures(i).items()}
            said = {"length_metres": float(topology.length[i]), **said}
            raw.add_edge(RawEdge(source=topology.names[a], target=topology.names[b], said=said, place=place))
    return raw


def _symmetric(topology: Topology) -> bool:
    back = np.lexsort((topology.src, topology.dst))
    if not (np.array_equal(topology.src, topology.dst[back]) and np.array_equal(topology.dst, topology.src[back])):
        return False
    return all(
        topology.link(i).length == topology.link(j).length and topology.measures(i) == topology.measures(j)
        for i, j in enumerate(back.tolist())
    )
