"""The engine embedded everywhere: media demand, candidates, constraints, features, policy, best and runners-up.

It has no clock, no IO and no state of its own: the same request on the same view gives the same decision, unless the
policy is one that draws (`policies.exploring`), whose only state is a counter, or one that learns from what it is told
with `observe` (`policies.via`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import NoRoute
from meshsim.mesh.media import AicPolicy
from meshsim.routing import features as feature
from meshsim.routing.batch import batch_of, batchable, build_many, k_shortest_many
from meshsim.routing.candidates import Candidates, k_shortest, merged
from meshsim.routing.constraints import Feasibility, Limits, RelayRefusals, apply, relay_refusals, usable
from meshsim.routing.policies import Policy, confidence_in, is_learning, is_stochastic, make
from meshsim.routing.request import Prediction, RouteDecision, RouteRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.view import LinkBelief, NetworkView
    from meshsim.routing.batch import Batch, Fresh
    from meshsim.routing.features import Features, Scores
    from meshsim.routing.policies import Outcome


Claims = tuple[float, float, float, float, float]
"""ai_score, confidence, and the rtt, jitter and loss that are expected of a path: seconds, and a probability."""

_QUIETLY = np.errstate(all="ignore")
"""Beliefs are others' words: numbers that cannot be lead to doubt (`belief.sound`), not to warnings."""

NO_CLAIMS: Claims = (float("nan"),) * 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """All that was considered for one request.

    Attributes:
        candidates: P paths, those of the first destination first, each destination's direct path before its others.
        features: What the policy saw.
        feasibility: Which may be used, and why the others may not.
        scores: What the policy said; `confidence` is filled in for feasible paths if the policy knows it.
        order: Feasible candidates, the chosen one first, then by utility; empty if there is none.
        propensity: (P,) float64, the probability with which each was going to be chosen; sums to 1 if any is feasible.
        reasons: What shaped the ranking, in words.
    """

    candidates: Candidates
    features: Features
    feasibility: Feasibility
    scores: Scores
    order: tuple[int, ...]
    propensity: NDArray[np.float64]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """What is taken of the ranking of one request of many.

    Attributes:
        paths: The chosen path and the runners-up, as node indices; empty if there is no route.
        claims: ai_score, confidence, rtt, jitter and loss that the policy claims for the chosen one; NaN without a
            route.
    """

    paths: tuple[tuple[int, ...], ...]
    claims: Claims


