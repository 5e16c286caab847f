"""The demo's report: what was done, what came out, whether the goals held."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meshsim import __version__
from meshsim.lab import figures
from meshsim.lab.report import Report, Section, Table, picture, write
from meshsim.lab.twin.tell import call_by_call, how_far_apart
from meshsim.measure.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from meshsim.lab.demo import Story
    from meshsim.lab.report import Picture
    from meshsim.lab.twin import RealCall
    from meshsim.learn.evaluate import OpenLoop
    from meshsim.measure.stats import Interval
    from meshsim.scenario.plan import Plan

PARITY = 1e-4
RIVALS = ("shortest", "weighted")
STOPPED = ", on a graph that only told training when to stop"

WORDS = {
    "direct": "direct where it connects, else the first relay",
    "shortest": "least believed delay",
    "weighted": "the brief's weighted sum",
    "learned": "the scorer trained just now",
    "committed": "the scorer that comes with the package",
    "oracle": "knows every candidate's truth",
}


def percent(interval: Interval) -> str:
    """`12.3 [11.0, 13.6]` of an interval of probabilities."""
    return f"{100 * interval.mean:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def milliseconds(interval: Interval) -> str:
    """`12.3 [11.0, 13.6]` of an interval of seconds."""
    return f"{1e3 * interval.mean:.1f} [{1e3 * interval.low:.1f}, {1e3 * interval.high:.1f}]"


def tell(story: Story, path: Path, *, command: str) -> Path:
    """Writes the report of a demo."""
    plan = story.plan
    report = Report(
        title="meshsim demo: who should choose the route?",
        lead=(
            f"{len(plan.nodes)} nodes on {plan.underlay.topology.name}, {story.logged.calls:,} calls: simulated, "
            f"learned from, decided anew by every policy; then {story.real.processes} real nodes, one call, one relay "
            "killed."
        ),
        verdicts=_verdicts(story),
        sections=[
            _world(story),
            _choices(story),
            _learning(story),
            _living(story),
            _reality(story),
            *_twin(story),
            _size(story),
        ],
        provenance=[
            ("seed", str(story.seed)),
            ("trace_sha256", story.sha256),
            ("model", str(story.trained.folder)),
            ("meshsim", __version__),
            ("seconds by stage", ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in story.seconds.items())),
        ],
        command=command,
    )
    return write(report, path)


def _verdicts(story: Story) -> list[tuple[bool, str]]:
    return [
        *(_beats("learned", rival, story.logged, "") for rival in RIVALS),
        *(_beats("committed", rival, story.elsewhere, STOPPED) for rival in RIVALS),
        (
            story.trained.parity <= PARITY,
            f"torch and ONNX agree to {story.trained.parity:.1e} (at most {PARITY:.0e})",
        ),
        _passed(story.real),
        _outlived(story),
    ]


def _beats(better: str, worse: str, result: OpenLoop, where: str) -> tuple[bool, str]:
    gap = result.difference[better, worse]
    return gap.high < 0, (
        f"{better} against {worse}: {100 * gap.mean:+.1f} points of poor calls "
        f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}] on {result.calls:,} calls{where}"
    )


def _passed(real: RealCall) -> tuple[bool, str]:
    late = f"{1e3 * real.precision_p99:.2f} ms"
    if not real.valid:
        return False, f"INVALID: counts differ on {len(real.mismatches)} links, or the emulator failed its self-test"
    return True, f"every datagram of the real nodes passed the emulator, 99 % of them at most {late} late"


def _outlived(story: Story) -> tuple[bool, str]:
    real = story.real
    silent = 1e3 * (real.gap[1] - real.gap[0])
    if not np.isfinite(silent):
        return False, "the call did not outlive its relay"
    return True, (
        f"the call outlived its relay: noticed after {1e3 * real.detect_seconds:.0f} ms, silent for {silent:.0f} ms"
    )


def _world(story: Story) -> Section:
    poor, blocked = direct_paths(story.trace)
    text = (
        f"Of the direct paths that connect, {100 * poor:.1f} % would have been poor calls (RTT over 320 ms, loss over "
        f"1.2 % or jitter over 12 ms); {100 * blocked:.1f} % of direct paths do not connect at all: NATs, mostly."
    )
    moves = Trace(story.trace).table("trust").to_pandas()
    return Section(
        title="The world",
        text=[text],
        pictures=[
            picture(figures.network(story.plan), "Underlay, overlay nodes, and relays that misbehave"),
            picture(figures.reputation(moves, story.plan.nodes.behaviour), "Reputation of relays over time"),
        ],
    )


def direct_paths(trace: Path) -> tuple[float, float]:
    """Share of poor calls among the direct paths that connect, and share of direct paths that do not."""
    routes = Trace(trace).columns("routes")
    direct = np.array([len(path) == 2 for path in routes["path"]])  # noqa: PLR2004 - caller and callee
    connected = routes["connected"][direct]
    return float(routes["poor"][direct][connected].mean()), float((~connected).mean())


def _choices(story: Story) -> Section:
    text = (
        "Every candidate path of every logged call was probed in the simulation, so each policy's choice has a known "
        "outcome. Intervals are at 95 %, clustered by view."
    )
    here, there = story.plan.underlay.topology.name, story.elsewhere_topology
    rates = figures.poor_rates(story.logged.poor_call_rate)
    return Section(
        title="The same calls, decided by each policy",
        text=[text],
        tables=[_rates(story.logged, here), _rates(story.elsewhere, f"{there} (validation)")],
        pictures=[picture(rates, "Share of poor calls per policy on the logged calls")],
    )


def _rates(result: OpenLoop, where: str) -> Table:
    rows = [
        [name, WORDS.get(name, ""), percent(rate), f"{result.regret[name].mean:.3f}"]
        for name, rate in result.poor_call_rate.items()
    ]
    columns = ["policy", "who chooses", "poor calls, %", "MOS forgone"]
    return Table(columns=columns, rows=rows, caption=f"On {where}, {result.calls:,} calls", words=2)


def _learning(story: Story) -> Section:
    trained, calls = story.trained, story.trained.calls
    rows = [
        [name, f"{claims.auc:.3f}", f"{100 * claims.score_error:.1f}", f"{100 * claims.confidence_error:.1f}"]
        for name, claims in story.logged.claims.items()
    ]
    history = {
        "train": [epoch.train for epoch in trained.history],
        "validation": [epoch.validation for epoch in trained.history],
    }
    text = (
        f"{calls['train']:,} calls trained on, {calls['calibration']:,} to calibrate, {calls['validation']:,} on "
        f"another graph to stop; epoch {trained.best} of {len(trained.history)} was kept. Calibration errors are "
        "expected errors in points."
    )
    return Section(
        title="Learning",
        text=[text],
        tables=[Table(columns=["scorer", "AUC good / poor", "error of ai_score", "error of confidence"], rows=rows)],
        pictures=[picture(figures.training(history), "Loss by epoch")],
    )


def _living(story: Story) -> Section:
    rtts = {name: _rtts(trace) for name, trace in story.closed_traces.items()}
    text = (
        "Here each policy really routes every call of the episode: its choices load links and move reputations. One "
        "episode each: the intervals are over its calls and say nothing of other episodes."
    )
    rows = [[name, percent(rate)] for name, rate in story.closed.items()]
    return Section(
        title="Living with one's choices (closed loop)",
        text=[text],
        tables=[Table(columns=["policy", "poor calls as lived, %"], rows=rows)],
        pictures=[picture(figures.rtt_distribution(rtts), "Round-trip time as lived, cumulative")],
    )


def _rtts(trace: Path) -> NDArray[np.float64]:
    rtt = Trace(trace).columns("calls")["rtt_seconds"]
    return np.asarray(rtt[np.isfinite(rtt)], dtype=np.float64)


def _reality(story: Story) -> Section:
    real, plan = story.real, story.small
    pairs = [real.path, *real.links]
    delays = [[pair.name, f"{1e3 * pair.simulated:.1f}", milliseconds(pair.measured)] for pair in pairs]
    text = (
        f"Call {plan.calls.callee[0]} from {plan.nodes.auras[int(plan.calls.caller[0])]}: Opus over SRTP, through "
        "processes that forward it without a codec, every datagram through the link emulator. One-way delays in ms: "
        "the simulator's, and measured (path: send times in the audio; links: half the round trip of pings)."
    )
    return Section(
        title=f"The same agent on {real.processes} real nodes",
        text=[text],
        tables=[_call_table(real), Table(columns=["one-way delay, ms", "simulated", "measured"], rows=delays)],
        pictures=list(_real_pictures(real, plan)),
    )


def _call_table(real: RealCall) -> Table:
    return Table(
        columns=["the call", ""],
        rows=[
            ["audio packets received", f"{len(real.arrivals)}"],
            ["data messages received", f"{real.talk.heard['data_messages_received']}"],
            ["path before", " → ".join(real.name_path(real.talk.path))],
            ["path after", " → ".join(real.name_path(real.talk.final_path))],
            ["relay's death noticed after", f"{1e3 * real.detect_seconds:.0f} ms"],
            ["silence at the callee", f"{1e3 * (real.gap[1] - real.gap[0]):.0f} ms"],
        ],
    )


def _real_pictures(real: RealCall, plan: Plan) -> Iterator[Picture]:
    start = float(real.arrivals[0])
    killed = None if real.talk.killed is None else real.talk.killed[1] - start
    resumed = real.gap[1] - start if np.isfinite(real.gap[1]) else None
    paths = {"before": real.talk.path, "after": real.talk.final_path}
    title = "The call's path before and after its relay was killed"
    yield picture(figures.network(plan, paths=paths, label_all=True, title=title), title)
    heard = figures.packets([t - start for t in real.arrivals], killed=killed, resumed=resumed)
    yield picture(heard, "Audio packets received over time")
    pairs = [real.path, *real.links]
    beside = figures.twin([p.name for p in pairs], [p.simulated for p in pairs], [p.measured for p in pairs])
    yield picture(beside, "Simulated beside measured one-way delay")


def _twin(story: Story) -> list[Section]:
    """The same calls on both sides; the twin's own report has the rest."""
    calls, apart = call_by_call(story.twin), how_far_apart(story.twin)
    count = len(story.twin.calls)
    lead = (
        f"The preset {story.twin.plan.scenario.name}, {'one call' if count == 1 else f'{count} calls'}: first in the "
        "simulator, then on ten real nodes over links as the simulator had them (meshsim twin)."
    )
    return [
        replace(calls, title="The simulator beside real nodes", text=[lead, *calls.text]),
        replace(apart, title="How far the simulator is from them"),
    ]


def _size(story: Story) -> Section:
    scale = story.scale
    text = (
        f"{scale['nodes']:,.0f} nodes and {scale['calls']:,.0f} calls were simulated (modelled control plane) in "
        f"{scale['seconds']:.1f} s, {scale['calls'] / scale['seconds']:,.0f} calls per second, while another episode "
        "ran beside it."
    )
    return Section(title="A thousand nodes", text=[text])
