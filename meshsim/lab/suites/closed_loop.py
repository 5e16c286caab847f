"""Each policy lives through the worlds itself: what its choices do to the network comes back to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.batch import code_fingerprint, key_of
from meshsim.lab.episodes import Job
from meshsim.lab.goals import judge
from meshsim.lab.kept import perform_all
from meshsim.lab.progress import bar
from meshsim.lab.suites.episodes import simulated
from meshsim.learn.dataset import load
from meshsim.learn.scorecard import cards, poor_rate
from meshsim.measure.metrics import METRICS
from meshsim.measure.trace import Trace
from meshsim.routing.artefact import find_model
from meshsim.routing.policies import load_model, make

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meshsim.lab.suites.definitions import Case

DIRECT, CAREFUL, LEARNED = "direct", "greedy-reputation", "learned"
POLICIES = (DIRECT, "shortest", CAREFUL, "weighted", "physics", "via", LEARNED)
WORSE = 0.02
"""Share of calls that may be poor beyond what the open loop promises."""

HERD = 1.2
"""How much busier the busiest relay of any world may be than under `greedy-reputation`."""

_RECORDED = {said: (f"record.candidates={said}".lower(), f"record.views={said}".lower()) for said in (True, False)}
"""Whether candidates are written down: the open loop needs them, and nobody else does."""


def measure(model: str, cases: Sequence[Case], folder: Path, *, progress: bool = True) -> dict[str, Any]:
    """Poor calls of each policy in the worlds it shapes, beside what logged calls promised, and the busiest relay.

    Args:
        model: A name, or the folder of an artefact.
        cases: Worlds; each policy runs the same seeds.
        folder: Where episodes are kept.
        progress: Whether bars may show.
    """
    scorer = load_model(model)
    with bar("simulating what is logged", shown=progress) as advance:
        traces = simulated([_logged(case) for case in cases], folder, advance)
    wanted = [
        (case, policy, _job(case, policy, seed, folder, scorer.artefact.digest, find_model(model)))
        for case in cases
        for seed in case.seeds
        for policy in POLICIES
    ]
    with bar("simulating each policy", shown=progress) as advance:
        perform_all([job for _, _, job in wanted], advance)
    dataset = load([path for _, path in traces], use="evaluate")
    promised = cards(dataset.examples, {LEARNED: scorer}, make(DIRECT))[LEARNED]
    open_loop = float(poor_rate(promised.sums.sum(axis=0)))
    lines: list[dict[str, Any]] = [
        {"graph": case.label, "policy": policy, **_lived(job.out)} for case, policy, job in wanted
    ]
    told = {policy: _together([line for line in lines if line["policy"] == policy]) for policy in POLICIES}
    busiest = {(line["graph"], line["policy"]): line["busiest_share"] for line in lines}
    herd = max(_over(busiest[case.label, LEARNED], busiest[case.label, CAREFUL]) for case in cases)
    return {
        "goals": [
            judge("closed_minus_open", told[LEARNED]["routed_poor_rate"] - open_loop, "<=", WORSE),
            judge("busiest_over_greedy_reputation", herd, "<=", HERD),
        ],
        "tables": {
            "all": [{"policy": policy, **values} for policy, values in told.items()],
            "by_graph": lines,
            "open_loop": [{"policy": LEARNED, "poor_call_rate": open_loop}],
        },
    }


def _over(share: float, other: float) -> float:
    """How many times as busy; where nobody relays, a relay that does is infinitely busier."""
    if other > 0.0:
        return share / other
    return math.inf if share > 0.0 else 1.0


def _logged(case: Case) -> Case:
    return type(case)(
        label=case.label,
        scenario=case.scenario,
        seeds=case.seeds,
        overrides=(*case.overrides, "routing.policy=exploring", *_RECORDED[True]),
    )


def _job(case: Case, policy: str, seed: int, folder: Path, digest: str, model: Path) -> Job:
    """The episode of one policy; of the scorer, what it is known by is its manifest."""
    learned = policy == LEARNED
    overrides = (*case.overrides, f"routing.policy={policy}", *_RECORDED[False])
    said = {
        "scenario": case.scenario,
        "overrides": list(overrides),
        "seed": seed,
        "model": digest if learned else "",
        "code": code_fingerprint(),
    }
    return Job(
        scenario=case.scenario,
        seed=seed,
        out=folder / key_of(said),
        overrides=overrides,
        model=model if learned else None,
    )


def _lived(folder: Path) -> dict[str, float]:
    """Poor calls, those among routed ones, and the share of relayed calls that the busiest relay carried."""
    trace = Trace(folder)
    calls = trace.columns("calls")
    paths = [list(path) for path in calls["path"]]
    routed = np.array([len(path) > 1 for path in paths])
    relays = [relay for path in paths for relay in path[1:-1]]
    relayed = sum(len(path) > 2 for path in paths)  # noqa: PLR2004 - more than both ends
    return {
        "calls": len(paths),
        "routed_calls": int(routed.sum()),
        "poor_call_rate": METRICS["poor_call_rate"].value(trace),
        "routed_poor_rate": float(np.mean(calls["poor"][routed])),
        "busiest_share": float(np.bincount(np.array(relays, dtype=np.int64)).max() / relayed) if relays else 0.0,
    }


def _together(lines: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Rates of all worlds by the calls they are of; of the busiest relays the busiest."""
    told: dict[str, float] = {name: sum(line[name] for line in lines) for name in ("calls", "routed_calls")}
    for name, of in (("poor_call_rate", "calls"), ("routed_poor_rate", "routed_calls")):
        told[name] = float(np.average([line[name] for line in lines], weights=[line[of] for line in lines]))
    return {**told, "busiest_share": max(line["busiest_share"] for line in lines)}
