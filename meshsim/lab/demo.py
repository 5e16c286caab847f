"""The whole road in one go: scenario, simulation, training, ONNX, a call on real nodes, a twin, one report.

Two processes simulate side by side; training and the real nodes have the machine for themselves.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

from meshsim import __version__
from meshsim.lab.episodes import Job, Simulated, perform, workers
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.lab.story import PARITY, RIVALS, tell
from meshsim.lab.twin import RealCall, Twin, real_call, twin
from meshsim.learn.config import TrainConfig, load_config
from meshsim.learn.evaluate import OpenLoop, evaluate_open_loop
from meshsim.learn.train import TrainResult, train
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import Interval, mean_interval
from meshsim.measure.trace import Trace, trace_sha256
from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies import Policy, load_model, make
from meshsim.scenario import compile_plan, load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import ProcessPoolExecutor
    from pathlib import Path

    from meshsim.learn.config import Split
    from meshsim.scenario.plan import Plan

BASELINES = ("direct", "shortest", "weighted")
REAL_SECONDS, KILL_AFTER = 7.0, 3.0
BARE = ("record.candidates=false", "record.views=false")
"""Traces that are only lived in need no counterfactuals."""
FIRST_UNSEEN = 5000
"""Added to the seed of every episode that is evaluated on: no training configuration uses seeds from here on."""

LENGTHS = {key: f"duration={m} min" for key, m in {"logged": 30, "elsewhere": 14, "closed": 18, "scale": 15}.items()}
QUICK = dict.fromkeys(LENGTHS, "duration=8 min")
BRIEF = (
    "duration=14 s",
    'calls.listed=[{at: 8 s, caller: "@alice.aura", callee: "@bob.aura", duration: 5 s}]',
)
"""Of the twin: one call."""
MARK = ".meshsim-demo"
"""Left in the demo's folder, so that only a folder of its own is ever emptied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that the demo came to: the material of its report and of its JSON.

    Attributes:
        plan: The demo's scenario, compiled.
        seed: Of the logged episode.
        trace: The logged episode: its calls are decided anew by every policy.
        sha256: Of that trace.
        trained: The scorer made from scratch.
        logged: Every policy on the logged calls, by counterfactual labels.
        elsewhere: The same on a graph that gave no scorer a gradient; it only told training when to stop.
        elsewhere_topology: That graph.
        closed: Poor calls as lived, per policy that really routed an episode; intervals over the calls of that one.
        closed_traces: Those episodes.
        scale: Nodes, calls and seconds of the large episode.
        small: The plan that ran on real nodes.
        real: What happened there.
        twin: The preset `twin` in the simulator and on real nodes.
        seconds: Wall time by stage.
    """

    plan: Plan
    seed: int
    trace: Path
    sha256: str
    trained: TrainResult
    logged: OpenLoop
    elsewhere: OpenLoop
    elsewhere_topology: str
    closed: dict[str, Interval]
    closed_traces: dict[str, Path]
    scale: dict[str, float]
    small: Plan
    real: RealCall
    twin: Twin
    seconds: dict[str, float]


def demo(*, out: Path, seed: int = 1, quick: bool = False, progress: bool = True) -> dict[str, Any]:
    """Does all of it and returns what `meshsim demo --json` prints last.

    Args:
        out: A folder of the demo's own; what an earlier demo left there is replaced.
        seed: Of the logged episode and of the real call.
        quick: Shorter episodes and less training: for a look, not for the numbers.
        progress: Whether bars may show.

    Raises:
        ConfigError: If `out` holds something that is not a demo's.
    """
    _empty(out)
    road = _Road(out, seed, quick=quick, progress=progress)
    with workers() as pool:
        traces, sha256 = road.simulate(pool)
        trained = road.train(traces)
        logged, elsewhere = road.decide()
        scale = road.live(pool)
    small = compile_plan(load("tiny"), seed)
    with bar("a call on real nodes", shown=progress):
        real = real_call(small, out / "mesh", seconds=REAL_SECONDS, kill_after=KILL_AFTER, model=out / "model")
    road.clock.lap("real nodes")
    both = twin("twin", out=out / "twin", seed=seed, overrides=BRIEF if quick else (), progress=progress)
    road.clock.lap("twin")
    story = Story(
        plan=compile_plan(load("demo", road.logged.overrides), road.logged.seed),
        seed=road.logged.seed,
        trace=road.logged.out,
        sha256=sha256,
        trained=trained,
        logged=logged,
        elsewhere=elsewhere,
        elsewhere_topology=str(load("validation").underlay.topology),
        closed={name: _lived(job.out) for name, job in road.closed.items()},
        closed_traces={name: job.out for name, job in road.closed.items()},
        scale=scale,
        small=small,
        real=real,
        twin=both,
        seconds=road.clock.laps,
    )
    command = f"meshsim demo --seed {seed} --out {out}" + (" --quick" if quick else "")
    report = tell(story, out / "report.html", command=command)
    road.clock.lap("report")
    return summary(story, report)


class _Road:
    """The stages up to the real nodes, and the episodes they work on."""

    def __init__(self, out: Path, seed: int, *, quick: bool, progress: bool) -> None:
        self._out, self._progress = out, progress
        self.clock = _Clock()
        self._config = _training(quick=quick)
        lengths = QUICK if quick else LENGTHS
        unseen = FIRST_UNSEEN + seed
        explored = "routing.policy=exploring"
        self.logged = Job(scenario="demo", seed=unseen, out=out / "logged", overrides=(explored, lengths["logged"]))
        self.elsewhere = Job(
            scenario="validation", seed=unseen, out=out / "elsewhere", overrides=(explored, lengths["elsewhere"])
        )
        self.closed = {
            name: Job(
                scenario="demo",
                seed=unseen,
                out=out / f"closed-{name}",
                overrides=(f"routing.policy={policy}", *BARE, lengths["closed"]),
                model=model,
            )
            for name, policy, model in (
                ("learned", "learned", out / "model"),
                ("committed", "learned", None),
                ("shortest", "shortest", None),
                ("weighted", "weighted", None),
            )
        }
        self._scale = Job(scenario="scale", seed=seed, out=out / "scale", overrides=(lengths["scale"],))

    def simulate(self, pool: ProcessPoolExecutor) -> tuple[dict[Split, list[Path]], str]:
        """Simulates what is learned from and decided anew; the traces by split, and the logged one's hash."""
        wanted = list(self._config.wanted())
        jobs = [
            Job(scenario=w.scenario, seed=w.seed, out=self._out / f"episode-{i}", overrides=w.overrides)
            for i, w in enumerate(wanted)
        ]
        done = self._simulate(pool, [self.logged, *jobs, self.elsewhere], "simulating episodes to learn from")
        traces: dict[Split, list[Path]] = {}
        for w, job in zip(wanted, jobs, strict=True):
            traces.setdefault(w.split, []).append(job.out)
        self.clock.lap("simulate")
        return traces, done[0].sha256

    def train(self, traces: dict[Split, list[Path]]) -> TrainResult:
        """Trains from scratch and exports."""
        with bar("training the scorer", shown=self._progress) as advance:
            trained = train(self._config, traces=traces, out=self._out / "model", progress=advance)
        self.clock.lap("train")
        return trained

    def decide(self) -> tuple[OpenLoop, OpenLoop]:
        """Every policy on the logged calls, here and on another graph."""
        rivals = _rivals(self._out / "model")
        with bar("deciding the logged calls anew", shown=self._progress) as advance:
            logged = evaluate_open_loop([self.logged.out], rivals)
            advance(0.5)
            elsewhere = evaluate_open_loop([self.elsewhere.out], rivals)
        self.clock.lap("evaluate")
        return logged, elsewhere

    def live(self, pool: ProcessPoolExecutor) -> dict[str, float]:
        """Episodes that policies really route, and the large one: its nodes, calls and seconds."""
        jobs = [self._scale, *self.closed.values()]
        done = self._simulate(pool, jobs, "a thousand nodes, and policies that live with their choices")
        self.clock.lap("closed loop and scale")
        trace = Trace(self._scale.out)
        nodes, calls = trace.table("nodes").num_rows, trace.table("calls").num_rows
        return {"nodes": nodes, "calls": calls, "seconds": done[0].seconds}

    def _simulate(self, pool: ProcessPoolExecutor, jobs: Sequence[Job], text: str) -> list[Simulated]:
        done = []
        with bar(text, of=len(jobs), shown=self._progress) as advance:
            for one in pool.map(perform, jobs):
                done.append(one)
                advance(len(done) / len(jobs))
        return done


