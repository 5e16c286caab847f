"""Abuse reports in the loop: who is banned when people report what they lived through, and when liars report as well.

The mesh of `trust_loop` with its black and gray holes. Beside them a crowd may spam the desk with reports of honest
relays. Who reviews sees scores and not labels, so that whoever is banned is so by evidence.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.bench.trust_loop import HOLES, SCENE, bounds
from meshsim.lab.episodes import workers
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.measure.records import ASIDE
from meshsim.measure.trace import Trace
from meshsim.scenario import compile_plan, load
from meshsim.sim.labels import spoilers
from meshsim.sim.simulation import begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.sim.simulation import Episode

SEEDS = 5
SPAM = ", {kind: report_spam, share: 20%, rate: 12, among: peers}"
ARMS = {
    "nobody reports": (),
    "3 of 10 report, nobody reviews": ("trust.reports=30%",),
    "3 of 10 report, a review each 5 min": ("trust.reports=30%", "trust.review=5 min", "trust.appeals=1"),
}
"""Changes of the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One episode.

    Attributes:
        arm: Name of one of `ARMS`.
        spam: Whether a fifth of the peers reports honest relays twelve times an hour.
        seed: Of the episode.
        out: Folder of its trace.
        overrides: Further changes of the scene.
    """

    arm: str
    spam: bool
    seed: int
    out: Path
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came out of a trial.

    Attributes:
        trial: Which.
        success: Share of the calls that were completed and not poor.
        holes: How many relays spoil calls.
        banned: When each of them was first banned, seconds.
        honest: How many relays do not.
        wronged: How many of these were ever banned.
        upheld: Reviews that upheld what was reported of a relay that spoils calls.
        framed: Reviews that did so of one that does not.
        dismissed: Reviews that dismissed what was reported, of whomever.
    """

    trial: Trial
    success: float
    holes: int
    banned: tuple[float, ...]
    honest: int
    wronged: int
    upheld: int
    framed: int
    dismissed: int


def run_desk(*, quick: bool = False, progress: bool = False, seeds: int | None = None) -> dict[str, Any]:
    """Lets each arm live through the same calls, with and without spam.

    Args:
        quick: One seed, twenty minutes each: whether everything runs.
        progress: Whether to show a bar where somebody watches.
        seeds: How many; 5, or one if `quick`.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.
    """
    numbers = range(1, (seeds or (1 if quick else SEEDS)) + 1)
    overrides = ("duration=20 min", "warmup=10 min") if quick else ()
    with tempfile.TemporaryDirectory() as folder, bar("episodes", shown=progress) as advance, workers() as pool:
        arms = [(arm, spam, seed) for arm in ARMS for spam in (False, True) for seed in numbers]
        trials = [
            Trial(arm=arm, spam=spam, seed=seed, out=Path(folder) / f"trial-{number}", overrides=overrides)
            for number, (arm, spam, seed) in enumerate(arms)
        ]
        outcomes = []
        for one in pool.map(live, trials):
            outcomes.append(one)
            advance(len(outcomes) / len(trials))
    wronged = sum(one.wronged for one in outcomes) / sum(one.honest for one in outcomes)
    return answer("trust-desk", [judge("desk_honest_ever_banned", wronged, "<=", 0.0)], {"desk": table_of(outcomes)})


def live(trial: Trial) -> Outcome:
    """Lives through one trial and removes its trace."""
    misbehaviour = f"misbehaviour=[{HOLES}{SPAM if trial.spam else ''}]"
    said = (*SCENE, misbehaviour, "trust.model=credibility", *ARMS[trial.arm], *trial.overrides)
    episode = begin(compile_plan(load("scale", said), trial.seed), trial.out)
    try:
        episode.finish()
        return _measured(trial, episode)
    finally:
        shutil.rmtree(trial.out, ignore_errors=True)


def _measured(trial: Trial, episode: Episode) -> Outcome:
    calls, events = Trace(trial.out).columns("calls"), Trace(trial.out).columns("events")
    outcome = np.array(calls["outcome"])
    counted = ~np.isin(outcome, [*ASIDE, "running"])
    good = (outcome == "completed") & ~np.array(calls["poor"], dtype=np.bool_)
    holes = set(spoilers(episode.world.villains))
    relays = set(np.flatnonzero(episode.plan.nodes.max_calls > 0).tolist())
    first: dict[int, float] = {}
    ruled = {"upheld": 0, "framed": 0, "dismissed": 0}
    for kind, node, at, detail in zip(*(events[name] for name in ("kind", "node", "time_ns", "detail")), strict=True):
        if kind == "banned":
            first.setdefault(int(node), float(at) * 1e-9)
        elif kind == "ruling":
            upheld = str(detail).startswith("upheld")
            ruled[("upheld" if node in holes else "framed") if upheld else "dismissed"] += 1
    return Outcome(
        trial=trial,
        success=float(good[counted].mean()),
        holes=len(holes),
        banned=tuple(at for node, at in first.items() if node in holes),
        honest=len(relays - holes),
        wronged=len(first.keys() - holes),
        **ruled,
    )


def table_of(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row for each arm, with and without spam: means over seeds, and 95 % bootstrap intervals of success."""
    rows = []
    for arm, spam in dict.fromkeys((one.trial.arm, one.trial.spam) for one in outcomes):
        some = [one for one in outcomes if (one.trial.arm, one.trial.spam) == (arm, spam)]
        success = np.array([one.success for one in some])
        low, high = bounds(success)
        times = [at for one in some for at in one.banned]
        rows.append(
            {
                "reports": arm,
                "spam": spam,
                "seeds": len(some),
                "success": float(success.mean()),
                "low": low,
                "high": high,
                "holes_banned": sum(len(one.banned) for one in some) / sum(one.holes for one in some),
                "minutes_until": float(np.median(times)) / 60.0 if times else math.nan,
                "honest_banned": sum(one.wronged for one in some) / sum(one.honest for one in some),
                "upheld": sum(one.upheld for one in some),
                "framed": sum(one.framed for one in some),
                "dismissed": sum(one.dismissed for one in some),
            }
        )
    return rows
