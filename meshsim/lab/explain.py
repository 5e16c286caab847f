"""Why one call of a trace went the way it went: what was believed, what the scorer made of it, what would turn it.

The call is decided anew on what its caller believed, by the engine that nodes run; nothing is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.learn.dataset import asked
from meshsim.measure.trace import Trace
from meshsim.mesh.display import table
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import LinkBelief
from meshsim.routing import RoutingEngine
from meshsim.routing.belief import believed_hops
from meshsim.routing.columns import PATH
from meshsim.routing.policies import load_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meshsim.learn.dataset import Asked
    from meshsim.mesh.view import NetworkView
    from meshsim.routing import Ranking
    from meshsim.routing.policies import Learned

TOLD = 6
"""Features that are told of."""

STEPS = 24
"""Halvings that find where a choice turns."""

LINK_ENDS = {"delay": 20.0, "jitter": 20.0, "loss": 1.0}
"""How far a value of a hop is moved for the worse: a delay or jitter times so much, a loss up to it."""

REFUSED = "refused when the call was placed"
"""Why a path may not be taken that beliefs alone speak for: AIC was required, or a domain does not permit it."""

LEAST = 1e-4
"""Seconds: what a delay or jitter is taken for that is less."""

UNITS = {"delay": ("ms", 1000.0), "jitter": ("ms", 1000.0), "loss": ("%", 100.0), "reputation": ("", 1.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The smallest change of one quantity that makes another path the choice.

    Attributes:
        what: The quantity, with the names of whom it is of.
        was, becomes: Its value, and the nearest at which the choice turns.
        unit: Of both.
        effort: Size of the change beside the whole range that was tried, in [0, 1].
        then: The path that is chosen then.
    """

    what: str
    was: float
    becomes: float
    unit: str
    effort: float
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a call goes one way; every list is ready for a table.

    Attributes:
        call: Its number in the trace.
        asked: What was asked, in words.
        decision: What the engine says of its choice.
        reasons: What shaped the ranking.
        candidates: Each path, the chosen one first: what is predicted, and what was true.
        hops: What each hop of the chosen path and the runner-up adds.
        features: Where the two differ most.
        turns: What would turn the choice, the smallest change first.
    """

    call: int
    asked: str
    decision: str
    reasons: tuple[str, ...]
    candidates: list[dict[str, Any]]
    hops: list[dict[str, Any]]
    features: list[dict[str, Any]]
    turns: list[Turn]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All tables by name."""
        return {
            "candidates": self.candidates,
            "what each hop adds": self.hops,
            "where the choice and the runner-up differ most": self.features,
            "what would turn the choice": [
                {
                    "quantity": turn.what,
                    "is": f"{turn.was:.4g} {turn.unit}".strip(),
                    "turns at": f"{turn.becomes:.4g} {turn.unit}".strip(),
                    "then": turn.then,
                }
                for turn in self.turns
            ],
        }

    def _repr_html_(self) -> str:
        lines = {
            f"{place}. {row['path']}": f"ai_score {row['ai_score']:.1f}, RTT {row['rtt_ms']:.0f} ms"
            for place, row in enumerate(self.candidates[:TOLD], start=1)
        }
        turns = [
            f"{turn.what}: {turn.was:.3g} to {turn.becomes:.3g} {turn.unit}, then {turn.then}" for turn in self.turns
        ]
        rows = {
            "asked": self.asked,
            "decision": self.decision,
            "reasons": self.reasons,
            **lines,
            "would turn it": turns,
        }
        return table(f"call {self.call}", rows)


