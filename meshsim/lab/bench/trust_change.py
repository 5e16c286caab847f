"""How soon a change of conduct shows, what attackers who come and go live on, and whether failures find their relay.

Three tables for `meshsim bench trust --static`: run lengths of the charts of `trust.change`, exact and simulated;
on-off and milking attackers against models with and without change detection; relays blamed by `trust.blame` from
outcomes of whole paths. Beside the last two stand models that know nothing of it, and an oracle of relays.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.measure.stats import bootstrap_interval
from meshsim.mesh.seeds import SeedTree
from meshsim.trust import EventKind, Evidence, make_model
from meshsim.trust.blame import CULPRIT, LEAK, Blame, infer
from meshsim.trust.change import CHANGED, LEVELS, NORMAL, design, grade_shares, mean_run, run_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.trust import ReputationModel
    from meshsim.trust.change import Chart

SEED = 5

TRUSTED = 70.0
"""Lower bound of the score from which on a node is `trusted`."""

HONEST = 0.02
"""Share of calls that fail at an attacker that behaves."""

SPACING = 288.0
"""Seconds between outcomes: 300 a day, as an active relay has."""

KEEPS = 0.5
"""An attacker that is trusted for this share of its outcomes keeps `trusted`."""

MODELS = ("additive", "beta", "beta-cusum")

_RUNS = 20_000
_WARM = 300  # outcomes before anything is counted: a newcomer has to earn trust first
_ASK = 5  # outcomes between looks at the score
_EVIDENCE = 20.0
_RELAYS = 200
_CALLS = 200


class Strategy(NamedTuple):
    """How an attacker fails: with probability `rate` while it attacks, else as honest nodes do.

    Attributes:
        name: For the table.
        rate: Failures while it attacks.
        rest: Outcomes of good behaviour between attacks; 0 for an attacker that never rests.
        attack: Outcomes of an attack.
        above: Instead of by count: it attacks once its score's lower bound is here, until it is no longer trusted.
    """

    name: str
    rate: float
    rest: int = 0
    attack: int = 1
    above: float = math.inf


STRATEGIES = (
    *(Strategy(f"always {rate:.0%}", rate) for rate in (0.02, 0.05, 0.08, 0.15)),
    *(Strategy(f"on-off {rest}/{attack} {rate:.0%}", rate, rest, attack) for rest, attack, rate in (
        (50, 50, 0.4), (300, 20, 1.0), (300, 30, 0.4), (300, 60, 0.4), (300, 100, 0.15), (600, 60, 0.4),
        (600, 100, 1.0), (1000, 300, 0.2),
    )),
    *(Strategy(f"milking {rate:.0%} from {above:.0f}", rate, above=above)
      for rate, above in ((0.15, 85.0), (0.4, 85.0), (1.0, 85.0), (0.4, 72.0), (1.0, 72.0))),
)  # fmt: skip


def run_change(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Fills the three tables.

    Args:
        quick: Fewer seeds, shorter lives: whether everything runs.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`; of what is drawn, the worse 95 % bound counts.
    """
    seeds, outcomes = (range(3), 1500) if quick else (range(12), 4000)
    with bar("change", shown=progress) as advance:
        found = detection_rows(_RUNS // 10 if quick else _RUNS)
        advance(0.1)
        lived = []
        for done, model in enumerate(MODELS, start=1):
            lived += conduct_rows(model, seeds, outcomes)
            advance(0.1 + 0.7 * done / len(MODELS))
        blamed = blame_rows(seeds)
    tables = {"detection": found, "conduct": lived, "blame": blamed}
    return answer("trust", [*_detection_goals(found), *_conduct_goals(lived), *_blame_goals(blamed)], tables)


def detection_rows(runs: int = _RUNS) -> list[dict[str, Any]]:
    """Run lengths of both charts from 5 to 40 % failures: exact, and of so many simulated charts."""
    rows = []
    for evidence, levels in (("binary", 1), ("graded", LEVELS)):
        chart, normal, changed = design(levels=levels), grade_shares(NORMAL, levels), grade_shares(CHANGED, levels)
        exact, drawn = run_length(chart, changed), _simulated(chart, changed, runs)
        median, p95 = (float(np.quantile(drawn, q, method="inverted_cdf")) for q in (0.5, 0.95))
        rows.append(
            {
                "evidence": evidence,
                "false_alarms": 1.0 / mean_run(chart, normal),
                "mean": exact.mean,
                "median": exact.median,
                "p95": exact.p95,
                "simulated_mean": float(drawn.mean()),
                "simulated_median": median,
                "simulated_p95": p95,
            }
        )
    return rows


def _simulated(chart: Chart, shares: NDArray[np.float64], runs: int) -> NDArray[np.int64]:
    """Outcomes until the alarm of so many charts, shape (runs,)."""
    draws = SeedTree(SEED).generator("trust.chart")
    weights = np.array(chart.weights)
    held, length = np.zeros(runs, dtype=np.int64), np.zeros(runs, dtype=np.int64)
    while (going := np.flatnonzero(held < chart.limit)).size:
        held[going] = np.maximum(0, held[going] + weights[draws.choice(len(shares), going.size, p=shares)])
        length[going] += 1
    return length


def conduct_rows(name: str, seeds: Sequence[int], outcomes: int) -> list[dict[str, Any]]:
    """What each strategy gets away with under the model `name`.

    Args:
        name: Of the model.
        seeds: One attacker of each strategy for each seed.
        outcomes: Of each attacker's life.

    Returns:
        Rows with `trusted`, share of outcomes at which it was trusted; `failures`, share of all outcomes that failed,
        with a 95 % bootstrap bound above it; `harm`, share of all outcomes that failed while it was trusted.
    """
    failed, trusted = _lives(make_model(name), seeds, outcomes)
    rows = []
    for k, strategy in enumerate(STRATEGIES):
        own = slice(k * len(seeds), (k + 1) * len(seeds))
        failures = bootstrap_interval(failed[:, own].mean(axis=0), np.mean, SeedTree(SEED).generator("trust.bound"))
        rows.append(
            {
                "model": name,
                "attacker": strategy.name,
                "trusted": float(trusted[:, own].mean()),
                "failures": failures.mean,
                "failures_high": failures.high,
                "harm": float((failed & trusted)[:, own].mean()),
            }
        )
    return rows


def _lives(model: ReputationModel, seeds: Sequence[int], outcomes: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which outcomes failed, and at which the attacker was trusted; shapes (outcomes - warm, attackers)."""
    attackers = [strategy for strategy in STRATEGIES for _ in seeds]
    draws = [
        SeedTree(seed).generator("trust.attacker", k).random(outcomes)
        for k, _ in enumerate(STRATEGIES)
        for seed in seeds
    ]
    drawn = np.stack(draws)
    failed, trusted = np.zeros((outcomes, len(attackers)), bool), np.zeros((outcomes, len(attackers)), bool)
    low, milking = np.zeros(len(attackers)), np.zeros(len(attackers), bool)
    for k in range(outcomes):
        milking = np.where(milking, low >= TRUSTED, low >= [one.above for one in attackers])
        rate = np.array([_rate(one, k, milks) for one, milks in zip(attackers, milking.tolist(), strict=True)])
        failed[k], trusted[k] = drawn[:, k] < rate, low >= TRUSTED
        for node, fails in enumerate(failed[k].tolist()):
            kind = EventKind.CALL_DROPPED if fails else EventKind.SUCCESSFUL_CALL
            model.observe(node, Evidence(kind=kind, node=node, t=k * SPACING))
        if k % _ASK == 0:
            table = model.table(len(attackers), k * SPACING)
            low = np.where(table.evidence >= _EVIDENCE, table.low, 0.0)
    return failed[_WARM:], trusted[_WARM:]


def _rate(strategy: Strategy, k: int, milks: bool) -> float:  # noqa: FBT001 - what the attacker is at
    if math.isfinite(strategy.above):
        return strategy.rate if milks else HONEST
    return strategy.rate if k % (strategy.rest + strategy.attack) >= strategy.rest else HONEST


class _World(NamedTuple):
    """Relays and the paths over them; `failing` is what each relay of a path did, which nobody sees."""

    bad: NDArray[np.bool_]
    paths: list[list[int]]
    failed: list[bool]
    failing: list[list[bool]]


def _world(seed: int, calls: int, rate: tuple[float, float]) -> _World:
    """A twentieth of the relays fail so often, the others 1 to 2 %; paths of one to three relays, and a leak."""
    draws = SeedTree(seed).generator("trust.paths", calls)
    shares = draws.uniform(0.01, 0.02, _RELAYS)
    bad = np.zeros(_RELAYS, bool)
    bad[draws.choice(_RELAYS, _RELAYS // 20, replace=False)] = True
    shares[bad] = draws.uniform(*rate, bad.sum())
    paths, failed, failing = [], [], []
    for _ in range(_RELAYS * calls // 2):  # two relays a path on average
        path = draws.choice(_RELAYS, draws.integers(1, 4), replace=False)
        fails = draws.random(len(path)) < shares[path]
        paths.append(path.tolist())
        failing.append(fails.tolist())
        failed.append(bool(fails.any() or draws.random() < LEAK))
    return _World(bad, paths, failed, failing)


def blame_rows(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Precision and recall of who is blamed, by how bad the bad are and how many calls there were.

    Every relay counts as blamed that fails on more than `trust.blame.CULPRIT` of its paths, as each method sees it:
    `equal shares` lays each failure to all relays of the path alike, `oracle` sees each relay's own outcomes.
    """
    rows = []
    for rate in ((0.2, 0.3), (0.15, 0.15), (0.1, 0.1)):
        for calls in (50, 100, _CALLS):
            worlds = [_world(seed, calls, rate) for seed in seeds]
            for method, blamed in _METHODS.items():
                hits = np.array([_hits(world, blamed(world)) for world in worlds], dtype=np.float64)
                row = {"bad_relays_fail": f"{rate[0]:.0%}-{rate[1]:.0%}", "calls": calls, "method": method}
                rows.append(
                    row | _bounds("precision", hits[:, 0], hits[:, 1]) | _bounds("recall", hits[:, 0], hits[:, 2])
                )
    return rows


def _hits(world: _World, blamed: NDArray[np.bool_]) -> tuple[int, int, int]:
    """How many of the blamed are bad, are blamed, and are bad whether blamed or not."""
    return int((blamed & world.bad).sum()), int(blamed.sum()), int(world.bad.sum())


def _bounds(name: str, hits: NDArray[np.float64], of: NDArray[np.float64]) -> dict[str, float]:
    """The share over all seeds, and its lower 95 % bootstrap bound over seeds."""
    draws = SeedTree(SEED).generator("trust.bound")
    chosen = draws.integers(len(hits), size=(2000, len(hits)))
    shares = hits[chosen].sum(axis=1) / np.maximum(of[chosen].sum(axis=1), 1.0)
    return {name: float(hits.sum() / max(of.sum(), 1.0)), f"{name}_low": float(np.quantile(shares, 0.025))}


def _inferred(world: _World) -> NDArray[np.bool_]:
    return infer(world.paths, world.failed, _RELAYS).mean > CULPRIT


def _learned(world: _World) -> NDArray[np.bool_]:
    blame = Blame()
    for path, failed in zip(world.paths, world.failed, strict=True):
        blame.learn(path, failed, 0.0)
    return np.array([blame.rate(relay, 0.0) for relay in range(_RELAYS)]) > CULPRIT


def _equal(world: _World) -> NDArray[np.bool_]:
    return _counted(
        world, [[failed / len(path)] * len(path) for path, failed in zip(world.paths, world.failed, strict=True)]
    )


def _known(world: _World) -> NDArray[np.bool_]:
    return _counted(world, world.failing)


def _counted(world: _World, guilt: Sequence[Sequence[float]]) -> NDArray[np.bool_]:
    relays = np.concatenate([np.array(path) for path in world.paths])
    sums = np.bincount(relays, np.concatenate([np.array(share, dtype=np.float64) for share in guilt]), _RELAYS)
    return np.asarray(sums / np.maximum(np.bincount(relays, minlength=_RELAYS), 1) > CULPRIT)


_METHODS = {"noisy-or": _inferred, "online": _learned, "equal shares": _equal, "oracle": _known}


def _detection_goals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    goals = []
    for row, median, p95 in zip(rows, (11, 6), (27, 15), strict=True):
        name = f"change_{row['evidence']}"
        goals.append(judge(f"{name}_false_alarms", row["false_alarms"], "<=", 1e-4))
        goals.append(judge(f"{name}_median_outcomes", row["median"], "<=", median))
        goals.append(judge(f"{name}_p95_outcomes", row["p95"], "<=", p95))
    return goals


def _conduct_goals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    keeping = [row for row in rows if row["model"] == "beta-cusum" and row["trusted"] >= KEEPS]
    worst = max(row["failures_high"] for row in keeping)
    return [
        judge("trusted_attacker_failures", worst, "<=", 0.15),
        judge("trusted_attacker_failures_stretch", worst, "<=", 0.08),
    ]


def _blame_goals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    row = next(row for row in rows if row["calls"] == _CALLS and row["method"] == "noisy-or")
    return [
        judge("blame_precision", row["precision_low"], ">=", 0.95),
        judge("blame_recall", row["recall_low"], ">=", 0.90),
    ]