class RoutingEngine:
    """Finds routes in a view.

    Args:
        policy: A policy or the name of one.
        candidates: Most paths to score for each destination.
        trust_floor: Least reputation (0..100) of a relay.
        fallbacks: Runners-up to hand out with a decision.
        permits: Whether a node's domain is federated with ours for relaying; None permits all.

    Raises:
        ConfigError: If the policy is unknown or cannot be loaded.

    >>> from meshsim.mesh import MediaType, NodeId
    >>> from meshsim.mesh.view import LinkEntry, NodeEntry, Role, make_view
    >>> alice, bob, near, far = (NodeId(bytes([i] * 32)) for i in range(4))
    >>> view = make_view(
    ...     nodes=[
    ...         NodeEntry(id=alice),
    ...         NodeEntry(id=bob),
    ...         NodeEntry(id=near, role=Role.RELAY),
    ...         NodeEntry(id=far, role=Role.RELAY),
    ...     ],
    ...     links=[
    ...         LinkEntry(src=0, dst=1, delay=0.180, loss=0.03),
    ...         LinkEntry(src=0, dst=2, delay=0.020),
    ...         LinkEntry(src=2, dst=1, delay=0.030),
    ...         LinkEntry(src=0, dst=3, delay=0.060),
    ...         LinkEntry(src=3, dst=1, delay=0.050),
    ...     ],
    ... )
    >>> engine = RoutingEngine("shortest")
    >>> decision = engine.find(RouteRequest(source=alice, destinations=(bob,), media=MediaType.AUDIO), view)
    >>> decision.path == (alice, near, bob), decision.fallbacks[0] == (alice, far, bob)
    (True, True)
    >>> round(decision.predicted.rtt, 3)
    0.1
    """

    def __init__(
        self,
        policy: str | Policy = "learned",
        *,
        candidates: int = 16,
        trust_floor: float = 30.0,
        fallbacks: int = 2,
        permits: Callable[[NodeId], bool] | None = None,
    ) -> None:
        if candidates < 1:
            raise ValueError(f"at least one candidate is needed: {candidates}")
        self.policy: Policy = make(policy) if isinstance(policy, str) else policy
        self.candidates = candidates
        self.fallbacks = fallbacks
        self.limits = Limits(trust_floor=trust_floor, permits=permits)

    @_QUIETLY
    def rank(self, request: RouteRequest, view: NetworkView) -> Ranking:
        """All candidates for `request`, scored and ordered.

        Raises:
            NoRoute: If the view knows not even the ends, so that there is nothing to rank.
        """
        ranking = self._ranked(request, view)
        if ranking.order or request.newcomers:
            return ranking
        return self._ranked(replace(request, newcomers=True), view)  # rather a newcomer than no call

    def _ranked(self, request: RouteRequest, view: NetworkView) -> Ranking:
        source, targets = _ends(request, view)
        refusals = relay_refusals(request, view, self.limits)
        found = merged([k_shortest(view, source, t, self.candidates, request.hop_limit, refusals.ok) for t in targets])
        return self.rank_among(found, request, view, refusals=refusals)

    @_QUIETLY
    def rank_among(
        self,
        candidates: Candidates,
        request: RouteRequest,
        view: NetworkView,
        *,
        refusals: RelayRefusals | None = None,
    ) -> Ranking:
        """The given candidates, scored and ordered, as when a logged call is decided anew."""
        refusals = relay_refusals(request, view, self.limits) if refusals is None else refusals
        feasibility = apply(candidates, request, view, self.limits, refusals)
        features = feature.build(candidates, request, view)
        scores = self.policy.score(features)
        eligible, note = _eligible(feasibility.ok, features.belief.aic, request.aic)
        order, propensity = self._order(eligible, scores)
        return Ranking(
            candidates=candidates,
            features=features,
            feasibility=feasibility,
            scores=replace(scores, confidence=self._confidence(eligible, scores)),
            order=(*order, *_by_utility(feasibility.ok & ~eligible, scores)),
            propensity=propensity,
            reasons=(*note, *feasibility.counts(), *refusals.counts()),
        )

    @_QUIETLY
    def rank_many(
        self, requests: Sequence[RouteRequest], view: NetworkView, fresh: Fresh | None = None
    ) -> tuple[Ranked, ...]:
        """The choice and runners-up of many requests on one belief, each as `rank` would order its candidates.

        What cannot be done for all together is done one by one: requests of more than three hops, of several
        destinations, with exclusions, of another AIC policy than the first or otherwise open to newcomers, or for a
        policy that draws. A learned scorer sums in another order for many paths than for few: scores that differ in
        their last digits alone may change places.

        Args:
            requests: C requests.
            view: What all believe; its `fresh` is not looked at.
            fresh: What each of them knows better.

        Raises:
            NoRoute: If the view knows not even the ends of one.
        """
        if not requests:
            return ()
        shared = view if view.fresh is None else replace(view, fresh=None)
        alone = np.ones(len(requests), dtype=np.bool_)
        if not is_stochastic(self.policy):
            alone = ~batchable(requests, shared, fresh)
        together = [request for request, left in zip(requests, alone.tolist(), strict=True) if not left]
        rest = None if fresh is None else fresh.without(alone)
        many = iter(self._rank_batch(batch_of(together, shared), shared, rest) if together else ())
        ranked: list[Ranked] = []
        for i, (request, left) in enumerate(zip(requests, alone.tolist(), strict=True)):
            done = None if left else next(many)
            if done is None or not (done.paths or request.newcomers):
                done = self._rank_alone(request, shared, None if fresh is None else fresh.of(i))
            ranked.append(done)
        return tuple(ranked)

    def _rank_alone(self, request: RouteRequest, view: NetworkView, fresh: LinkBelief | None) -> Ranked:
        ranking = self.rank(request, replace(view, fresh=fresh))
        best = ranking.order[: 1 + self.fallbacks]
        return Ranked(
            paths=tuple(ranking.candidates.path(row) for row in best),
            claims=claims_of(ranking.scores, best[0]) if best else NO_CLAIMS,
        )

    def _rank_batch(self, batch: Batch, view: NetworkView, fresh: Fresh | None) -> list[Ranked]:
        aic = batch.requests[0].aic
        relay_ok = relay_refusals(batch.requests[0], view, self.limits).ok
        found, indptr = k_shortest_many(batch, view, self.candidates, relay_ok, fresh)
        features = build_many(found, indptr, batch, view, fresh)
        scores = self.policy.score(features)
        ok = usable(found, view.nodes, aic)
        eligible = ok & features.belief.aic if aic is AicPolicy.PREFER else ok
        owner = np.repeat(np.arange(len(batch)), np.diff(indptr))
        some = np.bincount(owner, weights=eligible) > 0  # with `prefer`, the others choose among all
        scores = replace(scores, confidence=self._confidence(eligible | (ok & ~some[owner]), scores))
        rows = ok.nonzero()[0]
        rows = rows[np.lexsort((-scores.utility[rows], ~eligible[rows], owner[rows]))]
        starts = np.searchsorted(owner[rows], np.arange(len(batch) + 1)).tolist()
        best = [rows[start : min(stop, start + 1 + self.fallbacks)].tolist() for start, stop in pairwise(starts)]
        return [
            Ranked(
                paths=tuple(_path(found, row) for row in own),
                claims=claims_of(scores, own[0]) if own else NO_CLAIMS,
            )
            for own in best
        ]

    def find(self, request: RouteRequest, view: NetworkView) -> RouteDecision:
        """The route to take.

        Raises:
            NoRoute: If no candidate may be used; its reasons say why, with counts.
        """
        return self.decide(self.rank(request, view), request, view)

    def decide(self, ranking: Ranking, request: RouteRequest, view: NetworkView) -> RouteDecision:
        """The decision that `ranking` amounts to.

        Raises:
            NoRoute: If no candidate may be used; its reasons say why, with counts.
        """
        if not ranking.order:
            raise NoRoute(ranking.reasons)
        chosen, scores = ranking.order[0], ranking.scores
        path = _names(ranking.candidates.path(chosen), view)
        return RouteDecision(
            route_id=_route_id(path, request, view),
            path=path,
            policy=self.policy.name,
            ai_score=float(scores.ai_score[chosen]),
            confidence=float(scores.confidence[chosen]),
            predicted=_prediction(scores, chosen),
            supports_aic=bool(ranking.features.belief.aic[chosen]),
            reasons=(_choice(ranking, chosen, self.policy.name), *ranking.reasons),
            fallbacks=_fallbacks(ranking, view, self.fallbacks),
        )

    @property
    def learns(self) -> bool:
        """Whether outcomes make a difference to the policy."""
        return is_learning(self.policy)

    def observe(self, outcome: Outcome) -> None:
        """Tells the policy how a call fared, if it learns."""
        if is_learning(self.policy):
            self.policy.observe(outcome)

    def _order(self, eligible: NDArray[np.bool_], scores: Scores) -> tuple[list[int], NDArray[np.float64]]:
        order = _by_utility(eligible, scores)
        propensity = np.zeros(len(eligible))
        if order and is_stochastic(self.policy):
            odds = self.policy.propensity(scores.utility[order])
            propensity[order] = odds
            drawn = min(int(np.searchsorted(np.cumsum(odds), self.policy.draw(), side="right")), len(order) - 1)
            order.insert(0, order.pop(drawn))
        elif order:
            propensity[order[0]] = 1.0
        return order, propensity

    def _confidence(self, eligible: NDArray[np.bool_], scores: Scores) -> NDArray[np.float64]:
        confidence = np.full(len(eligible), np.nan)
        confidence[eligible] = confidence_in(self.policy, scores, np.flatnonzero(eligible))
        return confidence


