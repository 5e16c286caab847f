"""Graphs of samples (GML), and the routes over them, as paths or as tables of output ports."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.measure.external.gnnet.lines import Line, file_lines
from meshsim.measure.external.gnnet.values import POLICIES, Router
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Graph(NamedTuple):
    """Routers and links of a sample.

    Attributes:
        routers: By node.
        links: E pairs of source and target.
        bandwidth: Bits per second, (E,).
        link_at: Link by source and target.
        link_by_port: Link by source and number of its port.
    """

    routers: tuple[Router, ...]
    links: tuple[tuple[int, int], ...]
    bandwidth: NDArray[np.float64]
    link_at: dict[tuple[int, int], int]
    link_by_port: dict[tuple[int, int], int]


_Block = dict[str, tuple[Line, str]]


@lru_cache(maxsize=4)
def read_graph(path: Path) -> Graph:
    """The graph of a GML file.

    Raises:
        ConfigError: If it is none that a sample may have.
    """
    lines = file_lines(path)
    nodes, edges = (list(_blocks(lines, kind)) for kind in ("node", "edge"))
    routers = {int(_number(block, "id")): _router(block) for block in nodes}
    if sorted(routers) != list(range(len(nodes))) or not nodes:
        raise ConfigError("nodes are not numbered from 0", file=str(path), key="node.id")
    links = [(int(_number(block, "source")), int(_number(block, "target"))) for block in edges]
    for block, ends in zip(edges, links, strict=True):
        if not 0 <= min(ends) <= max(ends) < len(nodes):
            raise block["source"][0].fail(f"no such node in {ends}", "edge.source")
    return Graph(
        tuple(routers[node] for node in range(len(nodes))),
        tuple(links),
        np.array([_number(block, "bandwidth", 1e-3) for block in edges]),
        {ends: link for link, ends in enumerate(links)},
        {(links[link][0], int(_number(block, "port"))): link for link, block in enumerate(edges)},
    )


def _blocks(lines: Sequence[Line], kind: str) -> Iterator[_Block]:
    """The blocks `kind [ ... ]` of a GML text: each key with its line and value."""
    block: _Block | None = None
    for line in lines:
        text = line.text.strip()
        if text == f"{kind} [":
            block = {}
        elif text == "]" and block is not None:
            yield block
            block = None
        elif block is not None:
            key, _, value = text.partition(" ")
            block[key] = (line, value.strip('"'))


def _number(block: _Block, key: str, low: float = 0.0) -> float:
    line, value = _field(block, key)
    return line.number_of(value, key, low)


def _field(block: _Block, key: str) -> tuple[Line, str]:
    if key not in block:
        line = next(iter(block.values()))[0] if block else Line("graph", 0, "")
        raise line.fail("missing in this block", key)
    return block[key]


def _router(block: _Block) -> Router:
    line, policy = _field(block, "schedulingPolicy")
    if policy not in POLICIES:
        raise ConfigError(f"no policy {policy!r}", file=line.file, line=line.number, allowed=POLICIES)
    queues = int(_number(block, "levelsQoS", 1))
    in_bits = "bufferSizes" in block
    line, sizes = _field(block, "bufferSizes" if in_bits else "queueSizes")
    size = min(line.number_of(text, "buffer", 1) for text in sizes.split(","))
    return Router(
        policy=policy,
        queues=queues,
        buffer_bits=size if in_bits else 0.0,
        buffer_packets=0 if in_bits else int(size),
        weights=_weights(block, queues) if policy in ("WFQ", "DRR") else (),
        queue_of_tos=_queue_of_tos(block, queues),
    )


def _weights(block: _Block, queues: int) -> tuple[float, ...]:
    line, text = _field(block, "schedulingWeights")
    weights = [line.number_of(weight, "schedulingWeights", 1e-9) for weight in text.split(",")]
    if len(weights) != queues:
        raise line.fail(f"{len(weights)} weights for {queues} queues", "schedulingWeights")
    return tuple(weight / sum(weights) for weight in weights)


def _queue_of_tos(block: _Block, queues: int) -> tuple[int, ...]:
    """`0;1,2` puts class 0 in queue 0, classes 1 and 2 in queue 1."""
    if "tosToQoSqueue" not in block:
        return (0,)
    line, text = block["tosToQoSqueue"]
    groups = [re.findall(r"\d+", group) for group in text.split(";")]
    queue_of = {int(tos): queue for queue, group in enumerate(groups) for tos in group}
    if len(groups) > queues or sorted(queue_of) != list(range(len(queue_of))):
        raise line.fail(f"{text!r} does not give each class one of {queues} queues", "tosToQoSqueue")
    return tuple(queue_of[tos] for tos in sorted(queue_of))


RouteOf = Callable[[int, int], tuple[int, ...]]


def read_routing(path: Path, graph: Graph) -> RouteOf:
    """The function that tells the links from a source to a target; none where the file has no path.

    Raises:
        ConfigError: If a line is neither a path over links nor a row of ports.
    """
    lines = [line for line in file_lines(path) if line.text.strip()]
    if lines and ";" in lines[0].text:
        return _listed_paths(lines, graph)
    return _port_tables(lines, graph)


def _listed_paths(lines: Sequence[Line], graph: Graph) -> RouteOf:
    """One path a line, as nodes."""
    routes = {}
    for line in lines:
        nodes = [int(line.number_of(text, "path")) for text in line.text.split(";")]
        hops = list(itertools.pairwise(nodes))
        if len(set(nodes)) != len(nodes) or any(hop not in graph.link_at for hop in hops):
            raise line.fail(f"no loop-free path over links: {line.text}", "path")
        routes[nodes[0], nodes[-1]] = tuple(graph.link_at[hop] for hop in hops)
    return lambda source, target: routes.get((source, target), ())


def _port_tables(lines: Sequence[Line], graph: Graph) -> RouteOf:
    """A table of output ports, current node by destination."""
    nodes = len(graph.routers)
    if len(lines) != nodes:
        raise ConfigError(f"{len(lines)} rows for {nodes} nodes", file=lines[0].file if lines else None, key="routing")
    table = [[int(line.number_of(port, "port", -1)) for port in line.text.strip(" ,").split(",")] for line in lines]

    def route(source: int, target: int) -> tuple[int, ...]:
        node, links = source, list[int]()
        while node != target:
            row = table[node]
            link = graph.link_by_port.get((node, row[target])) if target < len(row) else None
            if link is None or len(links) == nodes:
                raise lines[node].fail(f"leads nowhere from {source} to {target}", f"column {target}")
            links.append(link)
            node = graph.links[link][1]
        return tuple(links)

    return route
