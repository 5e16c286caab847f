"""What is asked of the engine and what it answers. Nothing here decides anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.mesh.display import table
from meshsim.mesh.ids import short
from meshsim.mesh.media import AicPolicy, Demand, MediaType, demand
from meshsim.mesh.units import milliseconds

if TYPE_CHECKING:
    from meshsim.mesh.ids import NodeId

Barred = tuple[tuple[str, frozenset["NodeId"]], ...]
"""Nodes that must not relay, by the reason in words."""

_FLOWS = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """A route wanted for one call.

    Attributes:
        source: The calling node.
        destinations: Nodes of the called identity, any of which will do.
        media: What the call carries.
        aic: How AIC is treated.
        max_hops: Most links of a path; None takes the medium's own limit.
        exclude: Nodes that must not relay (found dead by a failover, say).
        barred: Nodes that must not relay by a rule of who asks (domains that do not federate, say), with the reason.
        flow: What tells the call from others between the same ends, below 2**63; policies that spread calls hash it.
        newcomers: Whether relays without a name may carry the call where enough others could
            (`constraints.Limits.established`).
        insists: Whether destinations are tried although they are believed offline, for who asks knows why that may be
            wrong.
    """

    source: NodeId
    destinations: tuple[NodeId, ...]
    media: MediaType
    aic: AicPolicy = AicPolicy.OFF
    max_hops: int | None = None
    exclude: frozenset[NodeId] = frozenset()
    barred: Barred = ()
    flow: int = 0
    newcomers: bool = True
    insists: bool = False

    def __post_init__(self) -> None:
        if not self.destinations:
            raise ValueError("a route request names at least one destination")
        if self.max_hops is not None and self.max_hops < 1:
            raise ValueError(f"max_hops must be at least 1: {self.max_hops}")
        if not 0 <= self.flow < _FLOWS:
            raise ValueError(f"flow must be in [0, 2**63): {self.flow}")

    @property
    def demand(self) -> Demand:
        """What the medium puts on each link."""
        return demand(self.media)

    @property
    def hop_limit(self) -> int:
        """Most links a path may have: the request's own limit, or the medium's."""
        return self.demand.max_hops if self.max_hops is None else self.max_hops


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a path is expected to give the call.

    Attributes:
        rtt: Round-trip time, seconds.
        jitter: Seconds.
        loss: Probability.
        mos: Conversational MOS in [1, 4.5].
    """

    rtt: float
    jitter: float
    loss: float
    mos: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """The route a call should take, and why.

    Attributes:
        route_id: 16 hexadecimal digits; equal for the same path, medium and view version.
        path: Nodes in order, source first.
        policy: Name of the policy that decided.
        ai_score: 100 times the calibrated probability that the call meets its quality target; NaN if the policy
            claims none.
        confidence: Calibrated probability that this path is within 0.2 MOS of the best candidate; NaN if not claimed.
        predicted: Expected quality.
        supports_aic: Whether every node of the path supports AIC.
        reasons: What shaped the decision, in words.
        fallbacks: Runners-up, best first.
    """

    route_id: str
    path: tuple[NodeId, ...]
    policy: str
    ai_score: float
    confidence: float
    predicted: Prediction
    supports_aic: bool
    reasons: tuple[str, ...]
    fallbacks: tuple[tuple[NodeId, ...], ...]

    def _repr_html_(self) -> str:
        rows = {
            "path": _shown(self.path),
            "ai_score": self.ai_score,
            "confidence": self.confidence,
            "round trip": f"{milliseconds(self.predicted.rtt):.1f} ms",
            "jitter": f"{milliseconds(self.predicted.jitter):.2f} ms",
            "loss": f"{self.predicted.loss:.2%}",
            "MOS": self.predicted.mos,
            "supports AIC": self.supports_aic,
            "reasons": self.reasons,
            "fallbacks": [_shown(path) for path in self.fallbacks],
        }
        return table(f"route {self.route_id} by {self.policy}", rows)


def _shown(path: tuple[NodeId, ...]) -> str:
    return " \N{RIGHTWARDS ARROW} ".join(short(node) for node in path)
