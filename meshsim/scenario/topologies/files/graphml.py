"""GraphML: there and back.

networkx reads GraphML too, but names no line of what it refuses; the tests hold this reader to it on sound files.

Source: Brandes et al., "GraphML progress report", Graph Drawing 2001; the schema at graphml.graphdrawing.org.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.mesh.errors import nearest
from meshsim.scenario.topologies.files.elements import Element, leaf, opening, parse
from meshsim.scenario.topologies.files.raw import Place, Raw, RawEdge, RawNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DIRECTIONS = {"directed": True, "undirected": False}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class _Key:
    name: str
    used_for: str
    default: str | None


def read(content: bytes, file: str) -> Raw:
    """The graph in a GraphML document.

    Raises:
        ConfigError: With the line, if the document is not well formed, or no plain graph.
    """
    root = parse(content, file, "graphml")
    keys = dict(_keys(root, file))
    graphs = list(root.all("graph"))
    if len(graphs) != 1:
        raise Place(file=file, line=root.line).error(f"{len(graphs)} graphs", allowed=("one <graph>",))
    return _graph(graphs[0], keys, file)


def _keys(root: Element, file: str) -> Iterator[tuple[str, _Key]]:
    for key in root.all("key"):
        identity = _needed(key, "id", file)
        default = key.first("default")
        name = key.attributes.get("attr.name", identity)
        yield identity, _Key(name, key.attributes.get("for", "all"), default.text if default else None)


def _graph(graph: Element, keys: Mapping[str, _Key], file: str) -> Raw:
    direction = graph.attributes.get("edgedefault", "undirected")
    if direction not in _DIRECTIONS:
        place = Place(file=file, line=graph.line, element="graph")
        raise place.error(f"edgedefault={direction!r}", allowed=tuple(_DIRECTIONS))
    raw = Raw(place=Place(file=file), directed=_DIRECTIONS[direction])
    for child in graph.children:
        if child.tag == "node":
            raw.add_node(_node(child, keys, file))
        elif child.tag == "edge":
            raw.add_edge(_edge(child, keys, file))
        elif child.tag == "hyperedge":
            raise Place(file=file, line=child.line).error("hyperedges join more than two nodes", allowed=("<edge>",))
    return raw


def _node(node: Element, keys: Mapping[str, _Key], file: str) -> RawNode:
    identity = _needed(node, "id", file)
    place = Place(file=file, line=node.line, element=f"node {identity!r}")
    if node.first("graph"):
        raise place.error("a graph inside a node")
    return RawNode(id=identity, said=_said(node, "node", keys, place), place=place)


def _edge(edge: Element, keys: Mapping[str, _Key], file: str) -> RawEdge:
    source, target = (_needed(edge, end, file) for end in ("source", "target"))
    place = Place(file=file, line=edge.line, element=f"edge {source!r} - {target!r}")
    flag = edge.attributes.get("directed")
    if flag is not None and flag not in _FLAGS:
        raise place.error(f"not true or false: {flag!r}", allowed=tuple(_FLAGS), attribute="directed")
    directed = None if flag is None else _FLAGS[flag]
    return RawEdge(source=source, target=target, said=_said(edge, "edge", keys, place), place=place, directed=directed)


def _needed(element: Element, name: str, file: str) -> str:
    if name not in element.attributes:
        near = nearest(name, element.attributes)
        raise Place(file=file, line=element.line).error(f"<{element.tag}> has no {name}", near=near)
    return element.attributes[name]


def _said(element: Element, kind: str, keys: Mapping[str, _Key], place: Place) -> dict[str, object]:
    said: dict[str, object] = {
        key.name: key.default for key in keys.values() if key.default is not None and key.used_for in (kind, "all")
    }
    for data in element.all("data"):
        identity = _needed(data, "key", place.file)
        if identity not in keys:
            here = Place(file=place.file, line=data.line, element=place.element)
            raise here.error(f"no key {identity!r}", allowed=tuple(sorted(keys)), near=nearest(identity, keys))
        said[keys[identity].name] = data.text
    return said


def write(raw: Raw) -> str:
    """`raw` as a GraphML document."""
    kinds = [*dict.fromkeys(("node", name, _kind(value)) for node in raw.nodes for name, value in node.said.items())]
    kinds += dict.fromkeys(("edge", name, _kind(value)) for edge in raw.edges for name, value in edge.said.items())
    keys = {(kind, name): f"{kind}-{name}" for kind, name, _ in kinds}
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    lines += [
        opening("key", {"id": keys[kind, name], "for": kind, "attr.name": name, "attr.type": type_}, empty=True)
        for kind, name, type_ in kinds
    ]
    lines.append(opening("graph", {"edgedefault": "directed" if raw.directed else "undirected"}))
    for node in raw.nodes:
        lines += [opening("node", {"id": node.id}), *_data("node", node.said, keys), "</node>"]
    for edge in raw.edges:
        ends = {"source": edge.source, "target": edge.target}
        lines += [opening("edge", ends), *_data("edge", edge.said, keys), "</edge>"]
    return "\n".join([*lines, "</graph>", "</graphml>", ""])


def _kind(value: object) -> str:
    return "string" if isinstance(value, str) else "double"


def _data(kind: str, said: Mapping[str, object], keys: Mapping[tuple[str, str], str]) -> list[str]:
    return [leaf("data", str(value), {"key": keys[kind, name]}) for name, value in said.items()]
