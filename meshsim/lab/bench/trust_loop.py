"""Trust in the loop: scores change routes, routes change evidence. Models of reputation against mixes of attacks.

Every seed is one mesh of 1,000 nodes whose peers can hardly reach each other without a relay. Each model lives through
the same calls and the same attackers (common random numbers), so that what a model loses to the oracle, which knows the
labels, is its own doing. A call succeeds if it is completed and meets the target of its media.
"""

from __future__ import annotations

import itertools
import math
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.episodes import workers
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.measure.records import ASIDE
from meshsim.measure.trace import Trace
from meshsim.mesh.seeds import SeedTree
from meshsim.scenario import compile_plan, load
from meshsim.sim.labels import LabelOracle, spoilers
from meshsim.sim.simulation import begin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from meshsim.sim.simulation import Episode

SEEDS = 20
ORACLE = "label_oracle"
MODELS = ("additive", "credibility", ORACLE)
OURS = "credibility"

SCENE = (
    "name=trust-loop",
    "duration=50 min",
    "warmup=20 min",
    "underlay={topology: sndlib/nobel-eu, capacity: 8 Gbps, utilisation_mean: 0.15, loss: 0%, drift: {period: 30 s}}",
    "nodes.roles={relay: 4%, super_node: 0.5%}",
    "nodes.nat={open: 0.02, cone: 0.03, port_restricted: 0.15, symmetric: 0.80}",
    "nodes.relays_per_node=4",
    "nodes.random_relays=4",
    "nodes.max_calls={relay: 30, super_node: 80}",
    "nodes.access.peer={up: 20 Mbps, down: 60 Mbps, delay: 3 ms, jitter: 0.5 ms, loss: 0%, spread: 0.3}",
    "calls={rate: 5, duration: {median: 40 s, sigma: 0.7}, media: {audio: 1.0}}",
    "churn.enabled=false",
    "trust={model: beta, half_life: 6 h, anchors: 5%, newcomers: 20%}",
    "routing={policy: weighted, candidates: 16, trust_floor: 30, fallbacks: 2, batch: 10 s}",
    "control={mode: modelled, digest_period: 30 s, probe_period: 10 s, noise: 0.1, missing: 3%}",
    "record={views: false, candidates: false, link_period: 600 s}",
)
"""What is changed of the preset `scale`: little is lost elsewhere, so that what fails is the relays' doing."""

HOLES = "{kind: gray_hole, share: 22%, strength: 40%, among: relays}, {kind: black_hole, share: 8%, among: relays}"
TURNING = "{kind: on_off, share: 30%, strength: 60%, period: 10 min, duty: 0.5, among: relays}"
RING = (
    "{kind: gray_hole, also: [collusion], ring: wolves, share: 30%, strength: 60%, among: relays}, "
    "{kind: collusion, ring: wolves, share: 30%, among: peers}"
)
BOUGHT = (
    "{kind: gray_hole, also: [self_dealing], share: 15%, strength: 60%, rate: 1200, among: relays}, "
    "{kind: gray_hole, also: [sybil], share: 15%, strength: 60%, sybils: 50, edges: 2, rate: 12, among: relays}"
)
CLAIMED = "{kind: lying_metrics, also: [gray_hole], share: 30%, strength: 60%, factor: 10, among: relays}"
MIXED = (
    "{kind: gray_hole, also: [sybil, collusion], ring: wolves, share: 25%, strength: 85%, sybils: 100, edges: 2, "
    "rate: 24, among: relays}, "
    "{kind: on_off, also: [ballot_stuffing], ring: wolves, share: 12%, strength: 85%, period: 10 min, rate: 1200, "
    "among: relays}, "
    "{kind: gray_hole, also: [self_dealing, lying_metrics], share: 13%, strength: 85%, rate: 1200, among: relays}, "
    "{kind: collusion, ring: wolves, share: 24%, among: peers}, "
    "{kind: camouflage, ring: wolves, share: 5%, among: peers}"
)
"""30 % of all nodes, but half of the relays: who means harm offers to relay."""

MIXES = {
    "holes": HOLES,
    "on-off": TURNING,
    "ring": RING,
    "bought": BOUGHT,
    "claimed": CLAIMED,
    "mixed": MIXED,
}
"""Attacks by 30 % of the relays (`mixed`: half of them), and, where they have friends, some 30 % of the peers."""

ENOUGH = 300
"""Outcomes of a relay from which on it counts whether it is trusted."""

