"""A scenario whose links are as real nodes measured them: what a trace of pings says, as an underlay of its own.

Each pair of nodes that measured each other becomes an edge with its mean delay, jitter and loss; for the others (two
homes that never linked) the same measures are estimated from what each node adds to every link, and from distance. The
result is an ordinary scenario on a graph file, complete, so that each overlay link follows its own edge.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from meshsim.measure.trace import Trace
from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.time import NANOSECONDS
from meshsim.mesh.topology import Topology
from meshsim.mesh.view import Nat, Role
from meshsim.scenario import canonical, change, compile_plan
from meshsim.scenario.topologies import files
from meshsim.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from meshsim.scenario import Scenario
    from meshsim.scenario.plan import Plan

FEWEST = 8
"""Samples of a link from which its jitter is told."""
WORTH = (0.0, 200.0, 2000.0)
"""Pings that what a link's ends let expect is worth, of delay, jitter and loss: a link's own word counts as its pings.

A mean is known after a few; the spread takes a hundred, and a loss of one in a thousand hardly shows.
"""
SILENCE, RECOVERY = 3.0, 30.0
"""Seconds without a sample after which a node had vanished, and for which that still counts as loss with others."""
MEAN_STEP = 0.75
"""Mean step between halves of two round trips that stray exponentially both ways, over the mean of one direction."""
PASSES = 2
"""Times that what the world adds of its own to a link is taken off its edge."""
GRAPH = ".links.json"
"""What the name of the graph file ends in, beside the scenario's."""

Pair = tuple[int, int]
"""Rows of two nodes, the lower first: a ping tells both directions in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLink:
    """What the two ends of a link measured with pings; one-way.

    Attributes:
        samples: Pings, of both ends together.
        delay: Mean, seconds.
        jitter: Mean of what each ping strays one way, seconds, taken to be exponential; NaN of too few.
        loss: Probability; NaN where it was never measured undisturbed.
    """

    samples: int
    delay: float
    jitter: float
    loss: float


def measured(
    folders: Sequence[Path], plan: Plan, *, since: float = 0.0, until: float = math.inf
) -> dict[Pair, MeasuredLink]:
    """What nodes measured of their links.

    Args:
        folders: Traces of nodes.
        plan: Whose nodes they are: by their keys, or else by the AuraID of the node that wrote a trace.
        since: Seconds of a trace from which samples count.
        until: Seconds of a trace up to which they do.

    Raises:
        ConfigError: If a folder holds no node's trace, or no node of the plan.
        TraceError: If it holds no trace.
    """
    rows = {node: row for row, node in enumerate(_ids(plan))}
    found: dict[Pair, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for folder in folders:
        trace = Trace(folder)
        if trace.header.get("source") != "node":
            raise ConfigError(f"{folder} is no node's trace", key="TRACE", allowed=["a folder that a node wrote"])
        index = _rows_of(trace, plan, rows)
        samples = trace.columns("link_samples")
        at = samples["time_ns"] / NANOSECONDS
        for peer in np.unique(samples["dst"]).tolist():
            ours = (samples["dst"] == peer) & (at >= since) & (at < until) & (samples["delay_seconds"] > 0.0)
            if peer in index and 0 in index and ours.any():
                pair = min(index[0], index[peer]), max(index[0], index[peer])
                lost = samples["loss"][ours][_settled(at[ours])]
                found.setdefault(pair, []).append((samples["delay_seconds"][ours], lost))
    if not found:
        raise ConfigError("no link between nodes of this scenario was measured", key="TRACE")
    return {pair: _link(ends) for pair, ends in sorted(found.items())}


def _ids(plan: Plan) -> tuple[bytes, ...]:
    from meshsim.sim.simulation import node_ids  # noqa: PLC0415 - it brings the whole simulator

    return tuple(bytes(node) for node in node_ids(plan))


def _rows_of(trace: Trace, plan: Plan, rows: Mapping[bytes, int]) -> dict[int, int]:
    """Rows of the plan by rows of a trace: by key, and the writer by its AuraID where the key is not the plan's."""
    nodes = trace.columns("nodes")
    known = zip(nodes["node"].tolist(), nodes["node_id"], strict=True)
    index = {int(row): rows[bytes(node)] for row, node in known if bytes(node) in rows}
    aura = str(trace.header.get("aura", ""))
    if 0 not in index and plan.nodes.auras.count(aura) == 1:
        index[0] = plan.nodes.auras.index(aura)
    return index


