"""Which candidates may be used, and why the others may not. Every refusal has a reason in words.

Rules about a relay look at the node alone, so they also prune the search (`relay_refusals`); rules about a path look
at its ends, its hops and its length. An adequate quality is no constraint: that is what policies score.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.media import AicPolicy
from meshsim.mesh.view import connectable, find_links
from meshsim.routing.graph import graph_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.seeds import Stream
    from meshsim.mesh.view import NetworkView, NodeBelief
    from meshsim.routing.candidates import Candidates
    from meshsim.routing.request import RouteRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the owner of an engine insists on, whatever is asked.

    Attributes:
        trust_floor: Least reputation (0..100) of a relay. The score itself is compared, not its interval; how sure
            the score is reaches the policy as a feature.
        newcomer_evidence: Outcomes below which a relay is a newcomer, whom the floor does not refuse: where a score
            starts below the floor, or a first failure puts it there, nobody could ever earn more.
        established: Relays that may relay and are no newcomers, from which on a request may leave newcomers out: a
            fresh mesh starts with newcomers alone.
        permits: Whether a node's domain is federated with ours for relaying; None permits all.
    """

    trust_floor: float = 30.0
    newcomer_evidence: float = 20.0
    established: int = 16
    permits: Callable[[NodeId], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class RelayRefusals:
    """Which of N nodes may not relay for a request.

    Attributes:
        code: (N,) int8, 0 where the node may relay, else 1 + the place of the reason in `reasons`.
        reasons: The reasons in words.
    """

    code: NDArray[np.int8]
    reasons: tuple[str, ...]

    @cached_property
    def ok(self) -> NDArray[np.bool_]:
        """(N,) bool, nodes that may relay."""
        return np.asarray(self.code == 0)

    def counts(self) -> tuple[str, ...]:
        """Each reason with the number of relays it refuses; nodes that only ever call are not counted."""
        return self._counts

    @cached_property
    def _counts(self) -> tuple[str, ...]:
        number = np.bincount(self.code, minlength=len(self.reasons) + 1)[2:]
        return tuple(
            f"{reason} ({count} {'node' if count == 1 else 'nodes'})"
            for reason, count in zip(self.reasons[1:], number.tolist(), strict=True)
            if count
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Feasibility:
    """Which of P paths may be used.

    Attributes:
        ok: (P,) bool.
        reason: Why not, "" where the path may be used.
    """

    ok: NDArray[np.bool_]
    reason: tuple[str, ...]

    def counts(self) -> tuple[str, ...]:
        """Each reason with the number of paths it refuses, in order of first appearance."""
        number = Counter(reason for reason in self.reason if reason)
        return tuple(f"{reason} ({count} {'path' if count == 1 else 'paths'})" for reason, count in number.items())


def lets_newcomers_in(share: float, doors: Stream, number: int) -> bool:
    """Whether relays without a name may carry a call, of which that share is open to them (`RouteRequest.newcomers`).

    Args:
        share: Of the calls, 0 to 1; 1 draws nothing.
        doors: Who asks draws from it.
        number: Of the draw, one for each call: a call keeps its answer however often its route is sought.
    """
    return share >= 1.0 or doors.at(number) < share


def relay_refusals(request: RouteRequest, view: NetworkView, limits: Limits) -> RelayRefusals:
    """Which nodes may not relay for `request`, each with the first rule that refuses it.

    What is asked again of the same belief, without exclusions and a say of `permits`, is remembered.
    """
    if request.exclude or limits.permits is not None:
        return _refusals(request, view, limits)
    known = graph_of(view).refusals
    required = request.aic is AicPolicy.REQUIRE
    key = limits.trust_floor, limits.newcomer_evidence, required, request.newcomers, request.barred
    if key not in known:
        known[key] = _refusals(request, view, limits)
    return known[key]


def _refusals(request: RouteRequest, view: NetworkView, limits: Limits) -> RelayRefusals:
    nodes = view.nodes
    rules: list[tuple[str, NDArray[np.bool_]]] = [
        ("not a relay", nodes.role == 0),
        ("relay offline", ~nodes.online),
        ("relay excluded by the request", _among(request.exclude, view)),
        *((reason, _among(barred, view)) for reason, barred in request.barred),
        (f"relay below trust floor {limits.trust_floor:g}", _distrusted(nodes, limits)),
        ("relay at capacity", (nodes.load >= 1.0) | (nodes.max_calls < 1)),
        ("relay without AIC", ~nodes.aic & (request.aic is AicPolicy.REQUIRE)),
    ]
    code = np.zeros(len(nodes), dtype=np.int8)
    for place, (_, refused) in enumerate(rules, start=1):
        code[(code == 0) & refused] = place
    reasons = tuple(reason for reason, _ in rules)
    if limits.permits is not None:
        foreign = [i for i in np.flatnonzero(code == 0).tolist() if not limits.permits(nodes.ids[i])]
        reasons = (*reasons, "relay in a domain that is not federated")
        code[foreign] = len(reasons)
    if not request.newcomers:
        named = nodes.evidence >= limits.newcomer_evidence
        reasons = (*reasons, "relay is new, and others could carry the call")
        if np.count_nonzero(named & (code == 0)) >= limits.established:
            code[(code == 0) & ~named] = len(reasons)
    return RelayRefusals(code=code, reasons=reasons)


def _distrusted(nodes: NodeBelief, limits: Limits) -> NDArray[np.bool_]:
    return ~(nodes.reputation >= limits.trust_floor) & (nodes.evidence >= limits.newcomer_evidence)


def _among(some: frozenset[NodeId], view: NetworkView) -> NDArray[np.bool_]:
    """(N,) which nodes are `some`."""
    among = np.zeros(len(view.nodes), dtype=np.bool_)
    among[[view.index[node] for node in some if node in view.index]] = True
    return among


def apply(
    candidates: Candidates,
    request: RouteRequest,
    view: NetworkView,
    limits: Limits,
    refusals: RelayRefusals | None = None,
) -> Feasibility:
    """Which of `candidates` may be used for `request`, each of the others with the first rule that refuses it.

    Args:
        candidates: P paths.
        request: What is asked.
        view: What is believed.
        limits: What the engine's owner insists on.
        refusals: `relay_refusals` of the same arguments, if it is at hand.
    """
    refusals = relay_refusals(request, view, limits) if refusals is None else refusals
    relays = _first_refused_relay(candidates, refusals)
    reason = [""] * len(candidates)
    for text, refused in _path_rules(candidates, request, view):
        for i in refused.nonzero()[0].tolist():
            reason[i] = reason[i] or text
    for i in relays.nonzero()[0].tolist():
        reason[i] = reason[i] or refusals.reasons[relays[i] - 1]
    return Feasibility(ok=np.array([not text for text in reason], dtype=np.bool_), reason=tuple(reason))


def _path_rules(
    candidates: Candidates, request: RouteRequest, view: NetworkView
) -> list[tuple[str, NDArray[np.bool_]]]:
    return [
        ("path visits a node twice", np.array([len(set(p)) < len(p) for p in candidates.paths], dtype=np.bool_)),
        (f"path longer than {request.hop_limit} hops", candidates.hops > request.hop_limit),
        ("destination offline", _unreachable(candidates, view.nodes) & (not request.insists)),
        ("NAT types cannot connect", _closed(candidates, view.nodes)),
        ("no link between the nodes of a hop", _apart(candidates, view)),
        ("a node of the path lacks AIC", _plain(candidates, view.nodes) & (request.aic is AicPolicy.REQUIRE)),
    ]


def _unreachable(candidates: Candidates, nodes: NodeBelief) -> NDArray[np.bool_]:
    """(P,) which paths end at a node that is offline."""
    return np.asarray(~nodes.online[candidates.nodes[candidates.indptr[1:] - 1]])


def _closed(candidates: Candidates, nodes: NodeBelief) -> NDArray[np.bool_]:
    """(P,) which paths have a hop that no NAT lets through."""
    closed = ~connectable(nodes.nat[candidates.hop_src], nodes.nat[candidates.hop_dst])
    return np.asarray(np.bincount(candidates.hop_path, weights=closed, minlength=len(candidates)) > 0)


def _apart(candidates: Candidates, view: NetworkView) -> NDArray[np.bool_]:
    """(P,) which paths have a hop without a link, where nodes reach only those they have links with."""
    if not view.confined:
        return np.zeros(len(candidates), dtype=np.bool_)
    src, dst, n = candidates.hop_src, candidates.hop_dst, len(view.nodes)
    apart = find_links(view.links, src, dst, n) < 0
    if view.fresh is not None:
        apart &= find_links(view.fresh, src, dst, n) < 0
    return np.asarray(np.bincount(candidates.hop_path, weights=apart, minlength=len(candidates)) > 0)


def _plain(candidates: Candidates, nodes: NodeBelief) -> NDArray[np.bool_]:
    """(P,) which paths have a node without AIC."""
    return np.asarray(~np.logical_and.reduceat(nodes.aic[candidates.nodes], candidates.indptr[:-1]))


def usable(candidates: Candidates, nodes: NodeBelief, aic: AicPolicy) -> NDArray[np.bool_]:
    """(P,) which paths may be used of those that `candidates` found for requests: its search keeps the other rules.

    Args:
        candidates: Loopless paths within their hop limits over relays that may relay.
        nodes: What is believed of the nodes.
        aic: How all the requests treat AIC.
    """
    refused = _unreachable(candidates, nodes) | _closed(candidates, nodes)
    return np.asarray(~(refused | _plain(candidates, nodes) if aic is AicPolicy.REQUIRE else refused))


def _first_refused_relay(candidates: Candidates, refusals: RelayRefusals) -> NDArray[np.int8]:
    """Code of the first refused relay of each path, 0 where none is; (P,)."""
    first = np.zeros(len(candidates), dtype=np.int8)
    code = refusals.code[candidates.hop_dst]
    code[candidates.hop_indptr[1:] - 1] = 0  # the last hop ends at the destination, which does not relay
    refused = code.nonzero()[0][::-1]
    first[candidates.hop_path[refused]] = code[refused]
    return first
