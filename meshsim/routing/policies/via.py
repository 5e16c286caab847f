"""VIA-like relay selection: predict from history, keep the few options that may be best, try among them.

Source: Jiang, Das, Ananthanarayanan, Chou, Padmanabhan, Sekar, Dominique, Goliszewski, Kukoleca, Vafin, Zhang, "VIA:
Improving Internet Telephony Call Quality Using Predictive Relay Selection", SIGCOMM 2016.

What is as in the paper: options are known by their regions' pair and relays; one that was not used lately is predicted
by tomography; options whose confidence interval lies clear above those of the best are pruned, however many remain; a
UCB1 whose costs are normalised by the mean upper bound of those that remain chooses among them; a share of calls takes
anything; and relaying has to earn its place in a budget.

What differs: regions are cells of the map, not autonomous systems. History fades continuously (`half_life`) where the
paper recomputes from windows of a day. An option that tomography cannot predict either is as the view believes, for a
mesh measures its links, which a conferencing service does not; and no bonus speaks for it, for a mesh has a few calls
for each pair of regions where the paper has thousands: with the bonus most calls went to trying relays (27 % of calls
poor instead of 19 %; preset demo, seed 1, exploration 3 %). One cost (`atlas.cost_of`) stands for the paper's three
separate measures; calls of each type of media have a history of their own, and share what segments measure. Pruning
compares a path with the options of the history, not with the candidates of the moment, so that a path is scored alone.
The paper admits calls by a percentile of predicted benefits; here the bar that benefits have to clear rises with every
relayed call and falls with every direct one, so that their shares meet the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies.atlas import WORST, Atlas, believed_cost, lived_cost, media_of
from meshsim.routing.policies.base import POLICIES, believed_scores
from meshsim.routing.policies.dice import Dice, check_share, epsilon_greedy
from meshsim.routing.policies.qrouting import knower_of
from meshsim.routing.policies.tally import Segment, Segments, Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.media import MediaType
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.features import Features, Scores
    from meshsim.routing.policies.base import Outcome

SURE = 1.96
"""Standard errors to either side of a mean: 95 %."""

SPREAD = 0.5
"""Standard deviation of the cost of one call, before anything is known."""

CURIOSITY = 0.1
"""Weight of what was seldom tried, under the root of UCB1, as in the paper."""

FORGOTTEN = 0.05
"""Calls below which an option counts as never tried."""

PRUNED, OVER_BUDGET = 100.0, 1000.0
"""Put behind by so much: more than any cost."""

BAR_STEP = 0.05
"""How far one call moves the bar of the budget."""

Pair = tuple[int, int, "MediaType"]
"""Regions of the ends, the smaller first, and what calls carry."""

Option = tuple["NodeId", ...]
"""Relays from the first region of the pair to the second; none for the direct path."""


@dataclass(slots=True)
class Estimate:
    """What an option is expected to cost.

    Attributes:
        mean: Expected cost.
        error: Its standard error.
        calls: How many calls it rests on.
    """

    mean: float
    error: float
    calls: float

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - SURE * self.error

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + SURE * self.error


@dataclass(slots=True)
class Standing:
    """What the history of a pair says of what is worth trying.

    Attributes:
        most: The highest upper bound among the options kept; paths whose lower bound is above are pruned.
        scale: Mean upper bound of the options kept, by which costs are normalised.
        calls: Of the pair, at least 1.
    """

    most: float = math.inf
    scale: float = 1.0
    calls: float = 1.0


def standing_of(known: Sequence[Estimate]) -> Standing:
    """The fewest options that no other can be among with confidence, and what they amount to.

    >>> sure, vague, bad = Estimate(1.0, 0.1, 9.0), Estimate(1.3, 0.2, 2.0), Estimate(3.0, 0.1, 5.0)
    >>> standing_of([bad, vague, sure]).most == vague.high
    True
    """
    if not known:
        return Standing()
    best = min(known, key=lambda each: each.mean)
    most, kept = best.high, []
    for each in sorted(known, key=lambda each: each.low):
        if each.low > most:
            break
        most = max(most, each.high)
        kept.append(each.high)
    return Standing(most, max(sum(kept) / len(kept), SPREAD), max(sum(each.calls for each in known), 1.0))


@dataclass(slots=True)
class _Mind:
    """What one observer has learnt."""

    atlas: Atlas = field(default_factory=Atlas)
    history: dict[Pair, dict[Option, Tally]] = field(default_factory=dict)
    segments: Segments = field(default_factory=Segments)
    bar: float = -WORST
    now: float = 0.0


@POLICIES.register("via")
class Via:
    """Prediction-guided exploration of relays, after VIA; the module says what differs from the paper.

    Under the modelled control plane one object serves all callers of the area, as VIA's controller serves all of its
    clients; what an agent or a real node has learnt is its own. Scoring P paths takes O(P) look-ups and the options of
    each pair of regions once; the state is a few numbers for each option ever used between two regions.

    Args:
        epsilon: Share of calls that take any feasible path, in [0, 1].
        budget: Share of calls that may be relayed, in [0, 1].
        half_life: Seconds after which a call counts half.
        stream: Where draws come from.

    Raises:
        ConfigError: If a share is none, or the half-life not positive.
    """

    name = "via"

    def __init__(
        self,
        *,
        epsilon: float = 0.1,
        budget: float = 1.0,
        half_life: float = 1800.0,
        stream: Stream | None = None,
    ) -> None:
        if not half_life > 0.0:
            raise ConfigError(f"half_life must be positive: {half_life}", key="half_life")
        self.epsilon = check_share(epsilon, "epsilon")
        self.budget = check_share(budget, "budget")
        self.half_life = half_life
        self.dice = Dice() if stream is None else Dice(stream)
        self._minds: dict[NodeId | None, _Mind] = {}

    # --- choosing -----------------------------------------------------------------------------------------------------

    def score(self, features: Features) -> Scores:
        """Minus the normalised cost, less what curiosity grants; what is pruned or over budget far behind."""
        mind = self._mind(knower_of(features))
        mind.atlas.look(features.graph)
        believed = believed_cost(features).tolist()
        standings: dict[Pair, Standing] = {}
        utility = np.empty(len(features))
        for i, (path, media, cost) in enumerate(zip(_paths_of(features), media_of(features), believed, strict=True)):
            pair, option = self._place(mind, path, media)
            if pair not in standings:
                standings[pair] = standing_of(list(self._known(mind, pair).values()))
            utility[i] = self._utility(mind, pair, option, standings[pair], cost)
        return believed_scores(features, utility)

    def _utility(self, mind: _Mind, pair: Pair, option: Option, standing: Standing, believed: float) -> float:
        estimate = self._estimate(mind, pair, option, believed)
        # what was never tried gets none: with few calls for each pair, all calls would go to trying relays
        bonus = math.sqrt(CURIOSITY * math.log(standing.calls) / max(estimate.calls, 1.0)) if estimate.calls else 0.0
        utility = bonus - estimate.mean / standing.scale
        if estimate.low > standing.most:
            utility -= PRUNED
        if option and self._benefit(mind, pair, estimate.mean) < mind.bar:
            utility -= OVER_BUDGET
        return utility

    def _estimate(self, mind: _Mind, pair: Pair, option: Option, believed: float) -> Estimate:
        """From history, else by tomography, else as believed."""
        tally = mind.history.get(pair, {}).get(option)
        calls = 0.0 if tally is None else tally.weight_at(mind.now, self.half_life)
        if tally is not None and calls > FORGOTTEN:
            return Estimate(tally.mean, tally.error(mind.now, self.half_life, SPREAD), calls)
        predicted = mind.segments.predict(_segments_of(pair, option), pair[2])
        return Estimate(believed if math.isnan(predicted) else predicted, SPREAD, 0.0)

    def _known(self, mind: _Mind, pair: Pair) -> dict[Option, Estimate]:
        """The options of a pair that were used lately."""
        found = {option: self._estimate(mind, pair, option, 0.0) for option in mind.history.get(pair, ())}
        return {option: estimate for option, estimate in found.items() if estimate.calls > 0.0}

    def _benefit(self, mind: _Mind, pair: Pair, cost: float) -> float:
        """Cost that relaying saves; 0 where nobody knows what the direct path costs."""
        direct = self._estimate(mind, pair, (), math.nan).mean
        return 0.0 if math.isnan(direct) else direct - cost

    def propensity(self, utility: NDArray[np.float64]) -> NDArray[np.float64]:
        """The best of K, or with probability epsilon any."""
        return epsilon_greedy(utility, self.epsilon)

    def draw(self) -> float:
        """The draw of the next request."""
        return self.dice.draw()

    # --- learning -----------------------------------------------------------------------------------------------------

    def observe(self, outcome: Outcome) -> None:
        """Takes a call into the history of its option, its segments, and the budget."""
        mind = self._mind(outcome.observer)
        mind.now = max(mind.now, outcome.at)
        used = -self.budget if len(outcome.path) == 2 else 1.0 - self.budget  # noqa: PLR2004 - both ends alone
        mind.bar = min(max(mind.bar + BAR_STEP * used, -WORST), WORST)
        cost = lived_cost(outcome)
        if math.isnan(cost) or any(mind.atlas.of(end) is None for end in (outcome.path[0], outcome.path[-1])):
            return
        pair, option = self._place(mind, outcome.path, outcome.media)
        mind.history.setdefault(pair, {}).setdefault(option, Tally()).add(cost, outcome.at, self.half_life)
        if outcome.connected:
            mind.segments.learn(_segments_of(pair, option), outcome)

    def _place(self, mind: _Mind, path: Sequence[NodeId], media: MediaType) -> tuple[Pair, Option]:
        """Pair and option of a path whose ends have been seen, whichever end called."""
        near, far = mind.atlas.region[path[0]], mind.atlas.region[path[-1]]
        option = tuple(path[1:-1])
        if near == far:
            return (near, far, media), min(option, option[::-1])
        return ((near, far, media), option) if near < far else ((far, near, media), option[::-1])

    def _mind(self, knower: NodeId | None) -> _Mind:
        return self._minds.setdefault(knower, _Mind())


def _segments_of(pair: Pair, option: Option) -> list[Segment]:
    """What a path is the sum of: from region to relay, from relay to relay, from relay to region."""
    places = [pair[0].to_bytes(8, "big"), *option, pair[1].to_bytes(8, "big")]
    return [(a, b) if a <= b else (b, a) for a, b in pairwise(places)]


def _paths_of(features: Features) -> list[list[NodeId]]:
    """The ids of the nodes of each path."""
    ids = features.graph.nodes.ids
    paths: list[list[NodeId]] = [[] for _ in range(len(features))]
    rows = zip(features.hop_path.tolist(), features.hop_src.tolist(), features.hop_dst.tolist(), strict=True)
    for path, src, dst in rows:
        if not paths[path]:
            paths[path].append(ids[src])
        paths[path].append(ids[dst])
    return paths
