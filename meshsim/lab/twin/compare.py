"""One plan on both sides, call by call; and whether the simulator may be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.goals import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from meshsim.lab.twin.lived import Lived, Measures
    from meshsim.measure.stats import Interval

SAME_PATH = 0.95
DELAY_SECONDS, DELAY_SHARE = 0.002, 0.10
LOSS, MOS = 0.01, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A planned call on both sides.

    Attributes:
        number: In the plan.
        caller, callee: Names of the nodes.
        simulated: In the simulator.
        real: On real nodes.
    """

    number: int
    caller: str
    callee: str
    simulated: Lived
    real: Lived

    @property
    def alike(self) -> bool:
        """Whether both took the same first route, or neither found one."""
        return self.simulated.path == self.real.path

    @property
    def comparable(self) -> bool:
        """Whether both were measured on one and the same route."""
        return self.alike and self.simulated.measured and self.real.measured

    def ways(self) -> list[tuple[Measures, Measures]]:
        """From caller to callee, and back: what was measured in the simulator, and on real nodes."""
        return list(zip(self.simulated.ways(), self.real.ways(), strict=True))


def excess(simulated: float, real: float) -> float:
    """How far a real delay is from the simulated one, in what it may be: 2 ms, or a tenth of it if that is more.

    >>> round(excess(0.050, 0.0525), 3)
    0.5
    """
    return abs(real - simulated) / max(DELAY_SECONDS, DELAY_SHARE * simulated)


def goals(calls: Sequence[Beside], *, valid: bool) -> list[dict[str, Any]]:
    """The project's goals for a twin: of delay, loss and MOS the direction of a call in the middle is held to them."""
    off = differences(calls)
    return [
        judge("valid", float(valid), "==", 1.0),
        judge("same_path", float(np.mean([call.alike for call in calls])) if calls else math.nan, ">=", SAME_PATH),
        judge("median_delay_excess", _middle(off["delay"]), "<=", 1.0),
        judge("median_loss_difference", _middle(off["loss"]), "<=", LOSS),
        judge("median_mos_difference", _middle(off["mos"]), "<=", MOS),
    ]


def differences(calls: Sequence[Beside]) -> dict[str, NDArray[np.float64]]:
    """Of both directions of all calls that can be compared, how far both sides are apart.

    Delay as `excess`, jitter in seconds, loss as a share, MOS.
    """
    found: dict[str, list[float]] = {"delay": [], "jitter": [], "loss": [], "mos": []}
    for call in calls:
        for simulated, real in call.ways() if call.comparable else ():
            found["delay"].append(excess(simulated.delay.mean, real.delay.mean))
            for name in ("jitter", "loss", "mos"):
                found[name].append(abs(getattr(real, name).mean - getattr(simulated, name).mean))
    return {name: np.array(values) for name, values in found.items()}


def _middle(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else math.nan


def spread(calls: Sequence[Beside]) -> list[dict[str, Any]]:
    """How the differences are spread over directions of calls: middle, nine tenths, worst, and the share within."""
    bounds = {"delay": 1.0, "jitter": DELAY_SECONDS, "loss": LOSS, "mos": MOS}
    units = {"delay": "of max(2 ms, 10 %)", "jitter": "ms", "loss": "points", "mos": "MOS"}
    scale = {"delay": 1.0, "jitter": 1e3, "loss": 100.0, "mos": 1.0}
    return [
        {
            "difference": name,
            "unit": units[name],
            "directions": len(values),
            "median": scale[name] * _middle(values),
            "p90": scale[name] * float(np.quantile(values, 0.9)) if len(values) else math.nan,
            "worst": scale[name] * float(values.max()) if len(values) else math.nan,
            "bound": scale[name] * bounds[name],
            "share within": float((values <= bounds[name]).mean()) if len(values) else math.nan,
        }
        for name, values in differences(calls).items()
    ]


def rows(calls: Sequence[Beside], names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each call, for people: both paths, and what the callee measured, with 95 % intervals."""
    return [dict(_row(call, names)) for call in calls]


def _row(call: Beside, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    yield "call", call.number
    yield "simulated", _way(call.simulated, names)
    yield "real", "the same" if call.alike and call.simulated.path else _way(call.real, names)
    measures = {"sim": call.simulated, "real": call.real}
    measured = {side: lived.ways()[0] if lived.measured else None for side, lived in measures.items()}
    for name, unit, scale in (("delay", "ms", 1e3), ("jitter", "ms", 1e3), ("loss", "%", 100.0), ("mos", "", 1.0)):
        for side, found in measured.items():
            heading = " ".join(part for part in (name, side, unit) if part)
            yield heading, "" if found is None else told(getattr(found, name), scale)


def _way(lived: Lived, names: Sequence[str]) -> str:
    if not lived.path:
        return lived.reason or lived.outcome
    via = " ".join(names[node] for node in lived.path[1:-1])
    ends = f"{names[lived.path[0]]} > {names[lived.path[-1]]}"
    moved = "" if lived.final_path == lived.path else ", then " + " ".join(names[n] for n in lived.final_path[1:-1])
    return f"{ends} by {via}{moved}" if via else f"{ends} directly{moved}"


def told(interval: Interval, scale: float) -> str:
    """`42.1 ±0.3`: a mean and half the width of its interval; the mean alone where that is not known."""
    half = scale * (interval.high - interval.low) / 2.0
    around = f" ±{half:.2f}" if math.isfinite(half) else ""
    return f"{scale * interval.mean:.2f}{around}"


def changes(calls: Sequence[Beside], names: Sequence[str], downs: Sequence[tuple[float, int]]) -> list[dict[str, Any]]:
    """A row for each call that lost its path on either side: when, where to, and how long it took.

    Args:
        calls: All calls.
        names: Of nodes, by row.
        downs: When which node vanished, seconds.
    """
    return [
        {
            "call": call.number,
            "lost relay": _culprit(call, names, downs),
            **{f"noticed {side} ms": _noticed(lived, downs) for side, lived in _sides(call)},
            **{f"mended {side} ms": 1e3 * (lived.restored - lived.lost) for side, lived in _sides(call)},
            **{f"then {side}": " ".join(names[n] for n in lived.final_path[1:-1]) for side, lived in _sides(call)},
        }
        for call in calls
        if math.isfinite(call.simulated.lost) or math.isfinite(call.real.lost)
    ]


def _sides(call: Beside) -> tuple[tuple[str, Lived], tuple[str, Lived]]:
    return ("sim", call.simulated), ("real", call.real)


def _down(lived: Lived, downs: Sequence[tuple[float, int]]) -> tuple[float, int] | None:
    """The relay of the first route that vanished last before the path was given up."""
    before = [(at, node) for at, node in downs if node in lived.path[1:-1] and at <= lived.lost]
    return max(before, default=None)


def _culprit(call: Beside, names: Sequence[str], downs: Sequence[tuple[float, int]]) -> str:
    found = _down(call.simulated, downs) or _down(call.real, downs)
    return "none vanished" if found is None else names[found[1]]


def _noticed(lived: Lived, downs: Sequence[tuple[float, int]]) -> float:
    found = _down(lived, downs)
    return math.nan if found is None else 1e3 * (lived.lost - found[0])
