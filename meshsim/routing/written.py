"""What is written down of a decision: its candidates as they were believed, as columns of the table `routes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.measure.trace import Ragged
from meshsim.routing.features import believed_hops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import Ranking

_HOP_COLUMNS = {
    "hop_delay_seconds": "delay",
    "hop_jitter_seconds": "jitter",
    "hop_loss": "loss",
    "hop_rate_bps": "rate",
    "hop_age_seconds": "age",
    "hop_observed": "observed",
}


def single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` rounded to single precision: what the trace keeps is exactly what was believed, on any machine."""
    return values.astype(np.float32).astype(np.float64)


def believed_columns(view: NetworkView, ranking: Ranking, chosen: int) -> dict[str, Any]:
    """What was believed of P candidates, as the policy saw it, and which was taken.

    Args:
        view: What the decision was made on.
        ranking: What the engine made of it.
        chosen: Row of the candidate that was taken, -1 for none.
    """
    candidates, hops = ranking.candidates, ranking.features.hops
    if hops is None:
        hops = believed_hops(view, candidates.hop_src, candidates.hop_dst)
    count = len(candidates)
    return {
        "candidate": np.arange(count),
        **{column: Ragged(getattr(hops, name), candidates.hops) for column, name in _HOP_COLUMNS.items()},
        "feasible": ranking.feasibility.ok,
        "refusal": ranking.feasibility.reason,
        "utility": single(np.where(ranking.feasibility.ok, ranking.scores.utility, np.nan)),
        "propensity": single(ranking.propensity),
        "chosen": np.arange(count) == chosen,
    }
