"""The report of one run: what calls lived through, when, where, and why some failed; the network to look into."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from meshsim import __version__
from meshsim.lab import changes, figures
from meshsim.lab.report import Report, Section, Table, picture, write
from meshsim.lab.view import view
from meshsim.measure.metrics import METRICS
from meshsim.measure.trace import ENVIRONMENT
from meshsim.mesh.errors import MeshSimError
from meshsim.scenario import Scenario, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from meshsim.lab.run import Result
    from meshsim.measure.stats import Interval

PAGE_BYTES = 2_000_000
"""A page to look into that is larger is left out of a report."""

_STRETCHES = 20
_REASONS = 12


def look_into(folder: Path) -> list[tuple[str, str]]:
    """The network of a trace as a page within a report, unless it is too large for that."""
    page = view(folder).html
    return [(page, "The network in time: pick a node or a call, move the slider")] if len(page) <= PAGE_BYTES else []


def write_run(result: Result, path: Path) -> Path:
    """Writes the report of a run; equal traces written by the same machine give equal bytes.

    Raises:
        ConfigError: If it cannot be written there.
    """
    plan = result.plan
    report = Report(
        title=f"Run: {plan.scenario.name}, seed {plan.seed}, {result.policy}",
        lead=" ".join(
            [
                f"{len(plan.nodes)} nodes on {plan.underlay.topology.name}, {len(result.calls):,} calls in",
                f"{plan.scenario.duration / 60:g} min, routed by {result.policy}.",
            ]
        ),
        verdicts=[(None, line) for line in _findings(result)],
        sections=[
            _metrics(result),
            *_over_time(result),
            _network(result),
            *_reputations(result),
            _outcomes(result.calls),
            _configuration(plan.scenario),
        ],
        provenance=list(_provenance(result)),
        command=command(result),
    )
    return write(report, path)


def _findings(result: Result) -> Iterator[str]:
    """What came out, in sentences; one run claims nothing."""
    poor = result.metrics["poor_call_rate"]
    yield f"{_percent(poor)} of calls were poor." if np.isfinite(poor.mean) else "No call was over when the run was."
    yield _failing(result)
    relayed, moved = result.metrics["relayed_call_rate"], int(result.calls["failovers"].sum())
    if np.isfinite(relayed.mean):
        yield f"{_percent(relayed)} of calls went over relays; calls moved {moved:,} times to another path as they ran."


def _failing(result: Result) -> str:
    reasons = Counter(result.calls[result.calls["outcome"] == "failed"]["reason"])
    if not reasons:
        return "No call failed."
    (reason, count), *_ = reasons.most_common(1)
    share = _percent(result.metrics["failed_call_rate"])
    return f"{share} of calls failed, {count} of {reasons.total()} because of: {reason or 'no reason told'}."


def _percent(interval: Interval) -> str:
    spread = f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if np.isfinite(interval.high) else ""
    return f"{100 * interval.mean:.1f} %{spread}"


def _metrics(result: Result) -> Section:
    told = {name: interval for name, interval in result.metrics.items() if np.isfinite(interval.mean)}
    rows = [[name, METRICS[name].text, METRICS[name].unit, *_cells(interval)] for name, interval in told.items()]
    silent = [name for name in result.metrics if name not in told]
    text = ["Means over the calls of this run with their 95 % interval. They say nothing of other seeds."]
    if silent:
        text.append(f"Nothing tells of: {', '.join(silent)}.")
    columns = ["metric", "what", "unit", "mean", "low", "high"]
    return Section(
        title="What came out", text=text, tables=[Table(columns=columns, rows=rows, words=3, caption="Every metric")]
    )


def _cells(interval: Interval) -> list[str]:
    return ["-" if np.isnan(value) else f"{value:.4g}" for value in (interval.mean, interval.low, interval.high)]


def _over_time(result: Result) -> Iterator[Section]:
    if not result.calls.empty:
        yield quality_over_time({result.policy: result.calls}, result.plan.scenario.duration)


def quality_over_time(runs: Mapping[str, pd.DataFrame], duration: float) -> Section:
    """The section of how calls sounded, by when they began.

    Args:
        runs: The table `calls` of one or more runs, by name.
        duration: Of the episodes, in seconds.
    """
    edges = np.linspace(0.0, duration, _STRETCHES + 1)
    drawn = figures.bands(
        edges[:-1] / 60.0,
        {name: _stretched(calls, edges) for name, calls in runs.items()},
        xlabel="minutes",
        ylabel="MOS",
        title="Quality of calls, by their begin",
        bounds=(1.0, 5.0),
    )
    return Section(
        title="How it went over time",
        text=["Calls by when they began, with the band of the 95 % interval over the calls of each stretch."],
        pictures=[picture(drawn, "Mean opinion score of calls over time")],
    )


def _stretched(calls: pd.DataFrame, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, T): opinion scores of the calls of each stretch, filled up with NaN."""
    stretch = np.searchsorted(edges[1:-1], calls["start_ns"] / 1e9, side="right")
    parts = [calls["mos"].to_numpy(dtype=float)[stretch == at] for at in range(len(edges) - 1)]
    longest = max(1, *(len(part) for part in parts))
    return np.array([np.pad(part, (0, longest - len(part)), constant_values=np.nan) for part in parts]).T


