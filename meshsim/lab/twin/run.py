"""`meshsim twin`: one scenario in the simulator and on real nodes, one table."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim import __version__
from meshsim.lab.progress import bar
from meshsim.lab.run import fresh_folder, make_folder
from meshsim.lab.twin.compare import Beside, changes, goals, rows, spread
from meshsim.lab.twin.real import live
from meshsim.lab.twin.simulated import simulate
from meshsim.measure.trace import trace_sha256
from meshsim.mesh.errors import ConfigError
from meshsim.node.testbed import Bed
from meshsim.scenario import Scenario, change, compile_plan, load
from meshsim.sim.driver import agent_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.lab.twin.real import Reality
    from meshsim.scenario.plan import Plan

MOST_NODES = 16
"""Real nodes on one machine; more would share its cores and measure those."""
LONGEST = 600.0
"""Seconds: real nodes live in real time."""
LATE = 0.005
"""Seconds that one datagram in a hundred may leave the emulator late during a run for it to count as valid."""

LAG = 0.020
"""Seconds that a process with nothing to do may wake late, 99 times of a hundred: the length of a voice packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Both sides of a plan.

    Attributes:
        plan: What was to happen.
        calls: Each call on both sides.
        reality: The real side's own account.
        trace_sha256: Of the simulated episode.
        folder: Where everything was written.
    """

    plan: Plan
    calls: list[Beside]
    reality: Reality
    trace_sha256: str
    folder: Path

    @property
    def valid(self) -> bool:
        """Whether no datagram went past the emulator, it kept its time before and in the run, and nodes had theirs."""
        punctual = self.reality.before.holds() and self.reality.during.holds(LATE) and self.reality.lag <= LAG
        return punctual and not self.reality.mismatches

    @property
    def downs(self) -> list[tuple[float, int]]:
        """When which node vanished, seconds."""
        faults = self.plan.faults
        every = zip(faults.at.tolist(), faults.kind, faults.node.tolist(), strict=True)
        return [(at, node) for at, kind, node in every if kind == "down"]

    def report(self, path: Path) -> Path:
        """Writes what came of it as one HTML file; the file.

        Raises:
            ConfigError: If it cannot be written there.
        """
        from meshsim.lab.twin.tell import tell  # noqa: PLC0415 - it draws, which most callers do not ask for

        return tell(self, path)

    def answer(self) -> dict[str, Any]:
        """What `meshsim twin --json` prints."""
        names, reality = self.plan.nodes.names, self.reality
        return {
            "name": f"twin of {self.plan.scenario.name}",
            "goals": goals(self.calls, valid=self.valid),
            "tables": {
                "calls": rows(self.calls, names),
                "differences": spread(self.calls),
                "changes of route": changes(self.calls, names, self.downs),
                "emulator": [
                    {
                        "when": when,
                        "datagrams": precision.samples,
                        "late p50 ms": 1e3 * precision.median,
                        "late p99 ms": 1e3 * precision.p99,
                        "worst ms": 1e3 * precision.worst,
                    }
                    for when, precision in (("before the run", reality.before), ("during the run", reality.during))
                ],
            },
            "valid": self.valid,
            "processes": reality.processes,
            "bypassed": len(reality.mismatches),
            "lag_p99_ms": 1e3 * reality.lag,
            "seed": self.plan.seed,
            "trace_sha256": self.trace_sha256,
            "machine": {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()},
            "version": __version__,
        }


def fit(scenario: Scenario) -> Scenario:
    """The scenario as both sides can live it: an agent in every node, nothing warmed up, nothing but calls recorded.

    Raises:
        ConfigError: If real nodes on one machine cannot live it.
    """
    if scenario.nodes.count > MOST_NODES:
        problem = f"{scenario.nodes.count} real nodes are too many for one machine"
        raise ConfigError(problem, key="nodes.count", allowed=[f"<= {MOST_NODES}"])
    if scenario.duration > LONGEST:
        problem = f"real nodes live in real time, {scenario.duration:g} s are too long"
        raise ConfigError(problem, key="duration", allowed=[f"<= {LONGEST:g} s"])
    if scenario.calls.media.audio < 1.0 and scenario.calls.rate > 0.0:
        problem = "the calls of a twin are voice: its emulator moves every packet by itself"
        raise ConfigError(problem, key="calls.media", allowed=["{audio: 1}"])
    if any(call.media != "audio" for call in scenario.calls.listed):
        raise ConfigError("the calls of a twin are voice", key="calls.listed", allowed=["media: audio"])
    if scenario.processes:
        raise ConfigError("what packages let go on has no real side", key="processes", allowed=["{}"])
    agents = ["control.mode=agents", "warmup=0 s", "record.views=false", "record.candidates=false"]
    return change(scenario, agents)


def twin(
    scenario: str | Path | Scenario,
    *,
    out: Path | None = None,
    seed: int = 1,
    policy: str | None = None,
    overrides: Sequence[str] = (),
    progress: bool = True,
) -> Twin:
    """Runs a scenario in the simulator, then on real nodes over links as the simulator's world had them.

    Args:
        scenario: A file, a preset's name, or a scenario.
        out: A new folder (one under `runs/` when None): `sim/` gets the simulator's trace, `real/` the nodes' keys,
            traces and complaints.
        seed: Of all draws.
        policy: Who ranks routes; the scenario's when None.
        overrides: `key=value` of the scenario.
        progress: Whether bars may show.

    Raises:
        ConfigError: If the scenario cannot be lived by real nodes.
        TestbedError: If a real process does not do its part.
    """
    wanted = [*overrides, *([] if policy is None else [f"routing.policy={json.dumps(policy)}"])]
    said = change(scenario, wanted) if isinstance(scenario, Scenario) else load(scenario, wanted)
    plan = compile_plan(fit(said), seed)
    out = fresh_folder(out, f"{plan.scenario.name}-{seed}")
    make_folder(out)
    with bar("in the simulator", shown=progress) as done:
        simulated, weather = simulate(plan, out / "sim", progress=done)
    bed = Bed(
        nodes=plan.nodes,
        links=plan.links,
        parameters=weather.begin(0.0),
        folder=out / "real",
        seed=seed,
        agent=agent_config(plan.scenario),
        routing=plan.scenario.routing,
        trust=plan.scenario.trust,
        policy=plan.scenario.routing.policy,
        model=_model(plan.scenario),
    )
    with bar("on real nodes", shown=progress) as done:
        reality = live(bed, plan, weather, progress=done)
    names = plan.nodes.names
    calls = [
        Beside(
            number=number,
            caller=names[int(plan.calls.caller[number])],
            callee=names[int(plan.calls.callee_node[number])],
            simulated=simulated[number],
            real=reality.calls[number],
        )
        for number in range(len(plan.calls))
    ]
    sha256 = trace_sha256(out / "sim")
    return Twin(plan=plan, calls=calls, reality=reality, trace_sha256=sha256, folder=out)


def _model(scenario: Scenario) -> str | None:
    """The scorer that a scenario names, so that processes find it from anywhere; None for the packaged one."""
    name = scenario.routing.model
    return None if name is None else str(Path(name).resolve()) if Path(name).exists() else name
