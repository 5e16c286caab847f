"""Node-link JSON, as networkx, d3 and topohub write it: there and back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from meshsim.mesh.errors import nearest
from meshsim.scenario.topologies.files import attributes
from meshsim.scenario.topologies.files.raw import Place, Raw, RawEdge, RawNode
from meshsim.scenario.topologies.files.stored import decode

_EDGES = ("edges", "links")


def read(content: bytes, file: str) -> Raw:
    """The graph in a node-link JSON file.

    Raises:
        ConfigError: With line or element, if the text is no JSON or not of that form.
    """
    graph = _parse(decode(content, file), file)
    nodes, edges = _list(graph, ("nodes",), file), _list(graph, _EDGES, file)
    directed = graph.get("directed", False)
    if not isinstance(directed, bool):
        raise Place(file=file, element="directed").error(f"{directed!r}", allowed=("true", "false"))
    raw = Raw(place=Place(file=file), directed=directed)
    # without any id, edges count nodes from 0 (d3)
    counted = bool(nodes[1]) and all(isinstance(node, dict) and "id" not in node for node in nodes[1])
    for i, node in enumerate(nodes[1]):
        raw.add_node(_node(node, i, Place(file=file, element=f"{nodes[0]}[{i}]"), counted=counted))
    for i, edge in enumerate(edges[1]):
        raw.add_edge(_edge(edge, Place(file=file, element=f"{edges[0]}[{i}]")))
    _drop_false_lengths(raw)
    return raw


def _drop_false_lengths(raw: Raw) -> None:
    """Topohub's `dist` takes all positions for degrees, those in kilometres on a plane, too."""
    if any(attributes.on_plane(node.said.get("pos")) for node in raw.nodes):
        raw.edges = [
            dataclasses.replace(edge, said={name: value for name, value in edge.said.items() if name != "dist"})
            for edge in raw.edges
        ]


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        graph = json.loads(text)
    except json.JSONDecodeError as error:
        place = Place(file=file, line=error.lineno)
        raise place.error(f"not JSON: {error.msg} (column {error.colno})") from error
    except (RecursionError, ValueError) as error:  # nested without end; whole numbers of thousands of digits
        raise Place(file=file, line=1).error("not JSON: nested too deep, or a number too long") from error
    if not isinstance(graph, dict):
        problem = f"a graph is an object, not {type(graph).__name__}"
        raise Place(file=file, line=1).error(problem, allowed=('{"nodes": [...], "edges": [...]}',))
    return graph


def _list(graph: dict[str, Any], names: tuple[str, ...], file: str) -> tuple[str, list[Any]]:
    for name in names:
        if name in graph:
            if not isinstance(graph[name], list):
                raise Place(file=file, element=name).error(f"not a list: {graph[name]!r}")
            return name, graph[name]
    raise Place(file=file, line=1).error(
        f"the key {names[0]!r} is missing", allowed=names, near=nearest(names[0], graph)
    )


def _object(value: object, place: Place) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise place.error(f"not an object: {value!r}")
    return dict(value)


def _node(value: object, index: int, place: Place, *, counted: bool) -> RawNode:
    said = _object(value, place)
    identity = str(index) if counted else _identity(said, "id", place)
    return RawNode(id=identity, said=said, place=place)


def _edge(value: object, place: Place) -> RawEdge:
    said = _object(value, place)
    source, target = (_identity(said, end, place) for end in ("source", "target"))
    return RawEdge(source=source, target=target, said=said, place=place)


def _identity(said: dict[str, Any], key: str, place: Place) -> str:
    value = said.pop(key, None)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        problem = f"no {key}" if value is None else f"{key} is {value!r}"
        raise place.error(problem, allowed=("text", "a number"), near=nearest(key, said) if value is None else None)
    return str(value)


def write(raw: Raw) -> str:
    """`raw` as node-link JSON, an element a line."""
    nodes = [{"id": node.id, **node.said} for node in raw.nodes]
    edges = [{"source": edge.source, "target": edge.target, **edge.said} for edge in raw.edges]
    head = f'{{"directed": {json.dumps(raw.directed)}, "multigraph": false, "graph": {{}},'
    return f'{head}\n"nodes": [\n{_rows(nodes)}\n],\n"edges": [\n{_rows(edges)}\n]}}\n'


def _rows(rows: list[dict[str, Any]]) -> str:
    return ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
