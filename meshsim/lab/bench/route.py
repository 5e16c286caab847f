"""`meshsim bench route`: what one decision costs a node, and onnxruntime beside torch on the same network.

The view is what a caller believed in a simulated mesh of so many nodes; the call has 128 candidates. Of a decision, the
head is what the scorer adds to finding paths and describing them; the encoder runs once for each new belief, and
passes no messages in scorers that were trained without. Torch runs a network of three rounds with weights as drawn on
the same inputs as its own export in onnxruntime, both on one thread: speed does not depend on what was learnt.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.learn.dataset import asked
from meshsim.learn.speed import beside_torch, milliseconds
from meshsim.measure.trace import Trace
from meshsim.routing import RoutingEngine
from meshsim.routing.artefact import REQUIRED, find_model
from meshsim.routing.policies import load_model
from meshsim.scenario import compile_plan, load
from meshsim.sim import simulate

if TYPE_CHECKING:
    from meshsim.mesh.view import NetworkView
    from meshsim.routing import RouteRequest
    from meshsim.routing.features import Features
    from meshsim.routing.policies import Learned

PATHS = 128
SIZES = (250, 5000)
TIMES = 200
MEGABYTE = 1e6

_WEIGH = """
import sys
from pathlib import Path
from meshsim.learn.dataset import asked
from meshsim.routing import RoutingEngine
from meshsim.routing.policies import make
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) * 1024
whole = asked(Path(sys.argv[2]), int(sys.argv[3]))
RoutingEngine("weighted", trust_floor=0.0).find(whole.request, whole.view)
before = resident()
RoutingEngine(make("learned", model=sys.argv[1]), trust_floor=0.0).find(whole.request, whole.view)
print(resident() - before)
"""
"""A process that decides by hand, and then by a scorer: what the second adds."""


def run(*, quick: bool = False, progress: bool = False, model: str = "route-scorer") -> dict[str, Any]:
    """Measures decisions in meshes of `SIZES` nodes.

    Args:
        quick: The small mesh only, and few times: whether everything runs.
        progress: Whether to show a bar where somebody watches.
        model: A name, or the folder of an artefact.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.
    """
    scorer, times = load_model(model), 20 if quick else TIMES
    rows, engines = [], []
    with tempfile.TemporaryDirectory() as folder, bar("deciding", shown=progress) as advance:
        for done, nodes in enumerate(SIZES[:1] if quick else SIZES, start=1):
            request, view = _asked(nodes, Path(folder) / str(nodes))
            row, features = _decisions(scorer, request, view, times)
            rows.append({"nodes": nodes, "links": len(view.links), **row})
            engines.append({"nodes": nodes, **beside_torch(features, times)})
            advance(done / len(SIZES))
        weight = _weight(model, Path(folder) / str(SIZES[0]))
    size = sum((find_model(model) / name).stat().st_size for name in REQUIRED)
    small, large = rows[0], rows[-1]
    goals = [
        judge("head_p50_ms", small["head_p50_ms"], "<=", 1.0),
        judge("head_p95_ms", small["head_p95_ms"], "<=", 2.0),
        judge("encoder_ms_250", small["encoder_p50_ms"], "<=", 3.0),
        *([] if quick else [judge("encoder_ms_5000", large["encoder_p50_ms"], "<=", 30.0)]),
        judge("onnxruntime_over_torch_head", engines[0]["head_ratio"], ">=", 1.5),
        judge("artefact_megabytes", size / MEGABYTE, "<=", 1.0),
        judge("resident_megabytes", weight, "<=", 80.0),
    ]
    return answer("route", goals, {"decisions": rows, "engines": engines})


def _asked(nodes: int, out: Path) -> tuple[RouteRequest, NetworkView]:
    """The first call of a short episode, as its caller stood before it."""
    said = (
        f"nodes.count={nodes}",
        f"nodes.roles={{relay: {nodes // 5}, super_node: {nodes // 25}}}",
        "duration=45 s",
        "warmup=30 s",
        "control.digest_period=10 s",
        "nodes.relays_per_node=14",
        "nodes.random_relays=10",
    )
    simulate(compile_plan(load("demo", said), 1), out)
    whole = asked(out, _first(out))
    return whole.request, whole.view


def _first(out: Path) -> int:
    return int(Trace(out).columns("routes")["call"][0])


def _decisions(
    scorer: Learned, request: RouteRequest, view: NetworkView, times: int
) -> tuple[dict[str, Any], Features]:
    engine = RoutingEngine(scorer, candidates=PATHS, trust_floor=0.0)
    features = engine.rank(request, view).features
    features.hop, features.path  # noqa: B018 - made when first looked at; a decision makes them once
    head = milliseconds(lambda: scorer.score(features), times)
    whole = milliseconds(lambda: engine.find(request, view), max(times // 4, 5))
    encoder = milliseconds(lambda: scorer._encode(features.graph), max(times // 4, 5))  # noqa: SLF001 - not cached
    told: dict[str, Any] = {"paths": len(features)}
    for name, taken in (("decision", whole), ("head", head), ("encoder", encoder)):
        told |= {f"{name}_p50_ms": float(np.median(taken)), f"{name}_p95_ms": float(np.quantile(taken, 0.95))}
    return told, features


def _weight(model: str, trace: Path) -> float:
    """Megabytes that a scorer and its first decision add to a process that decides by hand already."""
    words = [sys.executable, "-c", _WEIGH, model, str(trace), str(_first(trace))]
    told = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
    return int(told.stdout) / MEGABYTE