def explain(trace: Path, call: int, *, model: str = "route-scorer") -> Explanation:
    """Why the scorer sends a logged call one way.

    Args:
        trace: A trace folder that holds views and candidates.
        call: Row of the call in its trace.
        model: A name, or the folder of an artefact.

    Raises:
        TraceError: If the trace does not hold what the call's caller believed.
        ConfigError: If no candidate may be used, so that there is nothing to explain; its message says why.
    """
    whole, scorer = asked(trace, call), load_model(model)
    names = [str(name) for name in Trace(trace).columns("nodes")["name"]]
    floor = float(Trace(trace).header.get("scenario", {}).get("routing", {}).get("trust_floor", 30.0))
    teller = _Teller(whole, scorer, names, RoutingEngine(scorer, trust_floor=floor))
    if not teller.ranking.order:
        why = "; ".join(teller.ranking.reasons) or REFUSED
        raise ConfigError(f"call {call} has no path that may be used: {why}", key="CALL")
    return teller.explanation(call)


class _Teller:
    """One call, its ranking, and what is asked of it again and again."""

    def __init__(self, whole: Asked, scorer: Learned, names: list[str], engine: RoutingEngine) -> None:
        self.whole, self.scorer, self.names, self.engine = whole, scorer, names, engine
        self.ranking = self._ranked(whole.view)
        self.paths = [whole.candidates.path(row) for row in range(len(whole.candidates))]

    def _ranked(self, view: NetworkView) -> Ranking:
        """What the engine makes of the paths that were open to the call.

        Whether AIC was required, and what domains permit, stands in no trace but for the paths that it refused.
        """
        ranking = self.engine.rank_among(self.whole.candidates, self.whole.request, view)
        return replace(ranking, order=tuple(row for row in ranking.order if self.whole.feasible[row]))

    def explanation(self, call: int) -> Explanation:
        order = self.ranking.order
        decision = self.engine.decide(self.ranking, self.whole.request, self.whole.view)
        chosen, then = self.paths[order[0]], self.whole.chosen
        took = "nothing" if then < 0 else self.path(then)
        return Explanation(
            call=call,
            asked=f"{self.names[chosen[0]]} calls {self.names[chosen[-1]]}, {self.whole.request.media}; it took {took}",
            decision=f"{self.path(order[0])}: ai_score {decision.ai_score:.1f}, confidence {decision.confidence:.2f}",
            reasons=decision.reasons,
            candidates=[self._candidate(row) for row in (*order, *self._left())],
            hops=[row for place in order[:2] for row in self._hops(place)],
            features=self._differences(order[0], order[1]) if len(order) > 1 else [],
            turns=sorted(self._turns(), key=lambda turn: turn.effort)[:TOLD] if len(order) > 1 else [],
        )

    def path(self, row: int) -> str:
        return " > ".join(self.names[node] for node in self.paths[row])

    def _left(self) -> list[int]:
        return [row for row in range(len(self.paths)) if row not in self.ranking.order]

    def _candidate(self, row: int) -> dict[str, Any]:
        scores, labels = self.ranking.scores, self.whole.labels
        refused = self.ranking.feasibility.reason[row] or ("" if self.whole.feasible[row] else REFUSED)
        true = {
            "true_rtt_ms": 1000 * labels.rtt[row],
            "true_loss_percent": 100 * labels.loss[row],
            "true_mos": labels.mos[row],
        }
        return {
            "path": self.path(row),
            "refused": refused,
            "ai_score": float(scores.ai_score[row]),
            "rtt_ms": 1000 * float(scores.rtt[row]),
            "jitter_ms": 1000 * float(scores.jitter[row]),
            "loss_percent": 100 * float(scores.loss[row]),
            "mos": float(scores.mos[row]),
            **(true if labels.connected[row] else dict.fromkeys(true, float("nan"))),
            "met_its_target": bool(labels.ok[row]),
        }

    def _hops(self, row: int) -> Iterator[dict[str, Any]]:
        features = self.ranking.features
        own = np.flatnonzero(features.hop_path == row)
        parts, hops = self.scorer.parts(features)[own], features.hops
        for place, (delay, variance, exponent) in zip(own.tolist(), parts.tolist(), strict=True):
            src, dst = int(features.hop_src[place]), int(features.hop_dst[place])
            yield {
                "path": self.path(row),
                "hop": f"{self.names[src]} > {self.names[dst]}",
                "believed_ms": float("nan") if hops is None else 1000 * float(hops.delay[place]),
                "adds_ms": 1000 * delay,
                "adds_jitter_ms": 1000 * variance**0.5,
                "adds_loss_percent": 100 * float(-np.expm1(-exponent)),
            }

    def _differences(self, chosen: int, runner: int) -> list[dict[str, Any]]:
        """The columns in which two paths differ most, beside how much candidates differ at all."""
        table = self.ranking.features.path.astype(np.float64)
        spread = table.std(axis=0)
        gap = np.where(spread > 0, (table[chosen] - table[runner]) / np.where(spread > 0, spread, 1.0), 0.0)
        most = np.argsort(-np.abs(gap), kind="stable")[:TOLD]
        return [
            {"feature": PATH[k], "choice": table[chosen, k], "runner_up": table[runner, k], "deviations": gap[k]}
            for k in most.tolist()
            if gap[k]
        ]

    # --- what would turn it -------------------------------------------------------------------------------------------

    def _turns(self) -> Iterator[Turn]:
        """Every quantity of the chosen path that, alone and made worse, makes another path the choice."""
        row, features = self.ranking.order[0], self.ranking.features
        hops = believed_hops(self.whole.view, self.whole.candidates.hop_src, self.whole.candidates.hop_dst)
        for place in np.flatnonzero(features.hop_path == row).tolist():
            ends = f"{self.names[features.hop_src[place]]} > {self.names[features.hop_dst[place]]}"
            for name, times in LINK_ENDS.items():
                was = float(getattr(hops, name)[place])
                worst = times if name == "loss" else max(was, LEAST) * times
                yield from self._turn(f"{name} of {ends}", name, was, worst, partial(self._with_hop, hops, place, name))
        for relay in self.paths[row][1:-1]:
            was = float(self.whole.view.nodes.reputation[relay])
            changed = partial(self._with_reputation, relay)
            yield from self._turn(f"reputation of {self.names[relay]}", "reputation", was, 0.0, changed)

    def _turn(
        self, what: str, kind: str, was: float, worst: float, changed: Callable[[float], NetworkView]
    ) -> Iterator[Turn]:
        """Halves the way from `was` to `worst` until it is known where the choice turns; nothing if it never does."""
        first = self.ranking.order[0]

        def choice(share: float) -> int:
            order = self._ranked(changed(was + share * (worst - was))).order
            return order[0] if order else -1

        if choice(1.0) == first:
            return
        low, high = 0.0, 1.0
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (middle, high) if choice(middle) == first else (low, middle)
        unit, scale = UNITS[kind]
        then = choice(high)
        yield Turn(
            what=what,
            was=scale * was,
            becomes=scale * (was + high * (worst - was)),
            unit=unit,
            effort=high,
            then="no path" if then < 0 else self.path(then),
        )

    def _with_hop(self, hops: LinkBelief, place: int, name: str, value: float) -> NetworkView:
        """The view with one value of one hop changed, as its owner would know better than the digest."""
        src, dst = hops.src[place], hops.dst[place]
        fresh = self.whole.view.fresh
        row = {column: getattr(hops, column)[[place]] for column in LinkBelief.__slots__}
        row[name] = np.array([value])
        if fresh is None:
            return replace(self.whole.view, fresh=LinkBelief(**row))
        kept = ~((fresh.src == src) & (fresh.dst == dst))
        joined = {c: np.concatenate([getattr(fresh, c)[kept], row[c]]) for c in LinkBelief.__slots__}
        order = np.lexsort((joined["dst"], joined["src"]))
        return replace(self.whole.view, fresh=LinkBelief(**{c: values[order] for c, values in joined.items()}))

    def _with_reputation(self, relay: int, value: float) -> NetworkView:
        """The view with a relay's reputation moved, its interval along with it."""
        nodes = self.whole.view.nodes
        moved = {}
        for name in ("reputation", "reputation_low", "reputation_high"):
            column = getattr(nodes, name).copy()
            column[relay] = np.clip(column[relay] + value - nodes.reputation[relay], 0.0, 100.0)
            moved[name] = column
        return replace(self.whole.view, nodes=replace(nodes, **moved))
