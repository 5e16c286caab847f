"""Small networks of our own, within the rules of the 2022 challenge for training: to learn small and be judged large.

At most 10 nodes, links in both directions of 10 to 400 kbit/s in steps of 1, buffers of 8,000 to 64,000 bits, flows of
10 to 10,000 bit/s between all ordered pairs, loop-free routes. Sparse graphs make for long ways and shared links;
bandwidths are drawn for a load, from idle to overloaded.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from meshsim.measure.external.gnnet import POLICIES, Flow, Measured, Router, Sample, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Draw = np.random.Generator
    Links = list[tuple[int, int]]

FEWEST, MOST_NODES = 6, 10
BUFFERS = (8000.0, 16000.0, 32000.0, 64000.0)
LEAST_BANDWIDTH, MOST_BANDWIDTH, STEP = 10_000.0, 400_000.0, 1000.0
SMALLEST_PACKET, LARGEST_PACKET = 256, 2000
SLOWEST, FASTEST = 400.0, 10_000.0
"""Bits per second: between these lies the fastest flow of a sample; the slowest has a tenth."""
LEAST_WEIGHT = 5
CLASSES = 3
CAP = 10.0


def draw_sample(draw: np.random.Generator, name: str) -> Sample:
    """A network, its routes and traffic; nothing is measured yet (NaN).

    Args:
        draw: Where all draws come from.
        name: What to call it.
    """
    graph = _graph(draw)
    links: Links = sorted(graph.to_directed().edges)
    routers = tuple(_router(draw) for _ in graph)
    fastest = float(np.exp(draw.uniform(np.log(SLOWEST), np.log(FASTEST))))
    flows = _flows(draw, graph, links, fastest)
    nothing = np.full(len(flows), np.nan)
    unused = np.full((len(links), CLASSES), np.nan)
    return Sample(
        name=name,
        intensity=fastest,
        duration=0.0,
        routers=routers,
        links=tuple(links),
        bandwidth=_bandwidth(draw, links, flows),
        flows=flows,
        measured=Measured(nothing, nothing, nothing, nothing),
        usage=Usage(unused[:, 0], unused[:, 0], unused, unused, unused),
    )


def _graph(draw: Draw) -> nx.Graph[int]:
    """A tree, anything from a chain to a star, and a few more links; weights are drawn, too."""
    nodes = int(draw.integers(FEWEST, MOST_NODES + 1))
    near = int(draw.integers(1, nodes))
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from((node, int(draw.integers(max(0, node - near), node))) for node in range(1, nodes))
    spare = list(nx.non_edges(graph))
    more = min(int(draw.integers(0, 5)), len(spare))
    graph.add_edges_from(spare[k] for k in draw.choice(len(spare), more, replace=False).tolist())
    for _, _, link in graph.edges(data=True):
        link["weight"] = 1.0 + draw.random()
    return graph


def _router(draw: Draw) -> Router:
    policy = POLICIES[int(draw.integers(len(POLICIES)))]
    queues = 1 if policy == "FIFO" else CLASSES
    weighted = policy in ("WFQ", "DRR")
    return Router(
        policy=policy,
        queues=queues,
        buffer_bits=float(draw.choice(BUFFERS)),
        buffer_packets=0,
        weights=_weights(draw) if weighted else (),
        queue_of_tos=tuple(range(CLASSES)) if queues > 1 else (0,) * CLASSES,
    )


def _weights(draw: Draw) -> tuple[float, ...]:
    """Whole percents, each at least 5, the first classes more often the greater."""
    spare = draw.multinomial(100 - CLASSES * LEAST_WEIGHT, draw.dirichlet(np.ones(CLASSES)))
    weights = (spare + LEAST_WEIGHT) / 100.0
    return tuple((np.sort(weights)[::-1] if draw.random() < 0.7 else weights).tolist())  # noqa: PLR2004 - a share


def _flows(draw: Draw, graph: nx.Graph[int], links: Links, fastest: float) -> tuple[Flow, ...]:
    ways = dict(nx.all_pairs_dijkstra_path(graph))
    number = {ends: index for index, ends in enumerate(links)}
    kinds, classes = draw.dirichlet(np.ones(3)), draw.dirichlet(np.full(CLASSES, 2.0))
    pairs = itertools.permutations(sorted(graph), 2)
    routes = ((pair, tuple(number[hop] for hop in itertools.pairwise(ways[pair[0]][pair[1]]))) for pair in pairs)
    return tuple(_flow(draw, pair, route, fastest, kinds, classes) for pair, route in routes)


def _flow(
    draw: Draw,
    pair: tuple[int, int],
    route: tuple[int, ...],
    fastest: float,
    kinds: NDArray[np.float64],
    classes: NDArray[np.float64],
) -> Flow:
    sizes, shares = _sizes(draw)
    gaps = ("poisson", "cbr", "on_off")[int(draw.choice(3, p=kinds))]
    on, off = (5.0, 5.0) if draw.random() < 0.7 else draw.uniform(3.0, 8.0, 2).tolist()  # noqa: PLR2004 - a share
    rate = draw.uniform(0.1, 1.0) * fastest / float(np.dot(sizes, shares))
    return Flow(
        source=pair[0],
        target=pair[1],
        route=route,
        gaps=gaps,  # type: ignore[arg-type]  # one of the three
        rate=rate * (on + off) / on if gaps == "on_off" else rate,
        on=on if gaps == "on_off" else 0.0,
        off=off if gaps == "on_off" else 0.0,
        cap=0.0 if gaps == "cbr" else CAP,
        sizes=tuple(sizes),
        shares=tuple(shares),
        tos=int(draw.choice(CLASSES, p=classes)),
    )


def _sizes(draw: Draw) -> tuple[list[float], list[float]]:
    count = int(draw.integers(2, 6))
    sizes = np.sort(draw.choice(np.arange(SMALLEST_PACKET, LARGEST_PACKET + 1), count, replace=False))
    return sizes.astype(np.float64).tolist(), draw.dirichlet(np.full(count, 2.0)).tolist()


def _bandwidth(draw: Draw, links: Links, flows: Sequence[Flow]) -> NDArray[np.float64]:
    """What gives the busier direction of each link the load drawn for it."""
    asked = np.zeros(len(links))
    for flow in flows:
        asked[list(flow.route)] += flow.packet_rate * flow.mean_bits()
    number = {ends: index for index, ends in enumerate(links)}
    busier = np.array([max(asked[number[a, b]], asked[number[b, a]]) for a, b in links])
    drawn = draw.uniform(0.1, 0.75) * np.exp(draw.normal(0.0, 0.4, len(links)))
    both = np.array([drawn[number[min(ends), max(ends)]] for ends in links])
    fitting = busier / np.clip(both, 0.03, 1.25)
    return np.asarray(np.clip(STEP * np.round(fitting / STEP), LEAST_BANDWIDTH, MOST_BANDWIDTH))
