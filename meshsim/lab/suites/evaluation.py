"""A scorer beside its rivals on the calls of a suite: simulate, decide anew, add up, hold to the goals."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim import __version__
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.lab.suites import closed_loop
from meshsim.lab.suites.definitions import SUITES
from meshsim.lab.suites.episodes import simulated
from meshsim.learn.dataset import load
from meshsim.learn.scorecard import METRICS, Card, Oracle, Resampling, cards
from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies import list_models, load_model, make

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from meshsim.lab.suites.definitions import Aim, Case, Suite
    from meshsim.routing.policies import Policy

LEARNED, ORACLE, DEFAULT = "learned", "oracle", "direct"
RIVALS = ("direct", "shortest", "greedy-reputation", "widest-shortest", "weighted", "physics", "via")
"""Hand-made policies in every table; `shortest` is the greedy rule, which takes the least RTT it believes in."""

MODELS = ("trees", "zero-rounds")
"""Rivals that are scorers themselves, where `models/` holds them."""

TOLD = ("poor_call_rate", "captured", "regret_mos", "kendall_tau_b", "wape_rtt", "wape_jitter", "wape_loss")
"""Metrics of each policy; of policies that claim more, the others of `METRICS` too."""


def evaluate(
    model: str, suite: str, *, quick: bool = False, cache: Path | None = None, progress: bool = True
) -> dict[str, Any]:
    """Holds a scorer against its rivals and the oracle on a suite's calls, by counterfactual labels.

    Args:
        model: A name, or the folder of an artefact.
        suite: A name in `SUITES`.
        quick: Only the few worlds that stand for all.
        cache: Where episodes are kept, so that several scorers are held against the same without simulating again.
        progress: Whether a bar may show.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.

    Raises:
        ConfigError: If the model or the suite is unknown.
    """
    chosen = SUITES[suite]
    scorer = load_model(model)
    cases = [case for case in chosen.cases if not quick or case.label in chosen.quick]
    with tempfile.TemporaryDirectory(prefix="meshsim-suite-") as folder:
        kept = Path(folder) if cache is None else cache
        if chosen.closed:
            found = closed_loop.measure(model, cases, kept, progress=progress)
        else:
            with bar(f"simulating suite {suite}", shown=progress) as advance:
                traces = simulated(cases, kept, advance)
            with bar(f"deciding suite {suite}", shown=progress) as advance:
                found = _open(chosen, scorer, traces)
    return {
        "name": f"evaluate {model} on {suite}{' (quick)' if quick else ''}",
        **found,
        "machine": {"machine": platform.machine(), "python": platform.python_version()},
        "version": __version__,
    }


def rivals(scorer: Policy) -> dict[str, Policy | Oracle]:
    """All that stand in a table, the scorer and the oracle last; fresh, for some of them learn."""
    hand: dict[str, Policy | Oracle] = {name: make(name) for name in RIVALS}
    models = {name: _loaded(name) for name in MODELS if name in list_models()}
    return {**hand, **models, LEARNED: scorer, ORACLE: Oracle()}


def _loaded(name: str) -> Policy:
    return load_model(name)


def _open(suite: Suite, scorer: Policy, traces: Sequence[tuple[Case, Path]]) -> dict[str, Any]:
    dataset = load([folder for _, folder in traces], use="evaluate")
    if not any(example.feasible.any() for example in dataset.examples):
        raise ConfigError("no call of the suite has a feasible candidate", key="--suite")
    found = cards(dataset.examples, rivals(scorer), make(DEFAULT))
    labels = [case.label for case, _ in traces]
    parts = {label: [run for run, own in enumerate(labels) if own == label] for label in dict.fromkeys(labels)}
    return {
        "goals": [_goal(aim, found, parts) for aim in suite.goals if _applies(aim, found, parts)],
        "tables": {
            "all": [_line(name, card, _draws(found)) for name, card in found.items()],
            f"by_{suite.by}": [
                {suite.by: label, **_line(name, card.of(runs), None)}
                for label, runs in parts.items()
                for name, card in found.items()
            ],
            "absent": [{"model": name} for name in MODELS if name not in found],
        },
    }


def _draws(found: Mapping[str, Card]) -> Resampling:
    return Resampling(next(iter(found.values())).run)


def _line(name: str, card: Card, draws: Resampling | None) -> dict[str, Any]:
    """One policy: each metric, with its interval where there are draws."""
    line: dict[str, Any] = {"policy": name, "calls": len(card.regret), "regret_median": _median(card.regret)}
    whole = card.sums.sum(axis=0)
    for metric, of in METRICS.items():
        value = float(of(whole))
        if metric not in TOLD and not np.isfinite(value):
            continue
        line[metric] = value
        if draws is not None:
            interval = draws.interval(card, of)
            line[f"{metric}_low"], line[f"{metric}_high"] = interval.low, interval.high
    return line


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _applies(aim: Aim, found: Mapping[str, Card], parts: Mapping[str, list[int]]) -> bool:
    """Whether what an aim speaks of is there: its rival, and one of its labels."""
    return (not aim.over or aim.over in found) and (not aim.only or any(label in parts for label in aim.only))


def _goal(aim: Aim, found: Mapping[str, Card], parts: Mapping[str, list[int]]) -> dict[str, Any]:
    labels = [label for label in parts if not aim.only or label in aim.only]
    metric, upward = METRICS[aim.metric], aim.op in {">", ">="}
    groups = [parts[label] for label in labels] if aim.each else [[run for label in labels for run in parts[label]]]
    values = []
    for runs in groups:
        mine = found[LEARNED].of(runs)
        if not aim.over:
            values.append(float(metric(mine.sums.sum(axis=0))))
        elif aim.each:
            values.append(float(metric(mine.sums.sum(axis=0)) - metric(found[aim.over].of(runs).sums.sum(axis=0))))
        else:
            gap = Resampling(mine.run).difference(mine, found[aim.over].of(runs), metric)
            values.append(gap.low if upward else gap.high)
    return judge(aim.goal, min(values) if upward else max(values), aim.op, aim.target)