_RESAMPLES = 2000
_TRUSTED = 70.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One episode: a model, an attack, a seed.

    Attributes:
        model: Name of a model of reputation, or `label_oracle`.
        attack: Name of the mix, or of a variant of an attack.
        misbehaviour: Entries of the scenario's `misbehaviour`.
        seed: Of the episode.
        out: Folder of its trace.
        overrides: Further changes of the scene.
    """

    model: str
    attack: str
    misbehaviour: str
    seed: int
    out: Path
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lived:
    """What came out of a trial.

    Attributes:
        trial: Which.
        success: Share of the calls, asked for after the warm-up and over by the end, that were completed and not poor.
        over_attackers: Share of the relayed ones that went over a relay that spoils calls or lies.
        known: Seconds that honest relays lived after their 300th call, all together.
        wronged: Seconds of these in which they were not trusted.
        fooled: Share of the spoilers that are trusted at the end.
        seconds: Length of the episode.
        first: Seconds until each honest relay that ever relayed a call first did.
    """

    trial: Trial
    success: float
    over_attackers: float
    known: float
    wronged: float
    fooled: float
    seconds: float
    first: dict[int, float]


def run_loop(*, quick: bool = False, progress: bool = False, seeds: int | None = None) -> dict[str, Any]:
    """Lets every model live through every mix of attacks, and some attacks in two sizes.

    Args:
        quick: One seed, half an hour each: whether everything runs.
        progress: Whether to show a bar where somebody watches.
        seeds: How many; 20, or one if `quick`.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.
    """
    numbers = range(1, (seeds or (1 if quick else SEEDS)) + 1)
    overrides = ("duration=20 min", "warmup=10 min") if quick else ()
    with tempfile.TemporaryDirectory() as folder, bar("episodes", shown=progress) as advance:
        trials = [*_mixes(numbers, Path(folder), overrides), *_variants(numbers, Path(folder), overrides)]
        lived = []
        for done, one in enumerate(_all(trials)):
            lived.append(one)
            advance((done + 1) / len(trials))
    rows = table_of(lived)
    return answer("trust-loop", _goals(lived), {"loop": rows})


def live(trial: Trial) -> Lived:
    """Lives through one trial; its trace is left in its folder."""
    model = "beta" if trial.model == ORACLE else trial.model
    said = (*SCENE, f"misbehaviour=[{trial.misbehaviour}]", f"trust.model={model}", *trial.overrides)
    plan = compile_plan(load("scale", said), trial.seed)
    episode = begin(plan, trial.out, reputation=LabelOracle() if trial.model == ORACLE else None)
    episode.finish()
    return measured(trial, episode)


def live_and_forget(trial: Trial) -> Lived:
    """Lives through one trial and removes its trace: hundreds of them would fill a disk."""
    try:
        return live(trial)
    finally:
        shutil.rmtree(trial.out, ignore_errors=True)


def measured(trial: Trial, episode: Episode) -> Lived:
    """What is read off a finished episode."""
    calls = Trace(trial.out).columns("calls")
    outcome = np.array(calls["outcome"])
    counted = ~np.isin(outcome, [*ASIDE, "running"])
    good = (outcome == "completed") & ~np.array(calls["poor"], dtype=np.bool_)
    villains = {villain.node for villain in episode.world.villains if villain.strength > 0.0}
    relays = [path[1:-1] for path, taken in zip(calls["final_path"], counted.tolist(), strict=True) if taken]
    relayed = [path for path in relays if len(path)]
    over = [not villains.isdisjoint(path) for path in relayed]
    known, wronged = _wronged(trial, episode, villains)
    return Lived(
        trial=trial,
        success=float(good[counted].mean()),
        over_attackers=float(np.mean(over)) if over else math.nan,
        known=known,
        wronged=wronged,
        fooled=_fooled(trial, episode),
        seconds=episode.plan.scenario.duration,
        first=_first(calls, villains),
    )


def _wronged(trial: Trial, episode: Episode, villains: set[int]) -> tuple[float, float]:
    """Seconds that honest relays live after their 300th call, and how many of these they are not trusted."""
    trust = Trace(trial.out).columns("trust")
    node, low = np.array(trust["node"]), np.array(trust["low"])
    at, end = np.array(trust["time_ns"]) * 1e-9, episode.plan.scenario.duration
    known = wronged = 0.0
    for relay, since in _enough(trial).items():
        if relay not in villains:
            mine = node == relay
            edges = np.clip(np.append(at[mine], end), since, end)
            known += end - since
            wronged += float(np.diff(edges)[low[mine] < _TRUSTED].sum())
    return known, wronged


def _enough(trial: Trial) -> dict[int, float]:
    """When each relay that comes to `ENOUGH` calls does so, seconds."""
    calls = Trace(trial.out).columns("calls")
    carried: dict[int, list[float]] = {}
    for path, end, outcome in zip(calls["final_path"], calls["end_ns"], calls["outcome"], strict=True):
        for node in path[1:-1] if outcome != "running" else ():
            carried.setdefault(int(node), []).append(float(end) * 1e-9)
    return {node: sorted(ends)[ENOUGH - 1] for node, ends in sorted(carried.items()) if len(ends) >= ENOUGH}


def _fooled(trial: Trial, episode: Episode) -> float:
    """Share of the relays that spoil calls that are trusted at the end; NaN if there are none."""
    trust = Trace(trial.out).columns("trust")
    last = dict(zip(trust["node"], trust["low"], strict=True))
    bad = [last.get(n, 0.0) >= _TRUSTED for n in spoilers(episode.world.villains)]
    return float(np.mean(bad)) if bad else math.nan


def _first(calls: dict[str, Any], villains: set[int]) -> dict[int, float]:
    """Seconds until each honest relay that ever relayed a call first did."""
    begun: dict[int, float] = {}
    for path, start in zip(calls["final_path"], calls["start_ns"], strict=True):
        for node in path[1:-1]:
            begun.setdefault(int(node), float(start) * 1e-9)
    return {node: at for node, at in begun.items() if node not in villains}


def _mixes(seeds: Sequence[int], folder: Path, overrides: tuple[str, ...]) -> list[Trial]:
    return [
        Trial(
            model=model,
            attack=attack,
            misbehaviour=said,
            seed=seed,
            out=folder / f"{attack}-{model}-{seed}",
            overrides=overrides,
        )
        for seed, (attack, said), model in itertools.product(seeds, MIXES.items(), MODELS)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An attack in one of several sizes, or without the lie, beside the mixes.

    Attributes:
        name: What it is called in the table.
        misbehaviour: Entries of the scenario's `misbehaviour`.
        models: Under which.
        overrides: Further changes of the scene.
        seeds: Most seeds that it is lived through.
    """

    name: str
    misbehaviour: str
    models: tuple[str, ...] = (OURS,)
    overrides: tuple[str, ...] = ()
    seeds: int = SEEDS


