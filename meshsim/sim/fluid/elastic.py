"""Transfers that come, share links max-min fairly, and leave when their work is done: a flow-level simulation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.sim.fluid.filling import Agenda, transfer
from meshsim.sim.fluid.maxmin import declared

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def run_elastic(
    indptr: ArrayLike,
    route: ArrayLike,
    capacity: ArrayLike,
    arrivals: ArrayLike,
    sizes: ArrayLike,
    *,
    demand: ArrayLike = math.inf,
    weight: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """When each of F transfers is done.

    Args:
        indptr: (F + 1,) where each transfer's links begin in `route`; at least one each.
        route: Links of all transfers, one after the other.
        capacity: (E,) bits per second.
        arrivals: (F,) seconds.
        sizes: (F,) bits.
        demand: (F,) or scalar, highest rate, bits per second.
        weight: (F,) or scalar, above 0.

    Returns:
        (F,) float64 seconds; infinite for transfers that get no rate.

    Raises:
        ConfigError: As `max_min`; or if a transfer crosses no link, or a time or size is not a number or negative.

    >>> run_elastic([0, 1, 2], [0, 0], [1.0], [0.0, 1.0], [2.0, 2.0]).tolist()
    [3.0, 4.0]
    """
    net = declared(indptr, route, capacity, demand, weight)
    flows = len(net.rate)
    if (np.diff(net.indptr) < 1).any():
        raise ConfigError("a transfer crosses no link", key="indptr")
    begins, work = (np.array(of, dtype=np.float64) for of in (arrivals, sizes))
    for key, values in (("arrivals", begins), ("sizes", work)):
        if values.shape != (flows,) or not (np.isfinite(values) & (values >= 0)).all():
            raise ConfigError(f"{flows} finite numbers of at least 0 are needed", key=key)
    agenda = Agenda(
        due=np.full(flows, math.inf),
        place=np.full(flows, -1),
        queue=np.zeros(flows, dtype=np.int64),
        left=work,
        seen=np.zeros(flows),
        pace=np.full(flows, -1.0),
    )
    ends = np.full(flows, math.inf)
    transfer(net, agenda, np.argsort(begins, kind="stable"), begins, ends)
    return ends