class _Clock:
    """Wall time by stage."""

    def __init__(self) -> None:
        self._at = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Ends a stage."""
        now = time.perf_counter()
        self.laps[stage], self._at = now - self._at, now


def _empty(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not (out / MARK).exists():
        raise ConfigError(f"{out} holds something that is not a demo's; name another folder", key="--out")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).touch()


def _training(*, quick: bool) -> TrainConfig:
    with as_file(files("meshsim.lab") / "demo.yaml") as path:
        config = load_config(path)
    if not quick:
        return config
    return config.model_copy(update={"optimisation": config.optimisation.model_copy(update={"epochs": 3})})


def _rivals(model: Path) -> dict[str, Policy]:
    """Every policy the logged calls are decided by: the baselines, the scorer just made, the committed one."""
    return {**{name: make(name) for name in BASELINES}, "learned": load_model(model), "committed": load_model()}


def _lived(trace: Path) -> Interval:
    return mean_interval(METRICS["poor_call_rate"].samples(Trace(trace)))


def _plain(interval: Interval) -> dict[str, float]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def goals(story: Story) -> list[dict[str, Any]]:
    """What the demo is held to."""
    logged, real, rates = story.logged, story.real, story.logged.poor_call_rate
    silence = real.gap[1] - real.gap[0]
    return [
        *(judge(f"learned_minus_{rival}_high", logged.difference["learned", rival].high, "<", 0.0) for rival in RIVALS),
        judge("oracle_minus_learned", rates["oracle"].mean - rates["learned"].mean, "<=", 0.0),
        judge("onnx_parity_max_abs", story.trained.parity, "<=", PARITY),
        judge("real_nodes", real.processes, ">=", 6),
        judge("real_relays_on_path", len(real.talk.path) - 2, ">=", 1),
        judge("real_run_valid", float(real.valid), "==", 1.0),
        judge("real_audio_packets_received", len(real.arrivals), ">", 0),
        judge("real_failover_gap_seconds", silence, "<", REAL_SECONDS - KILL_AFTER),
        judge("reputation_events", Trace(story.trace).table("trust").num_rows, ">", 0),
        *({**goal, "goal": f"twin_{goal['goal']}"} for goal in story.twin.answer()["goals"]),
    ]


def summary(story: Story, report: Path) -> dict[str, Any]:
    """The demo in plain values."""
    logged, real = story.logged, story.real
    gap_from, gap_to = real.gap
    pairs = [("learned", "shortest"), ("learned", "weighted"), ("committed", "shortest"), ("committed", "weighted")]
    return {
        "name": "demo",
        "goals": goals(story),
        "scenario": story.plan.scenario.name,
        "topology": story.plan.underlay.topology.name,
        "seed": story.seed,
        "nodes": len(story.plan.nodes),
        "calls": logged.calls,
        "poor_call_rate": {name: _plain(rate) for name, rate in logged.poor_call_rate.items()},
        "paired_difference": {f"{a} - {b}": _plain(logged.difference[a, b]) for a, b in pairs},
        "other_graph": {
            "topology": story.elsewhere_topology,
            "calls": story.elsewhere.calls,
            "poor_call_rate": {name: _plain(rate) for name, rate in story.elsewhere.poor_call_rate.items()},
            "paired_difference": {f"{a} - {b}": _plain(story.elsewhere.difference[a, b]) for a, b in pairs},
        },
        "closed_loop": {name: _plain(rate) for name, rate in story.closed.items()},
        "onnx_parity_max_abs": story.trained.parity,
        "scale": story.scale,
        "mesh": {
            "nodes": real.processes,
            "valid": real.valid,
            "emulator_error_p99_ms": 1e3 * real.precision_p99,
            "call": {
                "path": real.name_path(real.talk.path),
                "path_after_failover": real.name_path(real.talk.final_path),
                "audio_packets_received": len(real.arrivals),
                "data_messages_received": real.talk.heard["data_messages_received"],
                "outcome": real.talk.ended["outcome"],
            },
            "delay_ms": {
                "simulated": 1e3 * real.path.simulated,
                "measured": {k: 1e3 * v for k, v in _plain(real.path.measured).items()},
            },
        },
        "failover": {"detect_ms": 1e3 * real.detect_seconds, "gap_ms": 1e3 * (gap_to - gap_from)},
        "twin": story.twin.answer(),
        "reputation_events": Trace(story.trace).table("trust").num_rows,
        "trace_sha256": trace_sha256(story.trace),
        "seconds": story.seconds,
        "version": __version__,
        "python": sys.version.split()[0],
        "report": str(report),
    }
