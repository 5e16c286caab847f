"""From what a file says to a topology: what can be mended is mended and told, the rest is refused with its place.

The rules, in their order:

1. An id that comes twice, or an edge to an id that no node has, is refused. Names that come twice get the id added.
2. Edges from a node to itself are left out. Of parallel edges the shortest stays (the first of those as short), with
   all that it says.
3. What belongs to no part that was asked for is left out (`Part`).
4. Coordinates: degrees, or kilometres on a plane around (0, 0). Places without any stand between their neighbours; if
   no place has any, they are laid out by the lengths of edges, which then must all be known.
5. A length that is not said is the distance between the places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError, MissingExtra, nearest
from meshsim.mesh.topology import MEASURES, Topology, measures
from meshsim.scenario.quantities import LONGEST
from meshsim.scenario.topologies.files import attributes, layout
from meshsim.scenario.topologies.files.raw import short

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.scenario.topologies.files.raw import Raw, RawEdge, RawNode

Part = Literal["all", "linked", "largest"]
"""Which places stay: all, those with an edge, or those of the largest part whose places can all reach each other."""

PARTS: tuple[Part, ...] = get_args(Part)

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A topology, and what was mended to make it: a sentence each."""

    topology: Topology
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to read what a file leaves open.

    Attributes:
        component: Which places stay.
        directed: Whether edges go one way; None leaves it to the file.
        length: Metres of an edge whose length is neither said nor follows from coordinates; None: such are refused.
    """

    component: Part = "linked"
    directed: bool | None = None
    length: float | None = None

    def __post_init__(self) -> None:
        if self.component not in PARTS:
            raise ConfigError(f"{self.component!r}", key="component", allowed=PARTS)
        if self.directed not in (None, True, False):
            raise ConfigError(f"{self.directed!r}", key="directed", allowed=["true", "false"])
        if self.length is not None and not 0.0 < self.length <= LONGEST:
            raise ConfigError(f"{self.length!r}", key="length", allowed=[f"> 0 and <= {LONGEST:g} metres"])


@dataclass(slots=True, kw_only=True)
class _Link:
    """A link on the way: what its edge says, in SI units; `length` None where it does not say it."""

    edge: RawEdge
    length: float | None
    measured: dict[str, float]


_Links = dict[tuple[int, int], _Link]


def assemble(raw: Raw, name: str, options: Options) -> Imported:
    """The topology `name` of what a file says.

    Raises:
        ConfigError: With line or element, if something cannot be used.
    """
    notes = list(raw.notes)
    number = _numbers(raw)
    links = _links(raw, number, options, notes)
    if not links:
        allowed = ("two nodes with an edge, at least",)
        raise raw.place.error("no edge between two nodes", allowed=allowed, attribute="edges")
    kept = _kept(len(raw.nodes), links, options.component, raw, notes)
    nodes = [raw.nodes[i] for i in kept]
    links = _renumbered(links, kept)
    where = _placed(nodes, links, options, raw, notes)
    _note_unused(raw, notes)
    pairs = np.array(sorted(links), dtype=np.int32).reshape(-1, 2)
    ordered = [links[pair] for pair in sorted(links)]
    topology = Topology(
        name=name,
        names=_names(nodes, notes),
        latitude=where.at[:, 0].copy(),
        longitude=where.at[:, 1].copy(),
        src=pairs[:, 0].copy(),
        dst=pairs[:, 1].copy(),
        length=_lengths(ordered, pairs, where, options),
        **measures([link.measured for link in ordered]),
    )
    return Imported(topology=topology, notes=tuple(short(note) for note in notes))


def _numbers(raw: Raw) -> dict[str, int]:
    number: dict[str, int] = {}
    for i, node in enumerate(raw.nodes):
        if node.id in number:
            first = raw.nodes[number[node.id]].place
            where = f"line {first.line}" if first.line else str(first.element)
            raise node.place.error(f"the id {node.id!r} is that of {where}, too")
        number[node.id] = i
    return number


def _links(raw: Raw, number: Mapping[str, int], options: Options, notes: list[str]) -> _Links:
    links: _Links = {}
    loops, parallel = [], 0
    for edge in raw.edges:
        a, b = (_end(edge, end, number) for end in (edge.source, edge.target))
        if a == b:
            loops.append(edge.source)
            continue
        link = _Link(
            edge=edge,
            length=attributes.LENGTH.read(edge.said, edge.place),
            measured={
                name: value
                for name in MEASURES
                if (value := attributes.MEASURED[name].read(edge.said, edge.place)) is not None
            },
        )
        directed = _first(options.directed, edge.directed, raw.directed)
        parallel += (a, b) in links
        for pair in ((a, b),) if directed else ((a, b), (b, a)):
            if pair not in links or _shorter(link, links[pair]):
                links[pair] = link
    if loops:
        notes.append(f"edges from a node to itself left out: {_some(loops)}")
    if parallel:
        notes.append(f"parallel edges, of which the shortest stays: {parallel} left out")
    return links


def _end(edge: RawEdge, end: str, number: Mapping[str, int]) -> int:
    if end not in number:
        near = nearest(end, number) if len(number) <= 10_000 else None  # noqa: PLR2004 - takes long among many
        raise edge.place.error(f"no node has the id {end!r}", near=near)
    return number[end]


def _first(*choices: bool | None) -> bool:
    return next((choice for choice in choices if choice is not None), False)


def _shorter(link: _Link, other: _Link) -> bool:
    return link.length is not None and (other.length is None or link.length < other.length)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{len(names)} ({shown}{', ...' if len(names) > _SHOWN else ''})"


def _kept(places: int, links: _Links, part: Part, raw: Raw, notes: list[str]) -> list[int]:
    """Numbers of the places that stay, ascending."""
    if part == "all":
        return list(range(places))
    linked = {end for pair in links for end in pair}
    kept = linked if part == "linked" else _largest(places, np.array(list(links)))
    alone = [node.id for i, node in enumerate(raw.nodes) if i not in linked]
    apart = [node.id for i, node in enumerate(raw.nodes) if i in linked and i not in kept]
    if alone:
        notes.append(f"nodes without an edge left out: {_some(alone)}")
    if apart:
        notes.append(f"nodes outside the largest part left out: {_some(apart)}")
    return sorted(kept)


def largest_part(topology: Topology) -> list[int]:
    """Places of the largest part of `topology` whose places can all reach each other, ascending."""
    return sorted(_largest(len(topology), np.stack([topology.src, topology.dst], axis=1)))


def _largest(places: int, ends: NDArray[np.int32] | NDArray[np.int64]) -> set[int]:
    try:
        from scipy.sparse import csr_array  # noqa: PLC0415 - an extra; only this asks for it
        from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtra("scipy", "sim") from error
    graph = csr_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(places, places))
    _, part = connected_components(graph, connection="strong")
    return set(np.flatnonzero(part == np.bincount(part).argmax()).tolist())


def _renumbered(links: _Links, kept: Sequence[int]) -> _Links:
    new = {old: i for i, old in enumerate(kept)}
    return {(new[a], new[b]): link for (a, b), link in links.items() if a in new and b in new}


def _names(nodes: Sequence[RawNode], notes: list[str]) -> tuple[str, ...]:
    """The nodes' names, those that come twice with the id added."""
    raw = [attributes.name_of(node.said, node.id, node.place) for node in nodes]
    counts = Counter(raw)
    names = [name if counts[name] == 1 else f"{name} #{node.id}" for name, node in zip(raw, nodes, strict=True)]
    if len(set(names)) < len(names):  # someone is called what another became
        names = [f"{name} #{i}" for i, name in enumerate(raw)]
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        notes.append(f"names that come twice have the id added: {_some(twice)}")
    return tuple(names)


