"""Suites: named sets of episodes a scorer is held against, with goals. Nothing here is trained on."""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim import __version__
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.learn.evaluate import OpenLoop, evaluate_open_loop
from meshsim.mesh.registry import Registry
from meshsim.routing.policies import load_model, make
from meshsim.scenario import compile_plan, load
from meshsim.sim import simulate

if TYPE_CHECKING:
    from collections.abc import Callable

RIVALS = ("direct", "shortest", "weighted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Episodes to evaluate on.

    Attributes:
        scenario: A preset.
        seeds: One episode each; none of them is in a training configuration of the project.
        overrides: `key=value` each.
    """

    scenario: str
    seeds: tuple[int, ...]
    overrides: tuple[str, ...] = ("routing.policy=exploring",)


SUITES: Registry[Suite] = Registry("suite")
SUITES.add("smoke", Suite(scenario="demo", seeds=(901,), overrides=("routing.policy=exploring", "duration=20 min")))
SUITES.add("demo", Suite(scenario="demo", seeds=(911, 912)))
SUITES.add("validation", Suite(scenario="validation", seeds=(921, 922)))


def evaluate(model: str, suite: str, *, progress: bool = True) -> dict[str, Any]:
    """Holds a scorer against the baselines and the oracle on a suite's calls, by counterfactual labels.

    Args:
        model: A name, or the folder of an artefact.
        suite: A name in `SUITES`.
        progress: Whether a bar may show.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.

    Raises:
        ConfigError: If the model or the suite is unknown.
    """
    chosen, learned = SUITES[suite], load_model(model)
    with tempfile.TemporaryDirectory(prefix="meshsim-suite-") as folder:
        with bar(f"simulating suite {suite}", shown=progress) as advance:
            traces = list(_episodes(chosen, Path(folder), advance))
        result = evaluate_open_loop(traces, {**{name: make(name) for name in RIVALS}, "learned": learned})
    return {
        "name": f"evaluate {model} on {suite}",
        "goals": _goals(result),
        "tables": {"open_loop": result.rows(), "claims": {n: _claims(result, n) for n in result.claims}},
        "machine": {"machine": platform.machine(), "python": platform.python_version()},
        "version": __version__,
    }


def _episodes(suite: Suite, folder: Path, advance: Callable[[float], None]) -> list[Path]:
    traces = []
    for done, seed in enumerate(suite.seeds, start=1):
        out = folder / f"seed-{seed}"
        simulate(compile_plan(load(suite.scenario, suite.overrides), seed), out)
        traces.append(out)
        advance(done / len(suite.seeds))
    return traces


def _claims(result: OpenLoop, name: str) -> dict[str, float]:
    claims = result.claims[name]
    return {"auc": claims.auc, "ai_score_error": claims.score_error, "confidence_error": claims.confidence_error}


def _goals(result: OpenLoop) -> list[dict[str, Any]]:
    """The upper end of the paired interval against each baseline must lie below 0; nobody beats the oracle."""
    rates = result.poor_call_rate
    beaten = [
        judge(f"learned_minus_{rival}_high", result.difference["learned", rival].high, "<", 0.0) for rival in RIVALS
    ]
    return [*beaten, judge("oracle_minus_learned", rates["oracle"].mean - rates["learned"].mean, "<=", 0.0)]
