"""Metrics of reputation against the truth: whom calls went over, and what was held of whom in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.measure.metrics.calls import Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

HONEST = "honest"
SUSPECT = frozenset({"suspicious", "banned"})


def _over_attackers(calls: dict[str, Any]) -> NDArray[np.float64]:
    """1 for each relayed call that ended on a path over a node that misbehaves, 0 for the other relayed calls."""
    relays = [behaviours[1:-1] for behaviours in calls["behaviour"] if len(behaviours) > 2]  # noqa: PLR2004 - two ends
    return np.array([any(kind != HONEST for kind in path) for path in relays], dtype=np.float64)


def _last(trust: dict[str, Any], *, honest: bool) -> list[int]:
    """The last row of each node in each observer's eyes, of the honest or of the others."""
    last: dict[tuple[int, int], int] = {}
    for row, (node, observer, kind) in enumerate(
        zip(trust["node"], trust["observer"], trust["behaviour"], strict=True)
    ):
        if (kind == HONEST) == honest:
            last[int(node), int(observer)] = row
    return list(last.values())


def _score(*, honest: bool) -> Callable[[dict[str, Any]], NDArray[np.float64]]:
    def of(trust: dict[str, Any]) -> NDArray[np.float64]:
        return np.array([trust["score"][row] for row in _last(trust, honest=honest)], dtype=np.float64)

    return of


def _suspected(*, honest: bool) -> Callable[[dict[str, Any]], NDArray[np.float64]]:
    def of(trust: dict[str, Any]) -> NDArray[np.float64]:
        rows = _last(trust, honest=honest)
        return np.array([trust["status"][row] in SUSPECT for row in rows], dtype=np.float64)

    return of


OF_TRUST = (
    Metric(
        name="attacker_relay_rate",
        unit="1",
        lower_is_better=True,
        text="share of relayed calls that ended on a path over a node that misbehaves",
        of=_over_attackers,
        beside="final_path",
    ),
    Metric(
        name="honest_score",
        unit="1",
        lower_is_better=False,
        text="last score, 0..100, of honest nodes that were judged",
        of=_score(honest=True),
        table="trust",
        beside="node",
    ),
    Metric(
        name="attacker_score",
        unit="1",
        lower_is_better=True,
        text="last score, 0..100, of misbehaving nodes that were judged",
        of=_score(honest=False),
        table="trust",
        beside="node",
    ),
    Metric(
        name="wronged_rate",
        unit="1",
        lower_is_better=True,
        text="share of the honest nodes that were judged who end suspicious or banned",
        of=_suspected(honest=True),
        table="trust",
        beside="node",
    ),
    Metric(
        name="unmasked_rate",
        unit="1",
        lower_is_better=False,
        text="share of the misbehaving nodes that were judged who end suspicious or banned",
        of=_suspected(honest=False),
        table="trust",
        beside="node",
    ),
)
