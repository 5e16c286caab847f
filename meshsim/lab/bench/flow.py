"""`meshsim bench flow`: what an hour of a mesh of thousands costs, in processor seconds and in memory.

Every row is an episode in a process of its own, begun afresh. It runs until calls come and go evenly (the ramp), then
the cost of a window is measured and scaled to an hour. Other work on a machine makes the same work dearer, in processor
time too, so the window is measured in parts and the cheapest counts. Traces are written; compiling the scenario and
warming up are left out. All rows are the preset `metropolis`, changed as the row says.
"""

from __future__ import annotations

import re
import resource
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.episodes import workers
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.measure.records import ASIDE
from meshsim.routing.policies import make
from meshsim.scenario import compile_plan, load
from meshsim.sim.simulation import begin

if TYPE_CHECKING:
    from meshsim.sim.simulation import Episode

PRESET, NODES, CALLS_PER_SECOND = "metropolis", 5000, 132.0
"""The preset, and what stands in it."""

EDGE_RATE = 2e6
"""Bits per second of an underlay edge for each node: what the preset has, for the mesh to be as full at any size."""

CONCURRENT = 20_000
"""Calls at a time that the mesh of 5,000 nodes must carry for its cost to count."""

HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row.

    Attributes:
        name: Of the row.
        nodes: N; calls and links of the underlay are in proportion.
        ramp: Seconds before the window.
        window: Seconds measured.
        policy: Who chooses from the window on; the ramp is chosen for by `weighted`.
        overrides: Further changes of the scenario.
        parts: Of the window; each lasts as long as a digest period at least, so that none leaves any work out.
    """

    name: str
    nodes: int = NODES
    ramp: float = 600.0
    window: float = 180.0
    policy: str = "weighted"
    parts: int = 3
    overrides: tuple[str, ...] = ()


AGENTS = (
    "control.mode=agents",
    "routing.batch=0",
    "control.probe_period=30",
    "control.digest_period=60",
    "control.heartbeat=60",
    "control.keepalive=10",
    "control.report_period=10",
    "record.trust=false",
)
"""Every node is an agent; what they send each other they send every ten seconds or less often."""

CASES = (
    Case(name="modelled"),
    Case(name="learned", policy="learned"),
    Case(name="one by one", ramp=60.0, window=60.0, overrides=("routing.batch=0",)),
    Case(name="agents", ramp=240.0, window=60.0, parts=1, overrides=AGENTS),
)
SIZES = tuple(Case(name=f"{n} nodes", nodes=n) for n in (100, 300, 1000, 3000, 10_000))
SMOKE = (
    Case(name="modelled", nodes=60, ramp=30.0, window=30.0),
    Case(name="learned", nodes=60, ramp=30.0, window=30.0, policy="learned"),
    Case(name="agents", nodes=60, ramp=5.0, window=5.0, overrides=AGENTS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a row cost.

    Attributes:
        name: Of the row.
        nodes: N.
        policy: Who chose in the window.
        ramp_seconds: Simulated before the window.
        window_seconds: Simulated in the window.
        concurrent_calls: Calls under way, mean over the window.
        calls_started: In the window.
        calls_lost: Failed or dropped in the window.
        cpu_seconds: Processor time of the window.
        cpu_seconds_per_hour: Of an hour like the cheapest part of the window.
        cpu_microseconds_per_call: All of that, over the calls of an hour.
        setup_cpu_seconds: Compiling the scenario and building the world.
        rss_mb: Most memory the process ever held, 10^6 bytes.
        probe_period_seconds: Between probes of a link.
        gossip_period_seconds: Between digests.
    """

    name: str
    nodes: int
    policy: str
    ramp_seconds: float
    window_seconds: float
    concurrent_calls: float
    calls_started: int
    calls_lost: int
    cpu_seconds: float
    cpu_seconds_per_hour: float
    cpu_microseconds_per_call: float
    setup_cpu_seconds: float
    rss_mb: float
    probe_period_seconds: float
    gossip_period_seconds: float


def run(*, quick: bool = False, agents: bool = True, progress: bool = False) -> dict[str, Any]:
    """Measures what meshes cost.

    Args:
        quick: Only small meshes for a short time: whether all rows run; no cost is judged.
        agents: Whether to measure a mesh with an agent in every node, too.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.
    """
    cases = [case for case in (SMOKE if quick else CASES + SIZES) if agents or case.name != "agents"]
    costs = []
    with bar("meshes", shown=progress) as advance:
        for done, case in enumerate(cases):
            costs.append(measured(case))
            advance((done + 1) / len(cases))
    table = [asdict(cost) for cost in costs]
    if quick:
        return answer(
            "flow", [judge("flow_calls_started", min(c.calls_started for c in costs), ">", 0)], {"rows": table}
        )
    return answer("flow", judged(costs), {"rows": table})


