"""Edge CSV: a row an edge, columns named in the first line; a row without a target tells of a place. There and back.

Columns: `source`, `target`, and any attribute; `latitude` and `longitude` are those of the source. Separators: comma,
semicolon or tab; lines that begin with # before the first are comments. A column `directed` says `true` where edges go
one way.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from meshsim.mesh.errors import nearest
from meshsim.scenario.topologies.files.raw import Place, Raw, RawEdge, RawNode
from meshsim.scenario.topologies.files.stored import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SOURCE = ("source", "src", "from", "node1", "u")
_TARGET = ("target", "dst", "to", "node2", "v")
_OF_NODES = ("name", "latitude", "longitude", "lat", "lon", "lng", "x", "y")
_FLAGS = {"true": True, "1": True, "false": False, "0": False, "": None}


def read(content: bytes, file: str) -> Raw:
    """The graph in an edge CSV.

    Raises:
        ConfigError: With the line, if columns or fields do not fit.
    """
    text = decode(content, file)
    rows = _rows(text, _separator(text), file)
    _, header = next(rows)
    columns = _columns(header, file)
    raw, nodes = Raw(place=Place(file=file)), dict[str, int]()
    for line, row in rows:
        place = Place(file=file, line=line)
        if len(row) != len(columns):
            raise place.error(f"{len(row)} fields in a table of {len(columns)} columns")
        _take(dict(zip(columns, row, strict=True)), raw, nodes, place)
    return raw


def _separator(text: str) -> str:
    first = next((line for line in io.StringIO(text) if not _skipped(line)), "")
    return max(",;\t", key=first.count)


def _skipped(line: str) -> bool:
    return not line.strip() or line.startswith("#")


def _lines(text: str) -> Iterator[str]:
    """All lines; those before the header that say nothing, empty."""
    begun = False
    for line in io.StringIO(text):
        begun = begun or not _skipped(line)
        yield line if begun else "\n"


def _rows(text: str, separator: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with their line, empty ones left out."""
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    found = False
    try:
        for row in reader:
            if row:
                found = True
                yield reader.line_num, row
    except csv.Error as error:
        raise Place(file=file, line=reader.line_num).error(f"not CSV: {error}") from error
    if not found:
        raise Place(file=file, line=1).error("nothing but comments", allowed=("source,target,...",))


def _columns(header: Sequence[str], file: str) -> list[str]:
    columns = [name.strip().casefold() for name in header]
    for kind, known in (("source", _SOURCE), ("target", _TARGET)):
        found = [i for i, name in enumerate(columns) if name in known]
        if len(found) != 1:
            problem = f"{len(found)} columns of {kind}s in the first line"
            raise Place(file=file, line=1).error(problem, allowed=known, near=nearest(kind, columns))
        columns[found[0]] = kind
    if len(set(columns)) != len(columns):
        raise Place(file=file, line=1).error("two columns of one name")
    return columns


def _take(said: dict[str, str], raw: Raw, nodes: dict[str, int], place: Place) -> None:
    source, target = said.pop("source").strip(), said.pop("target").strip()
    if not source:
        raise place.error("a row without a source")
    flag = said.pop("directed", "").strip().casefold()
    if flag not in _FLAGS:
        raise place.error(f"not true or false: {flag!r}", allowed=tuple(filter(None, _FLAGS)), attribute="directed")
    known = {name: value for name, value in said.items() if value.strip()}
    _mention(raw, nodes, source, {name: known[name] for name in _OF_NODES if name in known}, place)
    if target:
        _mention(raw, nodes, target, {}, place)
        edge = {name: value for name, value in known.items() if name not in _OF_NODES}
        raw.add_edge(RawEdge(source=source, target=target, said=edge, place=place, directed=_FLAGS[flag]))


def _mention(raw: Raw, nodes: dict[str, int], identity: str, said: dict[str, str], place: Place) -> None:
    """Keeps the node at its first mention; later ones may add what it has not said, and may not differ."""
    if identity not in nodes:
        nodes[identity] = len(raw.nodes)
        here = Place(file=place.file, line=place.line, element=f"node {identity!r}")
        raw.add_node(RawNode(id=identity, said=dict(said), place=here))
        return
    node = raw.nodes[nodes[identity]]
    for name, value in said.items():
        if node.said.get(name, value) != value:
            problem = f"node {identity!r} is at {value!r} here, at {node.said[name]!r} in line {node.place.line}"
            raise place.error(problem, attribute=name)
    raw.nodes[nodes[identity]] = RawNode(id=identity, said={**node.said, **said}, place=node.place)


def write(raw: Raw) -> str:
    """`raw` as an edge CSV: first the places, then the edges."""
    of_nodes = list(dict.fromkeys(name for node in raw.nodes for name in node.said if name != "name"))
    of_edges = list(dict.fromkeys(name for edge in raw.edges for name in edge.said))
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["source", "target", *of_nodes, *of_edges, *(["directed"] if raw.directed else [])])
    flag = ["true"] if raw.directed else []
    for node in raw.nodes:
        table.writerow([node.id, "", *(node.said.get(name, "") for name in of_nodes), *[""] * len(of_edges + flag)])
    for edge in raw.edges:
        said = [edge.said.get(name, "") for name in of_edges]
        table.writerow([edge.source, edge.target, *[""] * len(of_nodes), *said, *flag])
    return out.getvalue()
