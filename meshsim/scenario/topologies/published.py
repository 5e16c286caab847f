"""Published topologies, read from the data of the `topohub` package.

Graphs whose places have no coordinates on the Earth (gabriel, some of sndlib) lie on a plane of kilometres near (0, 0)
degrees.

Source: Jurkiewicz, "TopoHub: A repository of reference Gabriel graph and real-world topologies", SoftwareX 24, 2023.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.errors import MissingExtra
from meshsim.mesh.topology import Topology

_METRES_PER_DEGREE = geo.EARTH_RADIUS * np.pi / 180
_KILOMETRE = 1e3


@cache
def _folder() -> Path:
    # Found without importing topohub, whose data are plain files beside it.
    spec = find_spec("topohub")
    if spec is None or spec.origin is None:
        raise MissingExtra("topohub", "sim")
    return Path(spec.origin).parent / "data"


@cache
def names() -> frozenset[str]:
    """Every published topology, as in `sndlib/geant` or `gabriel/25/0`."""
    folder = _folder()
    return frozenset(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.json"))


def load(name: str) -> Topology:
    """The published topology `name`, which `names` must list; undirected edges become two links."""
    graph = json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))
    nodes = graph["nodes"]
    place = {node["id"]: i for i, node in enumerate(nodes)}
    first, second = np.array([node["pos"] for node in nodes], dtype=np.float64).reshape(-1, 2).T
    plane = bool((np.abs(first) > 180).any() or (np.abs(second) > 90).any())  # noqa: PLR2004 - degrees
    scale = _KILOMETRE / _METRES_PER_DEGREE if plane else 1.0
    lengths: dict[tuple[int, int], float] = {}
    for edge in graph["edges"]:
        a, b = place[edge["source"]], place[edge["target"]]
        length = float(np.hypot(first[a] - first[b], second[a] - second[b])) if plane else float(edge["dist"])
        if a != b:
            lengths[a, b] = lengths[b, a] = min(length * _KILOMETRE, lengths.get((a, b), np.inf))
    pairs = np.array(sorted(lengths), dtype=np.int32).reshape(-1, 2)
    return Topology(
        name=name,
        names=_unique(nodes),
        latitude=second * scale,
        longitude=first * scale,
        src=pairs[:, 0].copy(),
        dst=pairs[:, 1].copy(),
        length=np.array([lengths[pair] for pair in sorted(lengths)], dtype=np.float64),
    )


def _unique(nodes: list[dict[str, Any]]) -> tuple[str, ...]:
    """The places' names; a missing one is the id, a repeated one gets the id added."""
    raw = [str(node.get("name") or node["id"]) for node in nodes]
    counts = Counter(raw)
    once = [name if counts[name] == 1 else f"{name} #{node['id']}" for name, node in zip(raw, nodes, strict=True)]
    if len(set(once)) == len(once):
        return tuple(once)
    return tuple(f"{name} #{i}" for i, name in enumerate(raw))
