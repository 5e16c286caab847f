"""What an agent gives to be written down. Drivers turn samples into rows of the trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from meshsim.agent.messages import Receipt
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.media import MediaType
    from meshsim.mesh.time import Instant
    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import Ranking
    from meshsim.routing.request import RouteDecision, RouteRequest
    from meshsim.trust.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSample:
    """A route was decided.

    Attributes:
        call: For which call.
        at: Monotonic seconds.
        request: What was asked.
        view: The belief it was decided on.
        ranking: All candidates with features, refusals, scores and propensities.
        decision: What was taken.
    """

    call: CallId
    at: float
    request: RouteRequest
    view: NetworkView
    ranking: Ranking
    decision: RouteDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """A call changed its route. All times are monotonic seconds.

    Attributes:
        heard: When the old path was last heard.
        lost: When it was given up.
        restored: When the new one stood; NaN if none did.
    """

    heard: float
    lost: float
    restored: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSample:
    """A call ended, as its caller lived it.

    Attributes:
        call: Which call.
        start: When it was asked for, monotonic seconds.
        end: When it ended.
        caller: The calling node.
        callee: The called node; None when none was found.
        media: What it carried.
        decision: The first decision; None when no route was found.
        path: Nodes of the first route that stood, else of the first that was tried; empty when none was.
        final_path: Nodes of the last route that stood, likewise.
        outcome: `completed`, `dropped` or `failed`.
        reason: Why it failed or dropped, else "".
        failovers: Changes of route.
        rtt: Mean, seconds; NaN without media.
        jitter: Mean of the worse direction, seconds; NaN without media.
        loss: Mean of the worse direction; NaN without media.
        mos: Conversational MOS; NaN when never connected.
        poor: Beyond the quality target, or not completed.
    """

    call: CallId
    start: float
    end: float
    caller: NodeId
    callee: NodeId | None
    media: MediaType
    decision: RouteDecision | None
    path: tuple[NodeId, ...]
    final_path: tuple[NodeId, ...]
    outcome: str
    reason: str
    failovers: tuple[Failover, ...]
    rtt: float
    jitter: float
    loss: float
    mos: float
    poor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSample:
    """Evidence moved the reputation of a node, in this agent's eyes.

    Attributes:
        at: Monotonic seconds.
        node: Whose reputation.
        event: The kind of evidence.
        score: 0..100.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        status: The word for it.
    """

    at: float
    node: NodeId
    event: str
    score: float
    low: float
    high: float
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSample:
    """Something worth knowing happened.

    Attributes:
        at: Monotonic seconds.
        kind: `neighbour_lost`, `neighbour_back`, `path_lost`, `failover`, `reject`, `banned`, `ban_over`,
            `equivocated`, `leaving`, `complained`.
        node: Whom it befell; the agent itself if nobody else.
        call: Which call; None for none.
        detail: In words.
    """

    at: float
    kind: str
    node: NodeId
    call: CallId | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptSample:
    """A receipt was taken in.

    Attributes:
        at: When; both clocks, for a receipt is judged by both.
        receipt: As signed.
        source: The neighbour that brought it; None for the agent's own.
    """

    at: Instant
    receipt: Receipt
    source: NodeId | None = None


Sample: TypeAlias = RouteSample | CallSample | TrustSample | EventSample | ReceiptSample