def _network(result: Result) -> Section:
    pages = look_into(result.path)
    aside = f"To look into it: meshsim view {shlex.quote(result.path.name)}"
    return Section(
        title="The network",
        text=["Below the picture, on a screen: the same network in time." if pages else aside],
        pictures=[picture(result.plot_network(), "The underlay, and the nodes of the overlay on it")],
        pages=pages,
    )


def _reputations(result: Result) -> Iterator[Section]:
    if result.trust.empty:
        return
    yield Section(
        title="Whom nodes came to trust",
        text=[f"{len(result.trust):,} moves of reputations; each kind of true behaviour with its mean."],
        pictures=[picture(result.plot_reputation(), "Reputation over time, by true behaviour")],
    )


def _outcomes(calls: pd.DataFrame) -> Section:
    counted = Counter(zip(calls["outcome"], calls["reason"].replace("", "-"), strict=True))
    rows = [[*ended, f"{count:,}", f"{100 * count / len(calls):.1f}"] for ended, count in counted.most_common(_REASONS)]
    return Section(
        title="How calls ended",
        text=[f"The {_REASONS} most frequent ends."] if len(counted) > _REASONS else [],
        tables=[Table(columns=["outcome", "reason", "calls", "%"], rows=rows, words=2, caption="Calls by their end")],
    )


def _configuration(scenario: Scenario) -> Section:
    keys, (_, said) = changes.differing({"default": Scenario(), "here": scenario})
    rows = [[key, value] for key, value in zip(keys, said, strict=True) if key != "description"]
    return Section(
        title="What was configured",
        text=[scenario.description] if scenario.description else [],
        tables=[
            Table(
                columns=["key", "value"],
                rows=rows,
                words=2,
                folded=True,
                caption=f"{len(rows)} keys that are not as by default",
            )
        ],
    )


def command(result: Result) -> str:
    """The command that makes the trace again; without overrides that cannot be told, its scenario is the table's."""
    scenario, plan = result.plan.scenario, result.plan
    words = ["meshsim", "run", scenario.name, "--seed", str(plan.seed), "--policy", result.policy]
    try:
        preset = load(scenario.name)
        changed = changes.overrides(preset, scenario)
        exact = load(scenario.name, changed) == scenario
    except MeshSimError:
        return ""
    return shlex.join([*words, *(word for one in changed for word in ("-o", one))]) if exact else ""


def _provenance(result: Result) -> Iterator[tuple[str, str]]:
    yield "trace_sha256", result.trace_sha256
    yield "scenario", result.plan.scenario.name
    yield "seed", str(result.plan.seed)
    yield "policy", result.policy
    yield from written(result.path)


def written(folder: Path) -> Iterator[tuple[str, str]]:
    """By what, where and when a trace was written."""
    told = json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8"))
    yield "meshsim", str(told.get("meshsim", __version__))
    for name in ("host", "machine", "python", "written"):
        if name in told:
            yield name, str(told[name])