# Coordinates and lengths ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Map:
    """Degrees (N, 2) of all places, and whether they are those of a plane."""

    at: NDArray[np.float64]
    flat: bool


def _placed(nodes: Sequence[RawNode], links: _Links, options: Options, raw: Raw, notes: list[str]) -> _Map:
    said = [_said(node) for node in nodes]
    known = np.array([where is not None for where in said])
    pairs = np.array(sorted({(min(pair), max(pair)) for pair in links}), dtype=np.int64).reshape(-1, 2)
    if not known.any():
        notes.append("no coordinates: places are laid out by the lengths of edges")
        return _Map(_laid_out(pairs, len(nodes), links, options, raw), flat=True)
    at = np.array([(np.nan, np.nan) if where is None else where[:2] for where in said])
    flat = any(where is not None and where[2] for where in said)
    if flat:
        at = _flattened(at, nodes, said, notes)
    if not known.all():
        lost = [node.id for node, found in zip(nodes, known, strict=True) if not found]
        notes.append(f"nodes without coordinates stand between their neighbours: {_some(lost)}")
        at = layout.between_neighbours(at, pairs)
    return _Map(at, flat)


_Said = tuple[float, float, bool]
"""Latitude and longitude in degrees, or y and x in kilometres, and whether it is those."""


