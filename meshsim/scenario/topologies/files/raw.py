"""What a graph file says, before anything is made of it: nodes and edges with their attributes and where they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshsim.mesh.errors import ConfigError

MOST_NODES = 100_000
MOST_EDGES = 1_000_000
"""Of a file; more is refused."""

_LONGEST = 200
_MOST_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands: the line (from 1) and the element, whichever the format can tell."""

    file: str
    line: int | None = None
    element: str | None = None

    def error(
        self, problem: str, *, allowed: tuple[str, ...] = (), near: str | None = None, attribute: str | None = None
    ) -> ConfigError:
        """The error of what stands here, or of one of its attributes."""
        key = short(".".join(part for part in (self.element, attribute) if part)) or None
        allowed = (*allowed[:_MOST_SHOWN], "...") if len(allowed) > _MOST_SHOWN else allowed
        return ConfigError(short(problem), file=self.file, line=self.line, key=key, allowed=allowed, nearest=near)


def short(text: str) -> str:
    """`text`, which may quote anything from a file, as a few lines that any terminal prints."""
    plain = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 40]} ... {plain[-35:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawNode:
    """A node: its id as text, and its attributes as the format gives them."""

    id: str
    said: Mapping[str, object]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEdge:
    """An edge between two ids; `directed` when the edge itself says so."""

    source: str
    target: str
    said: Mapping[str, object]
    place: Place
    directed: bool | None = None


@dataclass(slots=True, kw_only=True)
class Raw:
    """A graph as its file has it.

    Attributes:
        place: The file.
        directed: Whether edges go one way where they do not say it themselves.
        nodes, edges: In the file's order.
        notes: What the reader left out, for people.
    """

    place: Place
    directed: bool = False
    nodes: list[RawNode] = field(default_factory=list)
    edges: list[RawEdge] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_node(self, node: RawNode) -> None:
        """Keeps a node.

        Raises:
            ConfigError: If there are too many.
        """
        if len(self.nodes) >= MOST_NODES:
            raise node.place.error("too many nodes", allowed=(f"<= {MOST_NODES}",))
        self.nodes.append(node)

    def add_edge(self, edge: RawEdge) -> None:
        """Keeps an edge.

        Raises:
            ConfigError: If there are too many.
        """
        if len(self.edges) >= MOST_EDGES:
            raise edge.place.error("too many edges", allowed=(f"<= {MOST_EDGES}",))
        self.edges.append(edge)
