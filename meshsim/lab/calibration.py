"""`meshsim calibrate`: a scenario with links as nodes measured them, held against what they measured later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from meshsim import __version__
from meshsim.measure.trace import HEADER, Trace
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.time import NANOSECONDS
from meshsim.scenario import compile_plan, load
from meshsim.sim.calibrate import calibrate, link_errors, measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from meshsim.scenario.plan import Plan
    from meshsim.sim.calibrate import MeasuredLink, Pair

HELD_OUT = 1.0 / 3.0
"""Share of a trace, its last, that the fit does not see where no later trace is given."""


def node_traces(folder: Path) -> list[Path]:
    """The finished traces of nodes: the folder itself, or those in it. A node that was killed left none.

    Raises:
        ConfigError: If there is none.
    """
    found = [folder] if (folder / HEADER).is_file() else sorted(path.parent for path in folder.glob(f"*/{HEADER}"))
    nodes = [path for path in found if Trace(path).header.get("source") == "node"]
    if not nodes:
        problem = f"{folder} holds no node's trace"
        raise ConfigError(problem, key="TRACE", allowed=["a trace that `meshsim node run` wrote, or a folder of them"])
    return nodes


def fit(trace: Path, scenario: str, *, out: Path, later: Path | None = None, seed: int = 1) -> dict[str, Any]:
    """Fits the links of a scenario to what nodes measured, and holds the fit to what they measured later.

    Args:
        trace: A node's trace, or a folder of them, as `meshsim twin` leaves in `real/`.
        scenario: Whose nodes they are: a file or a preset's name.
        out: File of the fitted scenario.
        later: Traces of the same nodes that the fit is tested on; the last third of `trace` when None.
        seed: Of the episode whose nodes they are.

    Raises:
        ConfigError: If nothing was measured, or nothing can be written.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already; name a new file", key="--out")
    said = load(scenario)
    plan, folders = compile_plan(said, seed), node_traces(trace)
    split = math.inf if later is not None else (1.0 - HELD_OUT) * max(map(_length, folders))
    seen = measured(folders, plan, until=split)
    unseen = measured(folders if later is None else node_traces(later), plan, since=0.0 if later is not None else split)
    try:
        fitted = calibrate(said, plan, seen, out)
    except OSError as wrong:
        raise ConfigError(f"{out} cannot be written: {wrong.strerror}", key="--out") from wrong
    after = compile_plan(fitted.scenario, seed)
    return {
        "name": "calibrate",
        "scenario": str(out),
        "graph": str(fitted.graph),
        "tables": {
            "links": _links(plan, after, seen),
            "errors": [
                {"links of": who, "measured": when, **_shown(link_errors(which, links))}
                for when, links in (("while fitting", seen), ("later", unseen))
                for who, which in ((said.name, plan), ("the fit", after))
            ],
        },
        "traces": len(folders),
        "version": __version__,
    }


def _length(folder: Path) -> float:
    """Seconds until the last sample of a trace."""
    at = Trace(folder).columns("link_samples")["time_ns"]
    return float(at.max()) / NANOSECONDS if len(at) else 0.0


def _shown(errors: Mapping[str, float]) -> dict[str, float]:
    return {
        "delay off %": 100 * errors["delay"],
        "jitter off %": 100 * errors["jitter"],
        "loss off points": 100 * errors["loss"],
    }


def _links(plan: Plan, after: Plan, seen: Mapping[Pair, MeasuredLink]) -> Sequence[dict[str, Any]]:
    from meshsim.sim import World  # noqa: PLC0415 - only to show

    worlds, names = {"before": World(plan), "after": World(after)}, plan.nodes.names
    return [
        {
            "link": f"{names[a]} - {names[b]}",
            "pings": link.samples,
            "delay ms": 1e3 * link.delay,
            **{f"{when} ms": 1e3 * float(world.link_truth([a], [b]).delay[0]) for when, world in worlds.items()},
            "jitter ms": 1e3 * link.jitter,
            "loss %": 100 * link.loss,
        }
        for (a, b), link in seen.items()
    ]
