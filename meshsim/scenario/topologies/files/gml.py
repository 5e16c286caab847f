"""GML: there and back. Strings carry other than ASCII as character references, as the format asks.

networkx reads GML too, but names no line of what it refuses; the tests hold this reader to it on sound files.

Source: Himsolt, "GML: A portable graph file format", University of Passau, 1997.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.scenario.topologies.files.raw import Place, Raw, RawEdge, RawNode
from meshsim.scenario.topologies.files.stored import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN = re.compile(
    r"""(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]?\d+)?(?![\w.])|[+-]?(?:NAN|INF)\b)
      | (?P<key>[A-Za-z][0-9A-Za-z_]*)
      | (?P<text>"[^"]*")
      | (?P<open>\[)
      | (?P<close>\])
      | (?P<skip>\s+|\#[^\n]*)""",
    re.VERBOSE,
)
_DEEPEST = 20


@dataclass(slots=True)
class _List:
    """Keys in order, each with its value and line; a key may come often."""

    line: int
    items: list[tuple[str, object, int]]

    def lists(self, key: str) -> Iterator[_List]:
        return (value for name, value, _ in self.items if name == key and isinstance(value, _List))

    def plain(self) -> dict[str, object]:
        return {name: value for name, value, _ in self.items if not isinstance(value, _List)}


def read(content: bytes, file: str) -> Raw:
    """The graph in a GML file.

    Raises:
        ConfigError: With the line, if the text is no GML or not one graph.
    """
    whole = _parse(decode(content, file), file)
    graphs = list(whole.lists("graph"))
    if len(graphs) != 1:
        raise Place(file=file, line=1).error(f"{len(graphs)} graphs", allowed=("one graph [ ... ]",))
    directed = graphs[0].plain().get("directed", 0)
    if directed not in (0, 1):
        raise Place(file=file, line=graphs[0].line, element="directed").error(f"{directed!r}", allowed=("0", "1"))
    raw = Raw(place=Place(file=file), directed=bool(directed))
    for key, value, line in graphs[0].items:
        if key in ("node", "edge") and not isinstance(value, _List):
            raise Place(file=file, line=line, element=key).error(f"{value!r}", allowed=(f"{key} [ ... ]",))
        if key == "node" and isinstance(value, _List):
            raw.add_node(_node(value, file))
        elif key == "edge" and isinstance(value, _List):
            raw.add_edge(_edge(value, file))
    return raw


def _parse(text: str, file: str) -> _List:
    stack, key, line = [_List(1, [])], None, 1
    for kind, token, line in _tokens(text, file):
        place = Place(file=file, line=line)
        if (kind == "key") == (key is not None) and kind != "close":
            raise place.error(f"unexpected {_shown(token)}", allowed=("a key",) if key is None else ("a value",))
        if kind == "key":
            key = token
        elif kind == "close":
            if key is not None or len(stack) == 1:
                raise place.error("unexpected ]")
            stack.pop()
        else:
            value = _List(line, []) if kind == "open" else _value(kind, token)
            stack[-1].items.append((str(key), value, line))
            key = None
            if isinstance(value, _List):
                stack.append(value)
        if len(stack) > _DEEPEST:
            raise place.error("nested too deep")
    if key is not None or len(stack) > 1:
        raise Place(file=file, line=line).error(f"the file ends inside the list of line {stack[-1].line}")
    return stack[0]


def _tokens(text: str, file: str) -> Iterator[tuple[str, str, int]]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Place(file=file, line=line).error(f"not GML: {_shown(text[at : at + 20])}")
        if match.lastgroup != "skip":
            yield str(match.lastgroup), match.group(), line
        line += match.group().count("\n")
        at = match.end()


def _value(kind: str, token: str) -> object:
    if kind == "text":
        return html.unescape(token[1:-1])
    # Python reads whole numbers of at most 4,300 digits
    return int(token) if re.fullmatch(r"[+-]?\d{1,300}", token) else float(token)


def _shown(text: str) -> str:
    return repr(text.splitlines()[0] if text.strip() else text)


def _node(node: _List, file: str) -> RawNode:
    said = node.plain()
    identity = _identity(node, said, "id", "node", file)
    return RawNode(id=identity, said=said, place=Place(file=file, line=node.line, element=f"node {identity}"))


def _edge(edge: _List, file: str) -> RawEdge:
    said = edge.plain()
    source, target = (_identity(edge, said, end, "edge", file) for end in ("source", "target"))
    place = Place(file=file, line=edge.line, element=f"edge {source} - {target}")
    return RawEdge(source=source, target=target, said=said, place=place)


def _identity(item: _List, said: dict[str, object], key: str, kind: str, file: str) -> str:
    value = said.pop(key, None)
    if not isinstance(value, int | str):
        problem = f"no {key}" if value is None else f"{key} is {value!r}"
        raise Place(file=file, line=item.line, element=kind).error(problem, allowed=(f"{key} <whole number>",))
    return str(value)


def write(raw: Raw) -> str:
    """`raw` as GML text; ids are numbers, names are labels."""
    number = {node.id: i for i, node in enumerate(raw.nodes)}
    lines = ["graph [", f"  directed {int(raw.directed)}"]
    for node in raw.nodes:
        lines += ["  node [", f"    id {number[node.id]}", *_items(node.said), "  ]"]
    for edge in raw.edges:
        ends = [f"    source {number[edge.source]}", f"    target {number[edge.target]}"]
        lines += ["  edge [", *ends, *_items(edge.said), "  ]"]
    return "\n".join([*lines, "]", ""])


def _items(said: Mapping[str, object]) -> list[str]:
    return [f"    {'label' if name == 'name' else name} {_quoted(value)}" for name, value in said.items()]


def _quoted(value: object) -> str:
    if not isinstance(value, str):
        return repr(value)
    inner = value.replace("&", "&amp;").replace('"', "&quot;")
    return '"' + inner.encode("ascii", "xmlcharrefreplace").decode("ascii") + '"'
