"""`ms.run`: a scenario and a seed in, tables and pictures out."""

from __future__ import annotations

import html
import itertools
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from meshsim.lab import figures
from meshsim.lab.interrupts import Stopped, leave, patient, stopping
from meshsim.lab.progress import bar
from meshsim.lab.view import view
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import mean_interval
from meshsim.measure.trace import HEADER, Trace, trace_sha256
from meshsim.mesh.errors import ConfigError, TraceError, nearest
from meshsim.routing.policies import POLICIES
from meshsim.routing.protocols import PROTOCOLS
from meshsim.scenario import Scenario, compile_plan, load
from meshsim.scenario.quantities import ORACLE, SHORTEST_PERIOD
from meshsim.sim import begin, checkpoint
from meshsim.sim.checkpoint import CHECKPOINT, describe
from meshsim.sim.fork import fork as make_fork
from meshsim.sim.rtc.capture import capture_call
from meshsim.sim.rtc.tap import NoMedia

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from meshsim.lab.view import View
    from meshsim.measure.stats import Interval
    from meshsim.routing.policies import Policy
    from meshsim.scenario.plan import Plan
    from meshsim.sim import Episode
    from meshsim.sim.rtc import SessionResult

RUNS = Path("runs")

CAPTURES = "calls"
"""Folder of captured calls, beside the trace's tables."""


