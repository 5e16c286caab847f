"""What made-up identities gain, be they 10 or 10,000: trust in EigenTrust, words in `credibility`, and scores.

Honest nodes serve each other; a few of their good calls were served by made-up ones, which praise each other and one
relay that drops calls. EigenTrust's bound is the measure: a set without seeds holds at most (1 - a) / a times the trust
that flows into it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.bench.trust_static import ANCHORS, HONEST_FAILURES, OUTCOMES
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.mesh.seeds import SeedTree
from meshsim.trust import EvidenceColumns, credibility, eigentrust, models
from meshsim.trust.eigentrust import EigenTrust
from meshsim.trust.network import Web, outward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.trust import ReputationModel

COUNTS = (10, 100, 1000, 10_000)
"""How many identities are made up."""

ANYBODY, VERIFIED = "anybody", "verified nodes alone"

_Told = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.float64]", "NDArray[np.float64]"]

RANKS = ("eigentrust", "meritrank", "sybilrank")
"""Models whose scores are shares of trust."""

SEEDS = range(20)
_FEW = (35, 4, 0.45)  # honest nodes, those of them who are verified, and how often the relay among them fails
_PRAISES = 10  # words that a made-up node tells
_OUTCOMES = 10.0  # in each of them
_COLUMNS = ("inflow", "bound", "eigentrust", "credibility", "believed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Siege:
    """A mesh with made-up nodes; those from 0 on are real, node 0 is the relay that drops calls.

    Attributes:
        made_up: How many identities are made up.
        nodes: How many nodes are real.
        anchors: How many of these, the last, are verified.
        edges: Outcomes in which a made-up node served an honest one well.
        tricked: Whose outcomes these are: `ANYBODY`'s, or `VERIFIED`.
        bought: Share of their words in which made-up nodes praise node 0, and not each other.
        failing: Share of calls that node 0 drops.
    """

    made_up: int
    nodes: int = 400
    anchors: int = round(ANCHORS * 400)
    edges: int = 200
    tricked: str = ANYBODY
    bought: float = 0.1
    failing: float = _FEW[2]

    def fill(self, model: ReputationModel, seed: int) -> None:
        """Verifies the anchors and tells the model all outcomes."""
        for anchor in range(self.nodes - self.anchors, self.nodes):
            model.anchor(anchor)
        model.observe_many(self.outcomes(seed))

    def outcomes(self, seed: int) -> EvidenceColumns:
        """What is told, in order: of real nodes, over attack edges, by made-up nodes."""
        tree = SeedTree(seed)
        parts = self._real(tree), self._served(tree), self._praised()
        node, rater, good, bad = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return EvidenceColumns(node, rater, np.full(len(node), -1, dtype=np.int64), good, bad, np.zeros(len(node)))

    def _real(self, tree: SeedTree) -> _Told:
        node, draws = np.repeat(np.arange(self.nodes), OUTCOMES), tree.stream("trust.sybils.outcomes")
        rater = (node + 1 + (draws.uniform(0, len(node)) * (self.nodes - 1)).astype(np.int64)) % self.nodes
        bad = draws.uniform(len(node), len(node)) < np.where(node == 0, self.failing, HONEST_FAILURES)
        return node, rater, (~bad).astype(np.float64), bad.astype(np.float64)

    def _served(self, tree: SeedTree) -> _Told:
        """What honest nodes say of made-up ones."""
        first, low = self.nodes, self.nodes - self.anchors if self.tricked == VERIFIED else 1
        edge = np.arange(self.edges if self.made_up else 0)
        draws = tree.stream("trust.sybils.edges").uniform(0, len(edge))
        rater = low + (draws * (first - low)).astype(np.int64)
        return first + edge % max(1, self.made_up), rater, np.ones(len(edge)), np.zeros(len(edge))

    def _praised(self) -> _Told:
        """What made-up nodes say."""
        who = np.repeat(np.arange(self.made_up), _PRAISES)
        step = np.arange(len(who)) % _PRAISES
        friend = self.nodes + (who + 1 + step) % max(1, self.made_up)
        node = np.where(step < self.bought * _PRAISES, 0, friend)
        return node, self.nodes + who, np.full(len(who), _OUTCOMES), np.zeros(len(who))


def run_sybils(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Measures what made-up identities hold, and whom they lift.

    Args:
        quick: Two meshes in place of 20: whether everything runs.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`. Goals hold the worst mean over meshes, that of `credibility` as
        if nobody saw through made-up raters.
    """
    seeds = SEEDS[:2] if quick else SEEDS
    held, lifted = sybil_rows(seeds=seeds, progress=progress), lift_rows(seeds=seeds[:5])
    moved = max(abs(row[part] - row[f"{part}_without"]) for row in lifted for part in ("relay", "honest"))
    goals = [
        judge("sybils_eigentrust_of_bound", _worst(held, "eigentrust", ANYBODY, VERIFIED), "<=", 1.0),
        judge("sybils_credibility_of_bound", _worst(held, "believed", ANYBODY), "<=", 1.0),
        judge("sybils_credibility_of_bound_verified_tricked", _worst(held, "believed", VERIFIED), "<=", 1.0),
        judge("sybils_points_lifted", moved, "<=", 1.0),
    ]
    return answer("trust", goals, {"sybils": held, "lift": lifted})