_PRAISED = "kind: sybil, share: 22%, rate: 6, edges: 2, among: relays"
_MILKING = "share: 15%, among: relays"
_LYING = "{{kind: lying_metrics, share: 20%, factor: {}, among: relays}}"
_HALF_THE_MIX = MIXED.replace("25%", "15%").replace("12%", "7%").replace("13%", "8%")

VARIANTS = (
    Variant(name="10 sybils", misbehaviour=f"{{{_PRAISED}, sybils: 1}}"),
    Variant(name="10,000 sybils", misbehaviour=f"{{{_PRAISED}, sybils: 1000}}"),
    Variant(name="open door", misbehaviour="", overrides=("trust.newcomers=1",)),
    Variant(name="door ajar", misbehaviour=""),
    Variant(name="true links", misbehaviour=_LYING.format(1)),
    Variant(name="halved links", misbehaviour=_LYING.format(2)),
    Variant(name="tenfold links", misbehaviour=_LYING.format(10)),
    Variant(name="behaving", misbehaviour=f"{{kind: milking, strength: 0.1%, {_MILKING}}}"),
    Variant(name="milking and staying", misbehaviour=f"{{kind: milking, strength: 60%, {_MILKING}}}"),
    Variant(
        name="milking and rejoining",
        misbehaviour=f"{{kind: milking, also: [whitewashing], strength: 60%, period: 5 min, {_MILKING}}}",
    ),
    Variant(name="mixed, 30 % of the relays", misbehaviour=_HALF_THE_MIX, models=MODELS, seeds=5),
    Variant(name="mixed, three hours", misbehaviour=MIXED, overrides=("duration=3 h",), seeds=5),
)
"""Well-behaved relays that 1 or 1,000 Sybils each praise; a fresh mesh behind a door; links said to be better than they
are; relays that cash in a good name, with or without a new one after it. Most under our model alone."""


def _variants(seeds: Sequence[int], folder: Path, overrides: tuple[str, ...]) -> list[Trial]:
    """Trials of the variants; `overrides`, those of a quick run, come last."""
    return [
        Trial(
            model=model,
            attack=variant.name,
            misbehaviour=variant.misbehaviour,
            seed=seed,
            out=folder / f"{number}-{model}-{seed}",
            overrides=(*variant.overrides, *overrides),
        )
        for number, variant in enumerate(VARIANTS)
        for seed in seeds[: variant.seeds]
        for model in variant.models
    ]


def _all(trials: Sequence[Trial]) -> Iterator[Lived]:
    with workers() as pool:
        yield from pool.map(live_and_forget, trials)


