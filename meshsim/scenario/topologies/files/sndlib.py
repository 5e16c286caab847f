"""SNDlib's native XML: nodes, coordinates, links with the capacity of their modules; there and back.

Coordinates are degrees (`geographical`) or a plane's units (`pixel`), read as kilometres. A link's rate is its
pre-installed capacity, or that of its largest module, when `<unit>` says what capacities are. Whether links go one way
is not in this format (SNDlib has it in models): they go both ways unless the person says otherwise. What the format has
no element for is written as `<m:length_metres>` and the like, in a namespace of meshsim.

Source: Orlowski et al., "SNDlib 1.0: Survivable network design library", Networks 55(3), 2010.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meshsim.scenario.topologies.files.elements import Element, leaf, opening, parse
from meshsim.scenario.topologies.files.raw import Place, Raw, RawEdge, RawNode

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "urn:meshsim:topology"

_UNITS = {"BITPERSEC": 1.0, "KBITPERSEC": 1e3, "MBITPERSEC": 1e6, "GBITPERSEC": 1e9}
_AXES = {"geographical": ("longitude", "latitude"), "pixel": ("x", "y")}
_EXTRA = ("length_metres", "delay_seconds", "jitter_seconds", "loss", "rate_bps")


def read(content: bytes, file: str) -> Raw:
    """The network in an SNDlib document.

    Raises:
        ConfigError: With the line, if the document is not well formed or no network.
    """
    root = parse(content, file, "network")
    structure = _needed(root, "networkStructure", file)
    nodes, links = _needed(structure, "nodes", file), _needed(structure, "links", file)
    kind = nodes.attributes.get("coordinatesType", "geographical")
    if kind not in _AXES:
        place = Place(file=file, line=nodes.line, element="nodes.coordinatesType")
        raise place.error(f"{kind!r}", allowed=tuple(_AXES))
    raw = Raw(place=Place(file=file), directed=links.attributes.get("directed") == "true")
    for node in nodes.all("node"):
        raw.add_node(_node(node, _AXES[kind], file))
    unit = _unit(root, raw)
    for link in links.all("link"):
        raw.add_edge(_link(link, unit, file))
    return raw


def _needed(element: Element, tag: str, file: str) -> Element:
    found = element.first(tag)
    if found is None:
        place = Place(file=file, line=element.line)
        raise place.error(f"<{element.tag}> has no <{tag}>", allowed=(f"<{tag}>",))
    return found


def _unit(root: Element, raw: Raw) -> float | None:
    """Bits per second of a unit of capacity, None where nothing says it."""
    meta = root.first("meta")
    said = meta.first("unit") if meta else None
    if said is None:
        raw.notes.append("capacities not used: no <unit> says what they are")
        return None
    name = said.text.strip()
    if name not in _UNITS:
        place = Place(file=raw.place.file, line=said.line, element="unit")
        raise place.error(f"{name!r}", allowed=tuple(_UNITS))
    return _UNITS[name]


def _node(node: Element, axes: tuple[str, str], file: str) -> RawNode:
    identity = node.attributes.get("id", "")
    place = Place(file=file, line=node.line, element=f"node {identity!r}")
    coordinates = node.first("coordinates")
    said: dict[str, object] = {}
    for tag, axis in zip(("x", "y"), axes, strict=True):
        value = coordinates.first(tag) if coordinates else None
        if value is not None:
            said[axis] = value.text
    return RawNode(id=identity, said=said, place=place)


def _link(link: Element, unit: float | None, file: str) -> RawEdge:
    source, target = (_needed(link, end, file).text.strip() for end in ("source", "target"))
    place = Place(file=file, line=link.line, element=f"link {link.attributes.get('id', '')!r}")
    said: dict[str, object] = {child.tag: child.text for child in link.children if child.tag in _EXTRA}
    capacity = _capacity(link, file)
    if unit is not None and capacity:
        said.setdefault("rate_bps", capacity * unit)
    return RawEdge(source=source, target=target, said=said, place=place)


def _capacity(link: Element, file: str) -> float:
    """The pre-installed capacity, or the largest module's; 0 where nothing says it."""
    installed, additional = link.first("preInstalledModule"), link.first("additionalModules")
    first = _number(installed, file) if installed else 0.0
    return first or max((_number(module, file) for module in (additional.children if additional else ())), default=0.0)


def _number(module: Element, file: str) -> float:
    capacity = _needed(module, "capacity", file)
    try:
        value = float(capacity.text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        place = Place(file=file, line=capacity.line, element="capacity")
        raise place.error(f"not a capacity: {capacity.text!r}", allowed=("<number from 0>",))
    return value


def write(raw: Raw) -> str:
    """`raw` as an SNDlib document; names are ids, rates pre-installed capacities."""
    name = {node.id: str(node.said["name"]) for node in raw.nodes}
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines += [opening("network", {"xmlns": "http://sndlib.zib.de/network", "version": "1.0", "xmlns:m": NAMESPACE})]
    lines += ["<meta>", leaf("unit", "BITPERSEC"), "</meta>", "<networkStructure>"]
    lines.append(opening("nodes", {"coordinatesType": "geographical"}))
    for node in raw.nodes:
        x, y = (leaf(tag, str(node.said[axis])) for tag, axis in zip("xy", _AXES["geographical"], strict=True))
        lines += [opening("node", {"id": name[node.id]}), f"<coordinates>{x}{y}</coordinates>", "</node>"]
    lines += ["</nodes>", opening("links", {"directed": "true"} if raw.directed else {})]
    for i, edge in enumerate(raw.edges):
        ends = leaf("source", name[edge.source]) + leaf("target", name[edge.target])
        lines += [opening("link", {"id": f"L{i}"}), ends, *_extra(edge.said), "</link>"]
    return "\n".join([*lines, "</links>", "</networkStructure>", "</network>", ""])


def _extra(said: Mapping[str, object]) -> list[str]:
    own = [leaf(f"m:{tag}", str(said[tag])) for tag in _EXTRA if tag in said and tag != "rate_bps"]
    if "rate_bps" not in said:
        return own
    module = leaf("capacity", str(said["rate_bps"])) + leaf("cost", "0")
    return [f"<preInstalledModule>{module}</preInstalledModule>", *own]
