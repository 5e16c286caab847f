"""`meshsim bench trust`: all that is measured of reputation, as one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshsim.lab.bench import answer
from meshsim.lab.bench.trust_change import run_change
from meshsim.lab.bench.trust_desk import run_desk
from meshsim.lab.bench.trust_loop import run_loop
from meshsim.lab.bench.trust_recompute import run_recompute
from meshsim.lab.bench.trust_scale import run_scale
from meshsim.lab.bench.trust_static import run_static
from meshsim.lab.bench.trust_sybils import run_sybils

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS: dict[str, tuple[Callable[..., dict[str, Any]], ...]] = {
    "static": (run_static, run_change, run_sybils),
    "scale": (run_scale, run_recompute),
    "desk": (run_desk,),
    "loop": (run_loop,),
}
"""What each part measures."""


def run(part: str | None = None, *, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Measures one part of `PARTS`, or all.

    Args:
        part: Which; None for all.
        quick: Small cases: whether everything runs.
        progress: Whether to show bars where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.
    """
    goals: list[dict[str, Any]] = []
    tables: dict[str, Any] = {}
    for measure in PARTS[part] if part is not None else (one for some in PARTS.values() for one in some):
        measured = measure(quick=quick, progress=progress)
        goals += measured["goals"]
        tables |= measured["tables"]
    return answer("trust", goals, tables)
