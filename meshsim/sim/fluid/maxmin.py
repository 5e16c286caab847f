"""Weighted max-min fair rates of flows that each may have a highest rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.sim.fluid.filling import Sharing, share_all, sharing

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def max_min(
    indptr: ArrayLike,
    route: ArrayLike,
    capacity: ArrayLike,
    demand: ArrayLike = math.inf,
    weight: ArrayLike = 1.0,
) -> NDArray[np.float64]:
    """Rates at which no flow can gain but at the cost of one of lower or equal level (rate over weight).

    Args:
        indptr: (F + 1,) where each flow's links begin in `route`; a flow crosses each link at most once.
        route: Links of all flows, one after the other.
        capacity: (E,) of each link, any unit.
        demand: (F,) or scalar, highest rate; flows that cross no link get it.
        weight: (F,) or scalar, above 0.

    Returns:
        (F,) float64.

    Raises:
        ConfigError: If a link is unknown or crossed twice by one flow, or a number is out of range.

    >>> max_min([0, 2, 3, 4], [0, 1, 0, 1], [1.0, 1.0]).tolist()
    [0.5, 0.5, 0.5]
    """
    net = declared(indptr, route, capacity, demand, weight)
    share_all(net)
    return net.rate


def declared(indptr: ArrayLike, route: ArrayLike, capacity: ArrayLike, demand: ArrayLike, weight: ArrayLike) -> Sharing:
    """Flows and links, looked at for mistakes; arguments as in `max_min`."""
    starts, links = np.asarray(indptr, dtype=np.int64), np.asarray(route, dtype=np.int64)
    room = np.array(capacity, dtype=np.float64)
    flows = len(starts) - 1
    asked, weights = (np.array(np.broadcast_to(np.asarray(of, dtype=np.float64), flows)) for of in (demand, weight))
    if len(links) and not 0 <= links.min() <= links.max() < len(room):
        raise ConfigError(f"a flow crosses a link that is not there ({len(room)} links)", key="route")
    owners = np.repeat(np.arange(flows), np.diff(starts))
    if len(np.unique(owners * max(len(room), 1) + links)) < len(links):
        raise ConfigError("a flow crosses a link twice", key="route")
    for key, values, wrong in (
        ("capacity", room, ~((room >= 0) & np.isfinite(room))),
        ("demand", asked, ~(asked >= 0)),
        ("weight", weights, ~((weights > 0) & np.isfinite(weights))),
    ):
        if wrong.any():
            raise ConfigError(f"{values[wrong][0]!r} is out of range", key=key)
    return sharing(starts, links, room, asked, weights)