def _settled(at: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which samples, by their times in seconds, are not of a neighbour that has just come back."""
    back = at[1:][np.diff(at) > SILENCE]
    return np.asarray(~((at[:, None] >= back) & (at[:, None] < back + RECOVERY)).any(axis=1))


def _link(ends: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> MeasuredLink:
    """One-way measures of a link from halves of round trips: a round trip strays by both directions."""
    delays = [delay for delay, _ in ends]
    count = sum(map(len, delays))
    steps = np.concatenate([np.diff(delay) for delay in delays])
    # from one sample to the next, so that slow drift is not taken for jitter
    jitter = float(np.abs(steps).mean()) / MEAN_STEP if count >= FEWEST and len(steps) else math.nan
    lost = np.concatenate([lost for _, lost in ends])
    loss = float(lost.mean()) if len(lost) else math.nan
    return MeasuredLink(samples=count, delay=float(np.concatenate(delays).mean()), jitter=jitter, loss=loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A fitted scenario.

    Attributes:
        scenario: On a graph file.
        graph: That file.
        links: What it was fitted to, by rows of the plan.
    """

    scenario: Scenario
    graph: Path
    links: dict[Pair, MeasuredLink]


def calibrate(scenario: Scenario, plan: Plan, links: Mapping[Pair, MeasuredLink], target: Path) -> Calibrated:
    """Writes a scenario whose links are as measured, and the graph file it stands on.

    Args:
        scenario: What it is made of; all but the network below, and where nodes are on it, stays.
        plan: Compiled from it: its nodes are named one by one.
        links: What was measured.
        target: Where the scenario is written, as JSON, which is YAML; the graph goes beside it.

    Raises:
        ConfigError: If a file cannot be written.
    """
    graph = target.with_name(target.stem + GRAPH)
    wanted = _estimates(plan, links)
    edges = dict(wanted)
    for _ in range(1 + PASSES):
        files.write(_topology(plan, edges), graph)
        fitted = _on_graph(scenario, plan, graph)
        edges = _corrected(edges, wanted, compile_plan(fitted, plan.seed))
    target.write_text(canonical(fitted) + "\n", encoding="utf-8")
    return Calibrated(scenario=fitted, graph=graph, links=dict(links))


Measures = NDArray[np.float64]
"""Delay (seconds), variance (seconds squared) and -log(1 - loss) of a link: all three add up along a path."""


def _estimates(plan: Plan, links: Mapping[Pair, MeasuredLink]) -> dict[Pair, Measures]:
    """Measures of every pair: as measured, and as what both ends (and, of delay, distance) let expect."""
    n, pairs = len(plan.nodes), list(links)
    every = [(a, b) for a in range(n) for b in range(a + 1, n)]
    light = geo.light_delay(_metres(plan, every))
    direct = np.zeros((len(every), n))
    for k, (a, b) in enumerate(every):
        direct[k, [a, b]] = 1.0
    at = [every.index(pair) for pair in pairs]
    told = np.array([[one.delay, one.jitter**2, -math.log1p(-min(one.loss, 0.99))] for one in links.values()])
    guessed = np.zeros((len(every), 3))
    for measure in range(3):
        known = np.isfinite(told[:, measure])
        design = np.column_stack([direct, light]) if measure == 0 else direct
        if known.any():
            # relative errors count, or the worst links would decide
            scale = 1.0 / np.maximum(told[known, measure], told[known, measure].mean() / 2.0 + 1e-12)
            weights, _ = nnls(design[np.array(at)[known]] * scale[:, None], told[known, measure] * scale)
            guessed[:, measure] = design @ weights
    for k, (row, one) in enumerate(zip(at, links.values(), strict=True)):
        own = one.samples / (one.samples + np.array(WORTH))
        guessed[row] = np.where(np.isfinite(told[k]), own * told[k] + (1.0 - own) * guessed[row], guessed[row])
    return dict(zip(every, guessed, strict=True))


def _metres(plan: Plan, pairs: Sequence[Pair]) -> NDArray[np.float64]:
    a, b = (np.array(ends) for ends in zip(*pairs, strict=True))
    nodes = plan.nodes
    return geo.distance(nodes.latitude[a], nodes.longitude[a], nodes.latitude[b], nodes.longitude[b])


def _topology(plan: Plan, edges: Mapping[Pair, Measures]) -> Topology:
    """A complete graph: a place for each node, an edge each way for each pair."""
    pairs = [(a, b) for a in range(len(plan.nodes)) for b in range(len(plan.nodes)) if a != b]
    measures = np.array([edges[min(pair), max(pair)] for pair in pairs])
    src, dst = (np.array(ends, dtype=np.int32) for ends in zip(*pairs, strict=True))
    return Topology(
        name="measured",
        names=plan.nodes.names,
        latitude=plan.nodes.latitude,
        longitude=plan.nodes.longitude,
        src=src,
        dst=dst,
        length=np.maximum(_metres(plan, pairs), 1.0),
        delay=np.maximum(measures[:, 0], 1e-6),
        jitter=np.sqrt(np.maximum(measures[:, 1], 0.0)),
        loss=-np.expm1(-np.maximum(measures[:, 2], 0.0)),
    )


def _on_graph(scenario: Scenario, plan: Plan, graph: Path) -> Scenario:
    """The scenario on the graph, each node at its own place, without a last mile besides."""
    nodes = plan.nodes
    named: list[dict[str, Any]] = [
        {
            "name": name,
            "aura": nodes.auras[i],
            "role": Role(int(nodes.role[i])).name.lower(),
            "at": name,
            "nat": Nat(int(nodes.nat[i])).name.lower(),
            "aic": bool(nodes.aic[i]),
            "domain": nodes.domains[i],
            "access": {
                "up": float(nodes.access_up[i]),
                "down": float(nodes.access_down[i]),
                **dict.fromkeys(("delay", "jitter", "loss", "spread"), 0.0),
            },
            "max_calls": int(nodes.max_calls[i]),
            "behaviour": nodes.behaviour[i],
            "strength": float(nodes.strength[i]),
        }
        for i, name in enumerate(nodes.names)
    ]
    counts = {role.name.lower(): int((nodes.role == role).sum()) for role in Role if role is not Role.PEER}
    said = {
        "underlay.topology": {"file": str(graph.resolve())},
        "underlay.utilisation_mean": 0.0,
        "underlay.utilisation_spread": 0.0,
        "underlay.loss": 0.0,
        "underlay.drift.volatility": 0.0,
        "nodes.roles": counts,
        "nodes.named": named,
        "nodes.scatter": 0.0,
    }
    return change(scenario, [f"{key}={json.dumps(value)}" for key, value in said.items()])


def _corrected(edges: Mapping[Pair, Measures], wanted: Mapping[Pair, Measures], plan: Plan) -> dict[Pair, Measures]:
    """Edges without what the world adds to their links: waits at the last mile, what nodes need to pass on."""
    pairs = list(edges)
    src, dst = (np.array(ends) for ends in zip(*pairs, strict=True))
    found = np.zeros((len(pairs), 3))
    for one, other in ((src, dst), (dst, src)):
        truth = World(plan).link_truth(one, other)
        found += 0.5 * np.column_stack([truth.delay, truth.jitter**2, -np.log1p(-truth.loss)])
    return {pair: np.maximum(edges[pair] + wanted[pair] - now, 0.0) for pair, now in zip(pairs, found, strict=True)}


def link_errors(plan: Plan, links: Mapping[Pair, MeasuredLink]) -> dict[str, float]:
    """How far a scenario's links are from measured ones: mean absolute error, of delay and jitter over their mean.

    Args:
        plan: Of the scenario that is judged; its nodes in the order of `links`.
        links: What was measured.
    """
    pairs = list(links)
    src, dst = (np.array(ends) for ends in zip(*pairs, strict=True))
    world = World(plan)
    there, back = world.link_truth(src, dst), world.link_truth(dst, src)
    errors = {}
    for name in ("delay", "jitter", "loss"):
        told = np.array([getattr(links[pair], name) for pair in pairs])
        said = (getattr(there, name) + getattr(back, name)) / 2.0
        known = np.isfinite(told)
        mean = 1.0 if name == "loss" else float(told[known].mean())
        errors[name] = float(np.abs(said - told)[known].mean()) / mean if known.any() and mean > 0.0 else math.nan
    return errors