def _worst(rows: Sequence[dict[str, Any]], name: str, *tricked: str) -> float:
    """The largest share of the bound that is reached."""
    return max(float(row[name] / row["bound"]) for row in rows if row["tricked"] in tricked)


def sybil_rows(
    counts: Sequence[int] = COUNTS, *, seeds: Sequence[int] = SEEDS, progress: bool = False
) -> list[dict[str, Any]]:
    """A row for each number of made-up nodes and whom they trick: means over meshes.

    `inflow`, `bound` and `eigentrust` (what they hold) are shares of all trust; `credibility` is what their words weigh
    among all that it counts, `believed` what they would weigh were they taken for truthful.

    Args:
        counts: Identities that are made up.
        seeds: One mesh each.
        progress: Whether to show a bar where somebody watches.
    """
    rows, cases = [], list(product((ANYBODY, VERIFIED), counts))
    with bar("made-up nodes", shown=progress) as advance:
        for number, (tricked, made_up) in enumerate(cases):
            siege = Siege(made_up=made_up, tricked=tricked)
            parts = np.array([_held(siege, seed) for seed in seeds]).mean(axis=0).tolist()
            rows.append({"made_up": made_up, "tricked": tricked, **dict(zip(_COLUMNS, parts, strict=True))})
            advance((number + 1) / len(cases))
    return rows


def _held(siege: Siege, seed: int) -> tuple[float, ...]:
    """The `_COLUMNS` of one mesh."""
    rule, model = EigenTrust(), eigentrust()
    siege.fill(model, seed)
    inflow, held = flows(rule, model.web(0.0), siege.nodes)
    return inflow, (1.0 - rule.alpha) / rule.alpha * inflow, held, *words(siege, seed)


def flows(rule: EigenTrust, web: Web, nodes: int) -> tuple[float, float]:
    """The trust that flows into the nodes from `nodes` on, from all others, and what they hold; all trust is 1."""
    trust = rule.trust(web, web.praise, web.trusted / web.trusted.sum())
    entering = (web.rater <= nodes) & (web.node > nodes)
    weight = outward(web, web.praise)[0]
    return float((weight * trust[web.rater])[entering].sum()), float(trust[nodes + 1 :].sum())


def words(siege: Siege, seed: int) -> tuple[float, float]:
    """The share that made-up nodes have of all that `credibility` counts: as it is, and if they were all believed."""
    model = credibility()
    siege.fill(model, seed)
    web, ratings = model.web(0.0), model.ratings(0.0)
    told, made_up = web.good + web.bad, web.rater > siege.nodes
    counted = ratings.word[web.rater] * told
    theirs, most = float(counted[made_up].sum()), float((ratings.reach[web.rater] * told)[made_up].sum())
    real = float(counted[~made_up].sum())
    return theirs / (real + theirs), most / (real + most)


def lift_rows(counts: Sequence[int] = COUNTS[1:], *, seeds: Sequence[int] = SEEDS[:5]) -> list[dict[str, Any]]:
    """A row for each model of `RANKS` and number of made-up nodes whom nobody praises: scores with and without them.

    Args:
        counts: Identities that are made up.
        seeds: One mesh each: a relay that drops calls among 35 honest nodes.
    """
    few = Siege(made_up=0, nodes=_FEW[0] + 1, anchors=_FEW[1], edges=0, bought=0.0)
    rows = []
    for name in RANKS:
        relay, honest = np.array([_scores(name, few, seed) for seed in seeds]).mean(axis=0).tolist()
        for made_up in counts:
            more = np.array([_scores(name, replace(few, made_up=made_up), seed) for seed in seeds]).mean(axis=0)
            now = dict(zip(("relay", "honest"), more.tolist(), strict=True))
            rows.append({"model": name, "made_up": made_up, **now, "relay_without": relay, "honest_without": honest})
    return rows


def _scores(name: str, siege: Siege, seed: int) -> tuple[float, float]:
    """The score of the relay that drops calls, and the middle one of honest nodes."""
    model = models[name]()
    siege.fill(model, seed)
    mean = model.table(siege.nodes, 0.0).mean
    return float(mean[0]), float(np.median(mean[1:]))