@dataclass(frozen=True)
class Result:
    """One episode that was run: its trace as DataFrames, its summary, its pictures.

    Attributes:
        plan: What was run.
        path: The folder of the trace.
        policy: Who chose the routes.
        captures: Of calls whose packets were asked for, what they were like when lived through packet by packet.
    """

    plan: Plan
    path: Path
    policy: str
    captures: dict[int, SessionResult] = field(default_factory=dict)

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
            **({"captures": {n: _brief(n, told) for n, told in self.captures.items()}} if self.captures else {}),
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

    def view(self) -> View:
        """The network as a page one can look into; in a notebook, it shows itself."""
        return view(self.path)

    def report(self, path: Path | str) -> Path:
        """Writes all of it as one HTML file that needs nothing else: findings, pictures, tables, how to repeat it."""
        from meshsim.lab.run_report import write_run  # noqa: PLC0415 - it looks at results

        return write_run(self, Path(path))

    def _repr_html_(self) -> str:
        rows = pd.DataFrame(
            [(name, METRICS[name].text, i.mean, i.low, i.high) for name, i in self.metrics.items()],
            columns=["metric", "what", "mean", "low", "high"],
        )
        head = (
            f"<b>{html.escape(self.plan.scenario.name)}</b>, seed {self.plan.seed}, policy {html.escape(self.policy)}: "
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


def run(  # noqa: PLR0913 - the verb has as many options
    scenario: str | Path | Scenario | None = None,
    *,
    seed: int = 1,
    overrides: Sequence[str] = (),
    out: Path | str | None = None,
    policy: str | Policy | None = None,
    progress: bool = True,
    checkpoint_every: float | None = None,
    resume: Path | str | None = None,
    fork: Path | str | None = None,
    pcap: Sequence[int] = (),
) -> Result:
    """Runs a scenario and returns its tables; or goes on with a run that was saved.

    Args:
        scenario: A YAML file, the name of a preset, or a loaded scenario; not with `resume` or `fork`.
        seed: Same scenario and seed, same trace.
        overrides: As on the command line: `calls.rate=2`. With `fork`, what is changed: keys of `sim.fork.CHANGEABLE`.
        out: Folder of the trace; by default a new one below `runs/`.
        policy: Instead of the scenario's routing policy: a policy, or the name of one or of a routing protocol.
        progress: Whether a bar shows on a terminal when it takes longer than 2 s.
        checkpoint_every: Simulated seconds after which the run is saved again, so that it survives being killed and
            can be forked. Saving changes nothing in the trace.
        resume: Folder of a run that was saved and did not finish; it goes on as if nothing had happened.
        fork: Folder of a run that was saved: its warm world goes on from there into a trace of its own.
        pcap: Numbers of calls whose packets are captured into `calls/<number>.pcapng` in the folder of the trace; the
            trace itself stays the same. Not with `resume` or `fork`, which go on with what the saved run captures.

    Raises:
        ConfigError: If the scenario is wrong, or `out` exists; nothing is left half-written but what can be resumed.
        TraceError: If there is no sound checkpoint of this version to go on with.
        NoMedia: If a call to capture never connected; the trace is whole, and other calls are captured.
        KeyboardInterrupt: At the first Ctrl-C, when what was simulated is a trace beside `out` (`.part`) and the run is
            saved, so that it can be resumed; the note of the exception says how. The second one is heard at once.
    """
    if sum(source is not None for source in (scenario, resume, fork)) != 1:
        raise ConfigError("one of a scenario, a run to resume and a run to fork is needed", key="scenario")
    if pcap and scenario is None:
        raise ConfigError("a saved run captures what it was started with", key="--pcap")
    if checkpoint_every is not None and not checkpoint_every >= SHORTEST_PERIOD:
        raise ConfigError(
            f"out of range: {checkpoint_every:g}",
            key="--checkpoint-every",
            allowed=[f">= {SHORTEST_PERIOD:g} (seconds)"],
        )
    _check_policy(policy)
    if resume is not None:
        return _resume(Path(resume), checkpoint_every, progress)
    if fork is not None:
        return _fork(Path(fork), out, overrides, policy, checkpoint_every, progress)
    assert scenario is not None  # noqa: S101 - narrows the type for mypy
    loaded = scenario if isinstance(scenario, Scenario) else load(scenario, overrides)
    plan = compile_plan(loaded, seed)
    folder = fresh_folder(out, f"{loaded.name}-seed{seed}")

    def start(unfinished: Path) -> Episode:
        episode = begin(plan, unfinished, policy=policy)
        if pcap:
            episode.listen(pcap)
        return episode

    return _complete(start, folder, checkpoint_every, progress)


def choosers() -> list[str]:
    """All that can choose the routes of a run, by name: policies, the oracle, routing protocols."""
    return [*POLICIES, ORACLE, *PROTOCOLS]


def _check_policy(policy: str | Policy | None) -> None:
    if isinstance(policy, str) and policy not in (known := choosers()):
        raise ConfigError(f"unknown policy {policy!r}", key="policy", allowed=known, nearest=nearest(policy, known))


def _resume(given: Path, every: float | None, progress: bool) -> Result:  # noqa: FBT001 - as `run` was told
    folder = _finished(given)
    saved = _saved(folder)
    if saved == folder and (saved / HEADER).exists():
        raise TraceError(f"{folder} has finished: there is nothing to resume; --fork goes on from its last checkpoint")
    told = describe(saved)
    every = told["every_seconds"] if every is None else every
    # killed when the trace was whole and had not got its name: its end is written once more
    (saved / HEADER).unlink(missing_ok=True)
    return _complete(lambda _: checkpoint.resume(saved), folder, every, progress)


def _fork(
    given: Path,
    out: Path | str | None,
    changes: Sequence[str],
    policy: str | Policy | None,
    every: float | None,
    progress: bool,  # noqa: FBT001 - as `run` was told
) -> Result:
    saved = _saved(_finished(given))
    told = describe(saved)
    folder = fresh_folder(out, f"{told['name']}-seed{told['seed']}-fork")
    return _complete(lambda new: make_fork(saved, new, changes, policy=policy), folder, every, progress)


def _complete(
    start: Callable[[Path], Episode],
    folder: Path,
    every: float | None,
    progress: bool,  # noqa: FBT001 - as above
) -> Result:
    """Runs what `start` makes of the unfinished folder, which gets its name when it is finished."""
    unfinished = _unfinished(folder)
    with patient() as asked:
        try:
            episode = start(unfinished)
            with bar(f"simulating {episode.plan.scenario.name}", shown=progress) as advance:
                episode.progress = stopping(advance, asked)
                checkpoint.finish(episode, every)
            if unfinished.exists():
                unfinished.rename(folder)
        except Stopped as stop:
            _note(stop, folder, refused=leave(episode, every))
            raise
        except BaseException as error:
            if (unfinished / CHECKPOINT).exists():
                error.add_note(f"saved; go on with: meshsim run --resume {folder}")
            raise
        finally:
            if not any((unfinished / name).exists() for name in (CHECKPOINT, HEADER)):
                shutil.rmtree(unfinished, ignore_errors=True)
    if asked():
        late = KeyboardInterrupt()
        late.add_note(f"the run had just finished: {folder}")
        raise late
    return Result(episode.plan, folder, episode.engine.policy.name, _captured(episode, folder))


def _note(stop: Stopped, folder: Path, refused: str) -> None:
    """Says what an interrupted run left, and how to go on with it."""
    stop.add_note(f"what was simulated so far is a trace: {_unfinished(folder)}")
    if refused:
        stop.add_note(f"it cannot be gone on with: {refused}")
    else:
        stop.add_note(f"saved; go on with: meshsim run --resume {folder}")


def _brief(number: int, told: SessionResult) -> dict[str, Any]:
    """A captured call in a few numbers; all of them are in the file beside the capture."""
    ways = {"there": told.there, "back": told.back}
    return {
        "file": f"{CAPTURES}/{number}.pcapng",
        "seconds": told.seconds,
        **{
            name: {"mos": way.mos, "network_loss": way.network_loss, "rtt_seconds": way.rtt, "goodput_bps": way.goodput}
            for name, way in ways.items()
        },
    }


def _captured(episode: Episode, folder: Path) -> dict[int, SessionResult]:
    """Lives through the calls that were listened to; what could not be is said when all others are done."""
    captures, refused = {}, []
    for number, recording in (episode.tap.recordings if episode.tap is not None else {}).items():
        try:
            adaptive = episode.plan.scenario.media.adaptive
            captures[number] = capture_call(recording, folder / CAPTURES, episode.plan.seed, adaptive=adaptive)
        except NoMedia as error:
            refused.append(str(error))
    if refused:
        raise NoMedia("; ".join(refused))
    return captures


def _unfinished(folder: Path) -> Path:
    """Where a run writes until it is finished."""
    return folder.parent / f"{folder.name}.part"


def _finished(given: Path) -> Path:
    """The folder that a run will have, whether a person names that or the unfinished one."""
    named = given if given.name not in ("", "..") else given.resolve()  # `.` is a folder without a name
    return named.parent / named.name.removesuffix(".part")


def _saved(folder: Path) -> Path:
    """Where the checkpoint of a run lies: finished or not."""
    unfinished = _unfinished(folder)
    return unfinished if (unfinished / CHECKPOINT).exists() else folder


def make_folder(folder: Path) -> None:
    """Makes `folder` and those above it, where absent.

    Raises:
        ConfigError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}", key="--out") from error


def fresh_folder(out: Path | str | None, name: str) -> Path:
    """The folder to write to, which does not exist yet, in a folder that does.

    Raises:
        ConfigError: If `out` exists, or holds a run that can go on.
    """
    if out is not None:
        folder = Path(out)
        if folder.exists():
            raise ConfigError(f"{folder} exists already; name a new folder", key="--out")
        if (_unfinished(folder) / CHECKPOINT).exists():
            raise ConfigError(
                f"{_unfinished(folder)} holds a run that can go on: meshsim run --resume {folder}", key="--out"
            )
        make_folder(folder.parent)
        shutil.rmtree(_unfinished(folder), ignore_errors=True)
        return folder
    make_folder(RUNS)
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(RUNS / n for n in names if not ((RUNS / n).exists() or _unfinished(RUNS / n).exists()))
