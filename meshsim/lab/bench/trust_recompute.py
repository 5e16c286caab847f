"""What it costs to score everybody anew: every reputation model, 50,000 nodes, 1 M pairs of rater and node.

Two meshes: in the first everybody rates anybody; in the second a fifth of the nodes are made up, praise each other in
rings and hang on a few bridges, which gives models that look for bridges something to find.
"""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.mesh.seeds import SeedTree
from meshsim.trust import EvidenceColumns, models

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust import ReputationModel

NODES = 50_000
EDGES = 1_000_000
ANCHORS = 0.05
"""Share of nodes that are verified."""

LIMIT = 2.0
"""Seconds that scoring everybody may take."""

_MADE_UP = 0.2
_BRIDGES = 20
_FAILURES = 0.05
_DAY = 86400.0
_ROUNDS = 3


def run_recompute(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Lets every model score both meshes.

    Args:
        quick: A twentieth of the size: whether everything runs.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`; the goal holds the slowest model on either mesh.
    """
    nodes, edges = (NODES // 20, EDGES // 20) if quick else (NODES, EDGES)
    rows = recompute_rows(nodes, edges, progress=progress)
    slowest = max(row["recompute_seconds"] for row in rows)
    return answer("trust", [judge("trust_recompute_seconds", slowest, "<=", LIMIT)], {"recompute": rows})


def recompute_rows(nodes: int = NODES, edges: int = EDGES, *, progress: bool = False) -> list[dict[str, Any]]:
    """A row for each model and mesh: seconds to take the evidence in, and to score everybody (median of three).

    Args:
        nodes: Of the mesh, 200 at least.
        edges: Outcomes told, nearly all of them by different pairs.
        progress: Whether to show a bar where somebody watches.
    """
    meshes = {"random": _anybody(nodes, edges, 0), "attacked": _attacked(nodes, edges)}
    names = list(models)
    rows = []
    with bar("models", shown=progress) as advance:
        for number, name in enumerate(names):
            for mesh, columns in meshes.items():
                rows.append(
                    {"model": name, "mesh": mesh, "nodes": nodes, "edges": edges, **_timed(name, nodes, columns)}
                )
            advance((number + 1) / len(names))
    return rows


def _timed(name: str, nodes: int, columns: EvidenceColumns) -> dict[str, float]:
    model = models[name]()
    for node in range(0, nodes, round(1.0 / ANCHORS)):
        model.anchor(node)
    begun = time.perf_counter()
    model.observe_many(columns)
    ingested = time.perf_counter() - begun
    taken = [_scored(model, nodes, _DAY + later) for later in range(_ROUNDS)]
    return {"ingest_seconds": ingested, "recompute_seconds": median(taken)}


def _scored(model: ReputationModel, nodes: int, now: float) -> float:
    begun = time.perf_counter()
    model.table(nodes, now)
    return time.perf_counter() - begun


def _anybody(nodes: int, edges: int, seed: int) -> EvidenceColumns:
    """Outcomes that random nodes tell of random others, one in twenty bad."""
    draws = SeedTree(seed).stream("trust.recompute")
    rater, node, luck, t = (draws.uniform(k * edges, edges) for k in range(4))
    return _columns((rater * nodes).astype(np.int64), (node * nodes).astype(np.int64), luck >= _FAILURES, t)


def _attacked(nodes: int, edges: int) -> EvidenceColumns:
    """The same among real nodes; the last fifth are made up and known to a few real ones only."""
    real = round(nodes * (1.0 - _MADE_UP))
    fake, rings = nodes - real, round(edges * _MADE_UP)
    honest = _anybody(real, edges - rings - _BRIDGES, 1)
    step = np.arange(rings)
    # Ring k joins each made-up node to the one k + 1 further on; bridges are real nodes, spread out.
    rater, node = real + step % fake, real + (step + 1 + step // fake) % fake
    bridge, entry = np.arange(1, 1 + _BRIDGES), real + np.arange(_BRIDGES) * (fake // _BRIDGES)
    raters, targets = (np.concatenate(part) for part in ((honest.rater, rater, bridge), (honest.node, node, entry)))
    good = np.concatenate([honest.good > 0.0, np.ones(rings + _BRIDGES, dtype=np.bool_)])
    return _columns(raters, targets, good, np.linspace(0.0, 1.0, edges))


def _columns(
    rater: NDArray[np.int64], node: NDArray[np.int64], good: NDArray[np.bool_], t: NDArray[np.float64]
) -> EvidenceColumns:
    """Columns of one-sided outcomes; t as a share of a day."""
    nobody = np.full(len(node), -1, dtype=np.int64)
    return EvidenceColumns(node, rater, nobody, good.astype(np.float64), (~good).astype(np.float64), t * _DAY)
