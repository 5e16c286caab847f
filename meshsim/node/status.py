"""How a running node is, in numbers: what it has counted since its start, and how it stands at this moment."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshsim.agent import EventSample, RouteSample, TrustSample
from meshsim.mesh.ids import did_key
from meshsim.trust.status import status_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from meshsim.agent import MeshAgent, Sample
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.view import NetworkView
    from meshsim.node.alone import Registry
    from meshsim.node.calls import Call, CallResult
    from meshsim.node.clock import NodeClock
    from meshsim.node.config import NodeConfig
    from meshsim.node.driver import NodeDriver
    from meshsim.node.media import MediaPlane
    from meshsim.node.neighbours import Neighbours
    from meshsim.node.trace import NodeTrace

BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, math.inf)
"""Upper bounds of the classes in which the lengths of calls are counted, seconds."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a node has counted since its start.

    Attributes:
        calls: Calls that ended here, by direction (`outgoing`, `incoming`) and outcome.
        lengths: How many of those that stood were no longer than each of `BUCKETS`, not counting shorter ones' classes.
        talked: Seconds that they stood, all together.
        decisions: Routes decided.
        with_aic: Those of which every node supports AIC.
        scores: Sum of their `ai_score`s.
        scored: How many had one.
        failovers: Calls of this node that found another route.
        reputation_events: Moves of reputations.
        carried: Routes of others' calls opened here.
        malformed: Media packets and data frames that nobody could read.
    """

    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    talked: float = 0.0
    decisions: int = 0
    with_aic: int = 0
    scores: float = 0.0
    scored: int = 0
    failovers: int = 0
    reputation_events: int = 0
    carried: int = 0
    malformed: int = 0

    def count(self, sample: Sample) -> None:
        """Takes in what the agent gave out."""
        match sample:
            case RouteSample(decision=decision):
                self.decisions += 1
                self.with_aic += bool(decision.supports_aic)
                if not math.isnan(decision.ai_score):
                    self.scores += decision.ai_score
                    self.scored += 1
            case TrustSample():
                self.reputation_events += 1
            case EventSample(kind="failover"):
                self.failovers += 1

    def count_call(self, direction: str, result: CallResult) -> None:
        """Takes in how a call went."""
        key = (direction, result.outcome)
        self.calls[key] = self.calls.get(key, 0) + 1
        if result.seconds > 0.0:
            self.talked += result.seconds
            self.lengths[next(at for at, most in enumerate(BUCKETS) if result.seconds <= most)] += 1

    @property
    def mean_score(self) -> float:
        """Mean `ai_score` of the decisions; NaN without one."""
        return self.scores / self.scored if self.scored else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The parts of a running node that say how it is.

    Attributes:
        config: What it was told.
        agent: Its brain.
        driver: Its agent's.
        client: Its connection to the registry.
        neighbours: Its links.
        media: Its media plane.
        calls: The calls of which it is an end.
        carried: Labels of the routes of others that pass through it.
        tally: What it has counted.
        trace: Its trace, if it keeps one.
        started: Monotonic second of its start.
        clock: Tells it the time.
    """

    config: NodeConfig
    agent: MeshAgent
    driver: NodeDriver
    client: Registry
    neighbours: Neighbours
    media: MediaPlane
    calls: dict[CallId, Call]
    carried: Collection[int]
    tally: Tally
    trace: NodeTrace | None
    started: float
    clock: NodeClock

    @property
    def uptime(self) -> float:
        """Seconds since its start."""
        return time.monotonic() - self.started

    def view(self) -> NetworkView:
        """What it believes now."""
        return self.driver.view()

    def tell(self) -> dict[str, Any]:
        """All of it as JSON values; numbers that are not known are null."""
        view, record = self.view(), self.agent.record
        return {
            "node": did_key(self.agent.node),
            "aura": record.aura,
            "role": record.role,
            "uptime_seconds": self.uptime,
            "clock_ahead_seconds": self.clock.ahead,
            "registry": {"url": self.config.registry, "connected": self.client.online},
            "links": self.links(),
            "calls": [_told_of_call(call) for call in self.calls.values()],
            "carried": {
                "routes": len(self.carried), "since_start": self.tally.carried, "load": self.agent.load,
                "room": record.max_calls,
            },
            "ended": [
                {"direction": direction, "outcome": outcome, "count": count}
                for (direction, outcome), count in sorted(self.tally.calls.items())
            ],
            "decisions": self.tally.decisions,
            "ai_score_mean": _known(self.tally.mean_score),
            "failovers": self.tally.failovers,
            "reputations": _reputations(view, self.agent.node),
            "rejected": self.agent.rejected,
            "signaling": self.neighbours.counts(),
            "malformed": self.tally.malformed,
            "unroutable": self.media.unroutable,
            "view": {"nodes": len(view.nodes), "online": int(view.nodes.online.sum()), "links": len(view.links)},
            "trace": None if self.trace is None else {
                "folder": str(self.trace.folder.absolute()), "given_up": self.trace.given_up
            },
        }  # fmt: skip

    def links(self) -> list[dict[str, Any]]:
        """Its links as JSON values, by node: those it keeps, and those made for calls."""
        measured = {neighbour.node: neighbour for neighbour in self.agent.neighbours()}
        kept = set(self.config.neighbour_ids)
        told = []
        for node in sorted({*measured, *kept, *self.neighbours.links}):
            neighbour = measured.get(node)
            told.append({
                "node": did_key(node),
                "aura": neighbour.record.aura if neighbour is not None and neighbour.record is not None else "",
                "up": node in self.neighbours.links and neighbour is not None and neighbour.up,
                "kept": node in kept,
                "rtt_seconds": None if neighbour is None else _known(neighbour.rtt),
                "jitter_seconds": None if neighbour is None else neighbour.one_way_jitter,
                "loss": None if neighbour is None else neighbour.one_way_loss,
            })  # fmt: skip
        return told


def _told_of_call(call: Call) -> dict[str, Any]:
    return {
        "call": call.id.hex(), "peer": str(call.peer), "outgoing": call.outgoing, "media": str(call.media),
        "state": str(call.state), "path": [did_key(node) for node in call.path],
    }  # fmt: skip


def _reputations(view: NetworkView, own: NodeId) -> list[dict[str, Any]]:
    """What is held of each node of the view with evidence, worst first."""
    nodes = view.nodes
    rows = [row for row, node in enumerate(nodes.ids) if node != own and nodes.evidence[row] > 0.0]
    rows.sort(key=lambda row: (float(nodes.reputation[row]), nodes.ids[row]))
    return [
        {
            "node": did_key(nodes.ids[row]), "score": float(nodes.reputation[row]),
            "low": float(nodes.reputation_low[row]), "high": float(nodes.reputation_high[row]),
            "status": str(status_of(float(nodes.reputation[row]))),
        }
        for row in rows
    ]  # fmt: skip


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