def table_of(lived: Sequence[Lived]) -> list[dict[str, Any]]:
    """A row for each attack and model: means over seeds, and 95 % bootstrap intervals of success."""
    rows = []
    for attack, model in dict.fromkeys((one.trial.attack, one.trial.model) for one in lived):
        some = [one for one in lived if (one.trial.attack, one.trial.model) == (attack, model)]
        success = np.array([one.success for one in some])
        low, high = bounds(success)
        rows.append(
            {
                "attack": attack,
                "model": model,
                "seeds": len(some),
                "success": float(success.mean()),
                "low": low,
                "high": high,
                "over_attackers": _mean(some, "over_attackers"),
                "wronged": _share_wronged(some),
                "fooled": _mean(some, "fooled"),
            }
        )
    return rows


def bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of S values, one a seed."""
    picks = SeedTree(0).stream("trust.loop").uniform(0, _RESAMPLES * len(values)).reshape(_RESAMPLES, len(values))
    means = values[(picks * len(values)).astype(np.int64)].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _share_wronged(lived: Sequence[Lived]) -> float:
    """Share of the time of honest relays of whom enough is known that they are not trusted; NaN if there are none."""
    known = sum(one.known for one in lived)
    return sum(one.wronged for one in lived) / known if known else math.nan


def _mean(lived: Sequence[Lived], name: str) -> float:
    values = np.array([getattr(one, name) for one in lived])
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _series(lived: Sequence[Lived], attack: str, model: str, name: str) -> NDArray[np.float64]:
    """One value a seed, in order of seeds."""
    some = [one for one in lived if (one.trial.attack, one.trial.model) == (attack, model)]
    return np.array([getattr(one, name) for one in sorted(some, key=lambda one: one.trial.seed)])


def _goals(lived: Sequence[Lived]) -> list[dict[str, Any]]:
    """Lower (or upper) bootstrap bounds of paired comparisons, seed by seed, held to the goals."""
    ours, oracle, base = (_series(lived, "mixed", model, "success") for model in (OURS, ORACLE, "additive"))
    few, many = (_series(lived, name, OURS, "over_attackers") for name in ("10 sybils", "10,000 sybils"))
    claims = ("true links", "halved links", "tenfold links")
    true, halved, tenth = (_series(lived, name, OURS, "over_attackers") for name in claims)
    gained = np.maximum(halved, tenth) / np.maximum(true, 1e-9)
    behaves, stays, rejoins = (
        _series(lived, name, OURS, "over_attackers")
        for name in ("behaving", "milking and staying", "milking and rejoining")
    )
    return [
        judge("loop_success_of_oracle", bounds(ours / oracle)[0], ">=", 0.97),
        judge("loop_points_over_additive", 100.0 * bounds(ours - base)[0], ">=", 25.0),
        judge("loop_honest_below_trusted", _worst_wronged(lived), "<=", 0.005),
        judge("loop_on_off_trusted", bounds(_series(lived, "on-off", OURS, "fooled"))[1], "<=", 0.0),
        judge("loop_sybil_share_difference", bounds(np.abs(many - few))[1], "<=", 0.05),
        judge("loop_lying_metrics_gain", bounds(gained)[1], "<=", 1.33),
        judge("loop_rejoining_over_behaving", bounds(rejoins - behaves)[1], "<=", 0.0),
        judge("loop_rejoining_over_staying", bounds(rejoins - stays)[1], "<=", 0.0),
        judge("loop_newcomer_hours", _hours_outside(lived), "<=", 24.0),
    ]


def _worst_wronged(lived: Sequence[Lived]) -> float:
    """The upper 95 % bootstrap bound of the share of time in which honest relays are wronged, all attacks together."""
    ours = [one for one in lived if one.trial.model == OURS]
    known, wronged = (np.array([getattr(one, name) for one in ours]) for name in ("known", "wronged"))
    picks = SeedTree(0).stream("trust.loop.wronged").uniform(0, _RESAMPLES * len(ours)).reshape(_RESAMPLES, len(ours))
    drawn = (picks * len(ours)).astype(np.int64)
    lived_through = known[drawn].sum(axis=1)
    shares = wronged[drawn].sum(axis=1)[lived_through > 0.0] / lived_through[lived_through > 0.0]
    return float(np.quantile(shares, 0.975)) if len(shares) else math.nan


def _hours_outside(lived: Sequence[Lived]) -> float:
    """Hours within which 95 % of the honest relays that an open door lets relay also do so behind one that is ajar.

    Episodes are shorter than a day, so the waiting time is taken for exponential: its mean is the time that all have
    waited over the number of those who have relayed (the maximum-likelihood estimate under censoring).
    """
    opened, ajar = (
        {one.trial.seed: one for one in lived if one.trial.attack == name} for name in ("open door", "door ajar")
    )
    first = [ajar[seed].first.get(node, math.inf) for seed, one in opened.items() for node in one.first]
    begun = sum(at < math.inf for at in first)
    longest = max((one.seconds for one in ajar.values()), default=math.nan)
    waited = sum(min(at, longest) for at in first)
    return -math.log(0.05) * waited / begun / 3600.0 if begun else math.inf
