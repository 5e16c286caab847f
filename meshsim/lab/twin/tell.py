"""The report of a twin: whether the simulator may be believed, call by call."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim import __version__
from meshsim.lab import figures
from meshsim.lab.report import Report, Section, Table, picture, write
from meshsim.lab.twin.compare import DELAY_SECONDS, DELAY_SHARE, LOSS, MOS, changes, goals, rows, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from meshsim.lab.report import Picture
    from meshsim.lab.twin.run import Twin

WORDS = {
    "valid": "no datagram went past the emulator, it kept its time, and the machine had time for all nodes",
    "same_path": "share of calls with the same first route",
    "median_delay_excess": "delay of the direction in the middle, in max(2 ms, 10 %)",
    "median_loss_difference": "loss of the direction in the middle: difference",
    "median_mos_difference": "MOS of the direction in the middle: difference",
}


def tell(twin: Twin, path: Path) -> Path:
    """Writes the report; the file.

    Raises:
        ConfigError: If it cannot be written there.
    """
    plan = twin.plan
    report = Report(
        title=f"Twin: {plan.scenario.name}, seed {plan.seed}",
        lead=(
            f"{len(plan.calls)} voice calls in {plan.scenario.duration:g} s, first in the simulator, then on "
            f"{twin.reality.processes} real nodes: a process each, Opus over SRTP, every datagram through a link "
            "emulator that treats it as the simulator's world did. Both run the same agent."
        ),
        verdicts=[(goal["pass"], _verdict(goal)) for goal in goals(twin.calls, valid=twin.valid)],
        sections=[call_by_call(twin), how_far_apart(twin), *_moved(twin), _emulator(twin)],
        provenance=[
            ("seed", str(plan.seed)),
            ("policy", plan.scenario.routing.policy),
            ("trace_sha256 of the simulated episode", twin.trace_sha256),
            ("meshsim", __version__),
        ],
        command=f"meshsim twin {plan.scenario.name} --seed {plan.seed} --report {path.name}",
    )
    return write(report, path)


def _verdict(goal: Mapping[str, Any]) -> str:
    if goal["goal"] == "valid":
        return (
            WORDS["valid"]
            if goal["pass"]
            else "INVALID: datagrams went past the emulator, left it late, or the machine was busy"
        )
    return f"{WORDS[goal['goal']]}: {goal['value']:.3g} (wanted {goal['op']} {goal['target']:g})"


def _table(found: Sequence[Mapping[str, Any]], words: int, caption: str = "") -> Table:
    columns = list(found[0]) if found else ["nothing"]
    cells = [[_cell(row[column]) for column in columns] for row in found]
    return Table(columns=columns, rows=cells, caption=caption, words=words)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if math.isfinite(value) else ""
    return str(value)


def call_by_call(twin: Twin) -> Section:
    """What each call lived through on both sides."""
    text = (
        "What the callee of each call measured, with 95 % intervals over its seconds. The simulator tells what to "
        "expect; a real call of some seconds shows a sample of it, and its losses are a handful of packets."
    )
    found = rows(twin.calls, twin.plan.nodes.names)
    return Section(title="Call by call", text=[text], tables=[_table(found, 3)], pictures=list(_over_time(twin)))


def _over_time(twin: Twin) -> Iterator[Picture]:
    sides = [(call.simulated.there, call.real.there) for call in twin.calls if call.comparable]
    if sides:
        simulated, real = (
            [([second.at for second in side], [second.delay for second in side]) for side in column]
            for column in zip(*sides, strict=True)
        )
        yield picture(figures.in_time(simulated, real), "Delay of each call, second by second")


def how_far_apart(twin: Twin) -> Section:
    """Both sides against each other, and what they may differ by."""
    ways = [way for call in twin.calls if call.comparable for way in call.ways()]
    text = (
        f"Both directions of each call that took the same route on both sides, {len(ways)} in all. Grey is how far "
        f"apart they may be: {1e3 * DELAY_SECONDS:g} ms or {100 * DELAY_SHARE:g} % of delay, {100 * LOSS:g} point of "
        f"loss, {MOS:g} MOS."
    )
    drawn: list[Picture] = []
    if ways:
        measures = [
            figures.Agreement(
                title=title,
                simulated=[scale * getattr(simulated, name).mean for simulated, _ in ways],
                real=[_scaled(getattr(real, name), scale) for _, real in ways],
                within=within,
            )
            for name, title, scale, within in (
                ("delay", "one-way delay, ms", 1e3, lambda x: np.maximum(1e3 * DELAY_SECONDS, DELAY_SHARE * x)),
                ("loss", "loss, %", 100.0, lambda x: np.full_like(x, 100.0 * LOSS)),
                ("mos", "MOS", 1.0, lambda x: np.full_like(x, MOS)),
            )
        ]
        drawn.append(picture(figures.agreement(measures), "Real over simulated delay, loss and MOS"))
    return Section(title="How far apart", text=[text], pictures=drawn, tables=[_table(spread(twin.calls), 2)])


def _scaled(interval: Any, scale: float) -> Any:
    return type(interval)(*(scale * bound for bound in interval))


def _moved(twin: Twin) -> list[Section]:
    found = changes(twin.calls, twin.plan.nodes.names, twin.downs)
    if not found:
        return []
    text = "Calls that gave a route up: how long after a relay vanished, and how long until another stood."
    return [Section(title="Changes of route", text=[text], tables=[_table(found, 2)])]


def _emulator(twin: Twin) -> Section:
    before, during = twin.reality.before, twin.reality.during
    text = (
        f"In its self-test the emulator let 99 % of datagrams go at most {1e3 * before.p99:.2f} ms from their time; "
        f"during the run {1e3 * during.p99:.2f} ms, over its last {during.samples:,}. Directed links on which nodes "
        f"sent other counts than it saw: {len(twin.reality.mismatches)}. "
        f"A process with nothing to do woke at most {1e3 * twin.reality.lag:.1f} ms late, 99 times of a hundred."
    )
    return Section(title="The emulator", text=[text])
