"""`ms.run`: a scenario and a seed in, tables and pictures out."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from meshsim.lab import figures
from meshsim.lab.progress import bar
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import mean_interval
from meshsim.measure.trace import Trace, trace_sha256
from meshsim.mesh.errors import ConfigError, nearest
from meshsim.routing.policies import POLICIES
from meshsim.scenario import Scenario, compile_plan, load
from meshsim.sim import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from meshsim.measure.stats import Interval
    from meshsim.routing.policies import Policy
    from meshsim.scenario.plan import Plan

RUNS = Path("runs")


@dataclass(frozen=True)
class Result:
    """One episode that was run: its trace as DataFrames, its summary, its pictures.

    Attributes:
        plan: What was run.
        path: The folder of the trace.
        policy: Who chose the routes.
    """

    plan: Plan
    path: Path
    policy: str

    @cached_property
    def trace(self) -> Trace:
        """The trace behind the tables."""
        return Trace(self.path)

    @cached_property
    def trace_sha256(self) -> str:
        """Equal for equal scenario, seed and code."""
        return trace_sha256(self.path)

    def table(self, name: str) -> pd.DataFrame:
        """Any table of the trace as a DataFrame; column names carry their units."""
        frame = self.trace.table(name).to_pandas()
        assert isinstance(frame, pd.DataFrame)  # noqa: S101 - narrows the type for mypy
        return frame

    @cached_property
    def calls(self) -> pd.DataFrame:
        """One row per call, as it was lived."""
        return self.table("calls")

    @cached_property
    def routes(self) -> pd.DataFrame:
        """One row per candidate route of each call: belief, choice, and what was true."""
        return self.table("routes")

    @cached_property
    def trust(self) -> pd.DataFrame:
        """Every move of a reputation."""
        return self.table("trust")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row per node."""
        return self.table("nodes")

    @cached_property
    def metrics(self) -> dict[str, Interval]:
        """Every metric with its 95 % interval over calls."""
        return {name: mean_interval(METRICS[name].samples(self.trace)) for name in METRICS}

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The run in plain values, as `meshsim run --json` prints it."""
        outcomes = self.calls["outcome"].value_counts()
        return {
            "scenario": self.plan.scenario.name,
            "seed": self.plan.seed,
            "policy": self.policy,
            "nodes": len(self.plan.nodes),
            "calls": len(self.calls),
            "outcomes": {str(name): int(count) for name, count in sorted(outcomes.items())},
            "metrics": {name: {"mean": i.mean, "low": i.low, "high": i.high} for name, i in self.metrics.items()},
            "reputation_events": len(self.trust),
            "trace": str(self.path),
            "trace_sha256": self.trace_sha256,
        }

    def plot_network(self, call: int | None = None) -> Figure:
        """The network, and the path of `call` over it."""
        paths: dict[str, Sequence[int]] = {}
        if call is not None:
            row = self.calls.set_index("call").loc[call]
            paths = {"path": [int(i) for i in row["path"]]}
        return figures.network(self.plan, paths=paths)

    def plot_reputation(self) -> Figure:
        """Reputation over time."""
        return figures.reputation(self.trust, self.plan.nodes.behaviour)

    def _repr_html_(self) -> str:
        rows = pd.DataFrame(
            [(name, METRICS[name].text, i.mean, i.low, i.high) for name, i in self.metrics.items()],
            columns=["metric", "what", "mean", "low", "high"],
        )
        head = (
            f"<b>{self.plan.scenario.name}</b>, seed {self.plan.seed}, policy {self.policy}: "
            f"{len(self.plan.nodes)} nodes, {len(self.calls)} calls, {len(self.trust)} reputation events"
        )
        return head + rows.to_html(index=False, float_format=lambda value: f"{value:.4g}")

    def __repr__(self) -> str:
        poor = self.metrics["poor_call_rate"]
        return (
            f"Result({self.plan.scenario.name!r}, seed={self.plan.seed}, policy={self.policy!r}, "
            f"nodes={len(self.plan.nodes)}, calls={len(self.calls)}, "
            f"poor={poor.mean:.3f} [{poor.low:.3f}, {poor.high:.3f}])"
        )


def run(
    scenario: str | Path | Scenario,
    *,
    seed: int = 1,
    overrides: Sequence[str] = (),
    out: Path | str | None = None,
    policy: str | Policy | None = None,
    progress: bool = True,
) -> Result:
    """Runs a scenario and returns its tables.

    Args:
        scenario: A YAML file, the name of a preset, or a loaded scenario.
        seed: Same scenario and seed, same trace.
        overrides: As on the command line: `calls.rate=2`.
        out: Folder of the trace; by default a new one below `runs/`.
        policy: Instead of the scenario's routing policy.
        progress: Whether a bar shows on a terminal when it takes longer than 2 s.

    Raises:
        ConfigError: If the scenario is wrong, or `out` exists; nothing is left half-written.
    """
    if isinstance(policy, str) and policy not in POLICIES:
        raise ConfigError(
            f"unknown policy {policy!r}", key="policy", allowed=list(POLICIES), nearest=nearest(policy, POLICIES)
        )
    loaded = scenario if isinstance(scenario, Scenario) else load(scenario, overrides)
    plan = compile_plan(loaded, seed)
    folder = _fresh(Path(out) if out is not None else None, loaded.name, seed)
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with bar(f"simulating {loaded.name}", shown=progress) as advance:
            simulate(plan, unfinished, policy=policy, progress=advance)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    name = policy if isinstance(policy, str) else policy.name if policy is not None else loaded.routing.policy
    return Result(plan, folder, name)


def make_folder(folder: Path) -> None:
    """Makes `folder` and those above it, where absent.

    Raises:
        ConfigError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}", key="--out") from error


def _fresh(out: Path | None, name: str, seed: int) -> Path:
    """The folder to write to, which does not exist yet, in a folder that does."""
    if out is not None:
        if out.exists():
            raise ConfigError(f"{out} exists already; name a new folder", key="--out")
        make_folder(out.parent)
        return out
    make_folder(RUNS)
    plain = RUNS / f"{name}-seed{seed}"
    numbered = (RUNS / f"{plain.name}-{n}" for n in itertools.count(2))
    return next(path for path in itertools.chain([plain], numbered) if not path.exists())