def claims_of(scores: Scores, row: int) -> Claims:
    """What a policy claims for one of its candidates."""
    columns = (scores.ai_score, scores.confidence, scores.rtt, scores.jitter, scores.loss)
    ai_score, confidence, rtt, jitter, loss = (float(column[row]) for column in columns)
    return ai_score, confidence, rtt, jitter, loss


def _path(candidates: Candidates, row: int) -> tuple[int, ...]:
    """One path out of many, without a list of all of them."""
    return tuple(candidates.nodes[candidates.indptr[row] : candidates.indptr[row + 1]].tolist())


def _ends(request: RouteRequest, view: NetworkView) -> tuple[int, list[int]]:
    if request.source not in view.index:
        raise NoRoute(["source unknown to the view"])
    known = [view.index[node] for node in dict.fromkeys(request.destinations) if node in view.index]
    targets = [target for target in known if target != view.index[request.source]]
    if not targets:
        raise NoRoute(["destination is the source" if known else "destination unknown to the view"])
    return view.index[request.source], targets


def _eligible(
    ok: NDArray[np.bool_], aic: NDArray[np.bool_], wanted: AicPolicy
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """The feasible candidates that are chosen among: with `prefer`, those with AIC if there are any."""
    if wanted is not AicPolicy.PREFER:
        return ok, ()
    if (ok & aic).any():
        return ok & aic, ("AIC preferred and supported by every node of the path",)
    return ok, ("AIC preferred, but no feasible path supports it",)


def _by_utility(rows: NDArray[np.bool_], scores: Scores) -> list[int]:
    """`rows` in falling order of utility; equals keep the order of candidates, whatever numbers nodes have."""
    places = rows.nonzero()[0]
    ordered: list[int] = places[(-scores.utility[places]).argsort(kind="stable")].tolist()
    return ordered


def _names(path: tuple[int, ...], view: NetworkView) -> tuple[NodeId, ...]:
    return tuple(view.nodes.ids[node] for node in path)


def _prediction(scores: Scores, row: int) -> Prediction:
    return Prediction(
        rtt=float(scores.rtt[row]),
        jitter=float(scores.jitter[row]),
        loss=float(scores.loss[row]),
        mos=float(scores.mos[row]),
    )


def _choice(ranking: Ranking, chosen: int, policy: str) -> str:
    odds = ranking.propensity[chosen]
    drawn = f", drawn with probability {odds:.3f}" if odds < 1.0 else ""
    return f"{policy}: chosen among {len(ranking.order)} feasible of {len(ranking.candidates)} paths{drawn}"


def _fallbacks(ranking: Ranking, view: NetworkView, count: int) -> tuple[tuple[NodeId, ...], ...]:
    """Runners-up, those that share no relay with the chosen path first: its relays may be what fails."""
    paths = [ranking.candidates.path(row) for row in ranking.order]
    risky = set(paths[0][1:-1])
    runners = sorted(paths[1:], key=lambda path: not risky.isdisjoint(path[1:-1]))
    return tuple(_names(path, view) for path in runners[:count])


def _route_id(path: tuple[NodeId, ...], request: RouteRequest, view: NetworkView) -> str:
    text = b"".join(path) + f"/{request.media}/{view.version}".encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()
