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
from meshsim.lab.suites.episodes import lacking, simulated
from meshsim.learn.dataset import load
from meshsim.learn.offpolicy import estimate, logged, predicted
from meshsim.learn.scorecard import METRICS, Card, Oracle, Resampling, cards
from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies import list_models, load_model, make

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from meshsim.lab.suites.definitions import Aim, Case, Suite
    from meshsim.learn.dataset import Dataset
    from meshsim.routing.policies import Policy

LEARNED, ORACLE, DEFAULT = "learned", "oracle", "direct"
RIVALS = ("direct", "shortest", "greedy-reputation", "widest-shortest", "weighted", "physics", "via")
"""Hand-made policies in every table; `shortest` is the greedy rule, which takes the least RTT it believes in."""

MODELS = ("trees", "three-rounds")
"""Rivals that are scorers themselves, where `models/` holds them."""

LOGGED = ("direct", "shortest", "greedy-reputation", "weighted")
"""Policies whose rate is also estimated from the log alone, beside the scorer's."""

UPWARD = (">", ">=")
LOADING = 0.3
"""Share of the time of deciding that goes into reading episodes."""

TOLD = (
    "poor_call_rate",
    "captured",
    "regret_mos",
    "slight_regret_share",
    "kendall_tau_b",
    "wape_rtt",
    "wape_jitter",
    "wape_loss",
)
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
    wanted = [case for case in chosen.cases if not quick or case.label in chosen.quick]
    missing = {case.label: why for case in wanted if (why := lacking(case))}
    cases = [case for case in wanted if case.label not in missing]
    with tempfile.TemporaryDirectory(prefix="meshsim-suite-") as folder:
        kept = Path(folder) if cache is None else cache
        if chosen.closed:
            found = closed_loop.measure(model, cases, kept, progress=progress)
        else:
            with bar(f"simulating suite {suite}", shown=progress) as advance:
                traces = simulated(cases, kept, advance)
            with bar(f"deciding suite {suite}", shown=progress) as advance:
                found = _open(chosen, scorer, traces, advance)
    found["tables"].setdefault("absent", []).extend({"what": label, "why": why} for label, why in missing.items())
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


def _open(
    suite: Suite, scorer: Policy, traces: Sequence[tuple[Case, Path]], advance: Callable[[float], None]
) -> dict[str, Any]:
    folders = [folder for _, folder in traces]
    dataset = load(folders, use="evaluate", progress=lambda done: advance(LOADING * done))
    if not any(example.feasible.any() for example in dataset.examples):
        raise ConfigError("no call of the suite has a feasible candidate", key="--suite")
    found = cards(dataset.examples, rivals(scorer), make(DEFAULT))
    labels = [case.label for case, _ in traces]
    parts = {label: [run for run, own in enumerate(labels) if own == label] for label in dict.fromkeys(labels)}
    return {
        "goals": [_goal(aim, found, parts) for aim in suite.goals if _applies(aim, found, parts)],
        "tables": {
            "all": _lines(found),
            f"by_{suite.by}": [
                {suite.by: label, **line}
                for label, runs in parts.items()
                for line in _lines({name: card.of(runs) for name, card in found.items()})
            ],
            "from_the_log": _estimated(dataset, folders, scorer),
            "absent": [{"what": name, "why": "no such scorer in models/"} for name in MODELS if name not in found],
        },
    }


def _estimated(dataset: Dataset, folders: Sequence[Path], scorer: Policy) -> list[dict[str, Any]]:
    """Poor-call rates as a mesh in the field could have estimated them, which sees one outcome a call."""
    log = logged(dataset, folders)
    if not len(log):
        return []
    odds = predicted(log, scorer)
    policies = {**{name: make(name) for name in LOGGED}, LEARNED: scorer}
    return [{"policy": name, **estimate(log, policy, odds).row()} for name, policy in policies.items()]


def _lines(found: Mapping[str, Card]) -> list[dict[str, Any]]:
    """All policies on the same episodes: each metric with its interval."""
    draws = Resampling(next(iter(found.values())).run)
    return [_line(name, card, draws) for name, card in found.items()]


def _line(name: str, card: Card, draws: Resampling) -> dict[str, Any]:
    line: dict[str, Any] = {"policy": name, "calls": len(card.regret), "regret_median": _median(card.regret)}
    for metric, of in METRICS.items():
        interval = draws.interval(card, of)
        if metric in TOLD or np.isfinite(interval.mean):
            line[metric], line[f"{metric}_low"], line[f"{metric}_high"] = interval
    return line


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _applies(aim: Aim, found: Mapping[str, Card], parts: Mapping[str, list[int]]) -> bool:
    """Whether what an aim speaks of is there: its rival, and one of its labels."""
    return (not aim.over or aim.over in found) and (not aim.only or any(label in parts for label in aim.only))


def _goal(aim: Aim, found: Mapping[str, Card], parts: Mapping[str, list[int]]) -> dict[str, Any]:
    labels = [label for label in parts if not aim.only or label in aim.only]
    groups = [parts[label] for label in labels] if aim.each else [[run for label in labels for run in parts[label]]]
    values = [_value(aim, {name: found[name].of(runs) for name in (LEARNED, aim.over) if name}) for runs in groups]
    worst = np.min(values) if aim.op in UPWARD else np.max(values)  # NaN if any is: what is not known meets nothing
    return judge(aim.goal, float(worst), aim.op, aim.target)


def _value(aim: Aim, found: Mapping[str, Card]) -> float:
    """What an aim is held to on some episodes; where each label has to meet it, estimates are compared."""
    mine, metric = found[LEARNED], METRICS[aim.metric]
    draws = Resampling(mine.run)
    if not aim.over:
        return draws.interval(mine, metric).mean
    if aim.ratio:
        return draws.quotient(mine, found[aim.over], metric).mean
    gap = draws.difference(mine, found[aim.over], metric)
    if aim.each:
        return gap.mean
    return gap.low if aim.op in UPWARD else gap.high