def _said(node: RawNode) -> _Said | None:
    """Where a node says that it is."""
    said, place = node.said, node.place
    if said.get("pos") is not None:
        return _position(said["pos"], node)
    latitude, longitude = attributes.LATITUDE.read(said, place), attributes.LONGITUDE.read(said, place)
    if latitude is not None and longitude is not None:
        return latitude, longitude, False
    x, y = attributes.PLANE_X.read(said, place), attributes.PLANE_Y.read(said, place)
    return None if x is None or y is None else (y, x, True)


def _position(value: object, node: RawNode) -> _Said:
    """The `pos` of topohub: longitude and latitude, or kilometres where they could not be degrees."""
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - x and y
        raise node.place.error(f"not a position: {value!r}", allowed=("[longitude, latitude]",), attribute="pos")
    x, y = (attributes.number(part, node.place, "pos") for part in value)
    return y, x, attributes.on_plane(value)


def _flattened(
    at: NDArray[np.float64], nodes: Sequence[RawNode], said: Sequence[_Said | None], notes: list[str]
) -> NDArray[np.float64]:
    for node, where in zip(nodes, said, strict=True):
        if where is not None and not where[2] and "pos" not in node.said:
            raise node.place.error("degrees here, kilometres on a plane at other nodes")
    known = ~np.isnan(at[:, 0])
    at[known] = layout.on_plane(at[known] * 1e3)
    far = np.flatnonzero(known & (np.abs(at) > layout.WIDEST).any(axis=1))
    if len(far):
        widest = f"<= {layout.WIDEST * layout.METRES_PER_DEGREE / 1e3:.0f} km from the middle"
        raise nodes[far[0]].place.error("coordinates out of range of a plane in kilometres", allowed=(widest,))
    notes.append("coordinates are read as kilometres on a plane around (0, 0)")
    return at


def _laid_out(pairs: NDArray[np.int64], places: int, links: _Links, options: Options, raw: Raw) -> NDArray[np.float64]:
    either = [links.get((a, b)) or links[b, a] for a, b in pairs.tolist()]
    length = [_first_number(link.length, options.length) for link in either]
    for link, metres in zip(either, length, strict=True):
        if metres is None:
            ways = ("latitude and longitude of nodes", "a length of every edge", "an assumed length of edges")
            raise link.edge.place.error("neither nodes have coordinates nor this edge a length", allowed=ways)
    if places > layout.MOST_UNPLACED:
        allowed = (f"<= {layout.MOST_UNPLACED}",)
        raise raw.place.error(f"{places} nodes without coordinates", allowed=allowed, attribute="nodes")
    return layout.by_lengths(places, pairs, np.array(length, dtype=np.float64))


def _first_number(*choices: float | None) -> float | None:
    return next((choice for choice in choices if choice is not None), None)


def _lengths(links: Sequence[_Link], pairs: NDArray[np.int32], where: _Map, options: Options) -> NDArray[np.float64]:
    start, end = where.at[pairs[:, 0]], where.at[pairs[:, 1]]
    drawn = layout.plane_distance(start, end) if where.flat else geo.distance(*start.T, *end.T)
    # an assumed length is only for files in which no place is known
    assumed = options.length if where.flat and options.length is not None else None
    said = np.array([np.nan if link.length is None else link.length for link in links], dtype=np.float64)
    return np.where(np.isnan(said), drawn if assumed is None else assumed, said)


def _note_unused(raw: Raw, notes: list[str]) -> None:
    for kind, items in (("nodes", raw.nodes), ("edges", raw.edges)):
        unused = sorted({name for item in items for name in item.said if not attributes.is_known(name)})
        if unused:
            notes.append(f"attributes of {kind} that nothing is made of: {_some(unused)}")