def judged(costs: list[Cost]) -> list[dict[str, Any]]:
    """The goals of issue 3, from the rows; `learned` and each call by itself have none."""
    modelled = next(cost for cost in costs if cost.name == "modelled")
    goals = [
        judge("flow_cpu_seconds_per_hour", modelled.cpu_seconds_per_hour, "<=", 120.0),
        judge("flow_concurrent_calls", modelled.concurrent_calls, ">=", CONCURRENT),
        judge("flow_rss_mb", modelled.rss_mb, "<=", 1500.0),
        judge("cost_exponent", exponent([cost for cost in costs if cost.name.endswith(" nodes")]), "<=", 1.2),
    ]
    agents = [cost.cpu_seconds_per_hour for cost in costs if cost.name == "agents"]
    return [*goals, *(judge("agents_cpu_seconds_per_hour", seconds, "<=", 900.0) for seconds in agents)]


def exponent(costs: list[Cost]) -> float:
    """The slope of cost over nodes, both as logarithms, by least squares."""
    nodes, seconds = np.log([(cost.nodes, cost.cpu_seconds_per_hour) for cost in costs]).T
    return float(np.polyfit(nodes, seconds, 1)[0])


def measured(case: Case) -> Cost:
    """The cost of one row, in a process of its own."""
    with workers() as pool:
        return pool.submit(measure, case).result()


def measure(case: Case) -> Cost:
    """The cost of one row, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        episode = begin(compile_plan(load(PRESET, overrides(case)), seed=1), Path(folder) / "trace")
        setup = time.process_time() - start
        episode.advance(case.ramp)
        episode.engine.policy = make(case.policy)
        episode.advance(case.ramp + _warm_up(case))
        return _window(case, episode, setup)


def overrides(case: Case) -> tuple[str, ...]:
    """The preset changed to the case, by `key=value`."""
    share = case.nodes / NODES
    return (
        f"nodes.count={case.nodes}",
        f"calls.rate={CALLS_PER_SECOND * share}",
        f"underlay.capacity={EDGE_RATE * case.nodes}",
        f"warmup={case.ramp}",
        f"duration={case.ramp + _warm_up(case) + case.window + 1.0}",
        *case.overrides,
    )


def _warm_up(case: Case) -> float:
    """Seconds for which the policy of the window is in charge before it: a scorer loads, and encodes its first view."""
    return case.window / case.parts if case.policy != "weighted" else 0.0


def _window(case: Case, episode: Episode, setup: float) -> Cost:
    before, concurrent, seconds, first = dict(episode.counts), [], [], episode.env.now
    for part in range(case.parts):
        begun = time.process_time()
        episode.advance(first + (part + 1) * case.window / case.parts)
        seconds.append(time.process_time() - begun)
        concurrent.append(under_way(episode))
    after = episode.counts
    started, control = after["started"] - before["started"], episode.plan.scenario.control
    per_hour = min(seconds) * case.parts * HOUR / case.window
    return Cost(
        name=case.name,
        nodes=case.nodes,
        policy=case.policy,
        ramp_seconds=case.ramp,
        window_seconds=case.window,
        concurrent_calls=float(np.mean(concurrent)),
        calls_started=started,
        calls_lost=sum(after[name] - before[name] for name in ("failed", "dropped")),
        cpu_seconds=sum(seconds),
        cpu_seconds_per_hour=per_hour,
        cpu_microseconds_per_call=1e6 * per_hour * case.window / HOUR / max(started, 1),
        setup_cpu_seconds=setup,
        rss_mb=peak_rss() / 1e6,
        probe_period_seconds=control.probe_period,
        gossip_period_seconds=control.digest_period,
    )


def under_way(episode: Episode) -> int:
    """Calls that have begun and not ended, in whichever way."""
    counts = episode.counts
    return counts["started"] - sum(counts[name] for name in ("completed", "dropped", "failed", *ASIDE))


def peak_rss() -> int:
    """Most memory that this process ever held, bytes."""
    # what getrusage tells includes the process that this one was forked from
    status = Path("/proc/self/status")
    told = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return 1024 * (int(told[1]) if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
