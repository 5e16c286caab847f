"""The contract of a routing policy, as tests: subclass `PolicyContract` and say how the policy is made.

class TestMine(PolicyContract):
    def make_policy(self):
        return Mine()
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from itertools import islice
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meshsim.mesh.errors import NoRoute
from meshsim.mesh.media import AicPolicy
from meshsim.routing.candidates import k_shortest
from meshsim.routing.engine import Ranking, RoutingEngine
from meshsim.routing.features import believed_hops, build
from meshsim.testing.strategies import Case, cases, network_views, relabelled

if TYPE_CHECKING:
    from meshsim.mesh.view import NetworkView
    from meshsim.routing.policies import Policy
    from meshsim.routing.request import RouteDecision, RouteRequest

TOLERANCE = 1e-5
"""Largest difference of a score by the place of a path in a batch: kernels may sum in another order."""

# One contract serves many subclasses; hypothesis would rather that each test had one class.
_EXAMPLES = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.differing_executors])

_PREDICTED = ("rtt", "jitter", "loss", "mos")


class PolicyContract:
    """What every policy promises. `make_policy` gives a fresh one for each example."""

    def make_policy(self) -> Policy:
        """The policy under test, as at the start of an episode."""
        raise AssertionError("a contract test says how its policy is made: override make_policy")

    def _rank(self, case: Case) -> Ranking:
        return RoutingEngine(self.make_policy()).rank(case.request, case.view)

    @given(case=cases())
    @_EXAMPLES
    def test_same_view_same_scores(self, case: Case) -> None:
        """Two policies of the same making agree, bit for bit."""
        first, second = self._rank(case), self._rank(case)
        assert _equal(first.scores, second.scores)
        assert first.order == second.order

    @given(case=cases())
    @_EXAMPLES
    def test_scores_are_finite(self, case: Case) -> None:
        """Utilities and predictions are numbers, and probabilities lie where they should or are not claimed."""
        scores = self._rank(case).scores
        assert np.isfinite(scores.utility).all()
        assert all(np.isfinite(getattr(scores, name)).all() for name in _PREDICTED)
        assert np.all(np.isnan(scores.ai_score) | ((scores.ai_score >= 0) & (scores.ai_score <= 100)))  # noqa: PLR2004
        assert np.all(np.isnan(scores.confidence) | ((scores.confidence >= 0) & (scores.confidence <= 1)))

    @given(case=cases(), data=st.data())
    @_EXAMPLES
    def test_permuting_candidates_permutes_scores(self, case: Case, data: st.DataObject) -> None:
        """A path is scored alone: neither its place nor its rivals matter."""
        policy, ranking = self.make_policy(), self._rank(case)
        order = data.draw(st.permutations(range(len(ranking.candidates))))
        kept = order[: data.draw(st.integers(1, len(order)))]
        moved = policy.score(build(ranking.candidates.take(kept), case.request, case.view))
        for name in ("utility", *_PREDICTED):
            expected = getattr(ranking.scores, name)[list(kept)]
            assert np.allclose(getattr(moved, name), expected, atol=TOLERANCE, rtol=TOLERANCE)

    @given(case=cases(), data=st.data())
    @_EXAMPLES
    def test_relabelling_nodes_relabels_the_decision(self, case: Case, data: st.DataObject) -> None:
        """Numbers are not names: the same nodes are chosen under any numbering."""
        ranking = self._rank(case)
        gap = np.diff(np.sort(ranking.scores.utility[list(ranking.order)]))
        assume(not np.any((gap > 0) & (gap < TOLERANCE)))
        order = data.draw(st.permutations(range(len(case.view.nodes))))
        one = decided(self.make_policy(), case.request, case.view)
        other = decided(self.make_policy(), case.request, relabelled(case.view, order))
        assert _chosen(one) == _chosen(other)

    @given(case=cases(aic=[AicPolicy.REQUIRE]))
    @_EXAMPLES
    def test_aic_request_never_crosses_a_plain_hop(self, case: Case) -> None:
        """With AIC required, every node of the path and of the fallbacks supports it."""
        decision = decided(self.make_policy(), case.request, case.view)
        if not isinstance(decision, tuple):
            assert decision.supports_aic
            for path in (decision.path, *decision.fallbacks):
                assert all(case.view.nodes.aic[case.view.index[node]] for node in path)

    @given(case=cases())
    @_EXAMPLES
    def test_decisions_are_loopless_and_within_the_hop_limit(self, case: Case) -> None:
        """Paths lead from the source to a destination, visit no node twice, and are not too long."""
        decision = decided(self.make_policy(), case.request, case.view)
        if not isinstance(decision, tuple):
            for path in (decision.path, *decision.fallbacks):
                assert path[0] == case.request.source
                assert path[-1] in case.request.destinations
                assert len(set(path)) == len(path) <= case.request.hop_limit + 1

    @given(case=cases())
    @_EXAMPLES
    def test_propensities_are_a_distribution_over_the_feasible(self, case: Case) -> None:
        """What was going to be chosen, and how likely, is known exactly."""
        ranking = self._rank(case)
        assert np.all(ranking.propensity[~ranking.feasibility.ok] == 0)
        assert abs(ranking.propensity.sum() - (1.0 if ranking.order else 0.0)) < 1e-12  # noqa: PLR2004 - rounding
        assert not ranking.order or ranking.propensity[ranking.order[0]] > 0

    @given(case=cases())
    @_EXAMPLES
    def test_no_route_has_reasons(self, case: Case) -> None:
        """Nobody is refused without being told why."""
        decision = decided(self.make_policy(), case.request, case.view)
        reasons = decision if isinstance(decision, tuple) else decision.reasons
        assert reasons
        assert all(reasons)


def _equal(one: object, other: object) -> bool:
    """Whether two scores, or parts of them, are the same bit for bit; what is not claimed is None."""
    if is_dataclass(one):
        return type(one) is type(other) and all(
            _equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
        )
    if one is None or other is None:
        return one is other
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)


def decided(policy: Policy, request: RouteRequest, view: NetworkView) -> RouteDecision | tuple[str, ...]:
    """The decision, or the reasons why there is none."""
    try:
        return RoutingEngine(policy).find(request, view)
    except NoRoute as refusal:
        return refusal.reasons


def _chosen(decision: RouteDecision | tuple[str, ...]) -> tuple[object, ...]:
    if isinstance(decision, tuple):
        return decision
    return (decision.route_id, decision.path, decision.supports_aic, decision.reasons, decision.fallbacks)


@given(view=network_views(least=3, most=9), k=st.integers(1, 20), hops=st.integers(1, 5), data=st.data())
@settings(max_examples=60, deadline=None)
def check_paths_agree_with_networkx(view: NetworkView, k: int, hops: int, data: st.DataObject) -> None:
    """`k_shortest` finds what networkx finds by enumerating: the direct path, then the fastest others in order."""
    source, target = data.draw(st.permutations(range(len(view.nodes))))[:2]
    relay = view.nodes.role > 0
    found = k_shortest(view, source, target, k, hops, relay)
    expected = islice(_relayed_by_networkx(view, source, target, hops, relay), k - 1)
    assert list(found) == [(source, target), *expected]


def _relayed_by_networkx(
    view: NetworkView, source: int, target: int, hops: int, relay: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> list[tuple[int, ...]]:
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(view.nodes)))
    for links in (view.links, view.fresh):
        if links is not None:
            graph.add_edges_from(zip(links.src.tolist(), links.dst.tolist(), strict=True))
    graph.remove_edges_from([(source, target)])
    graph.remove_nodes_from([i for i in range(len(view.nodes)) if not relay[i] and i not in {source, target}])
    paths = [tuple(path) for path in nx.all_simple_paths(graph, source, target, cutoff=hops)]
    return sorted(paths, key=lambda path: _delay(view, path))


def _delay(view: NetworkView, path: tuple[int, ...]) -> float:
    nodes = np.array(path, dtype=np.int32)
    return float(sum(believed_hops(view, nodes[:-1], nodes[1:]).delay.tolist()))
