"""Rate-adaptive media: what calls with video or data send when the resources on their way are short.

Congestion control for media (Google's, draft-ietf-rmcat-gcc; TFRC, RFC 5348) lowers a call's rate until queues and
losses are small and raises it again, within what the codec can do. Its equilibrium is modelled, not its course: at
every step of the background each direction of a call has its lowest rate, and of what then is left below `TARGET` on
every resource its max-min fair share, up to its full rate. Voice does not adapt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.sim.fluid import max_min
from meshsim.sim.resources import DIRECTIONS, sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.sim.flows import Flows
    from meshsim.sim.resources import Resources

TARGET = 0.9
"""Utilisation that adapting calls leave a resource at: beyond it, waits grow steeply."""


def adapt(flows: Flows, resources: Resources, background: NDArray[np.float64]) -> None:
    """Sets what each direction of every open flow sends, and with it the amounts on its rows.

    Args:
        flows: Of a world; `share` and `amount` are written.
        resources: Of the same world.
        background: (R,) utilisation by background.
    """
    numbers = flows.numbers()
    if not len(numbers):
        return
    rows, owner = flows.rows(numbers)
    links = flows.resource[rows] < resources.relay
    rows, way = rows[links], DIRECTIONS * owner[links] + flows.way[rows[links]]
    full = np.repeat([flows.rate(number) for number in numbers.tolist()], DIRECTIONS)
    lowest = full * np.repeat(flows.lowest[numbers], DIRECTIONS)
    # a way that crosses a resource twice is counted there once: routes hardly ever do
    crossings = np.unique(way * len(resources) + flows.resource[rows])
    way_of, resource = np.divmod(crossings, len(resources))
    left = (TARGET - background) * resources.capacity - sums(resource, lowest[way_of], len(resources))
    indptr = np.searchsorted(way_of, np.arange(len(full) + 1))
    rate = lowest + max_min(indptr, resource, np.maximum(left, 0.0), full - lowest)
    flows.share[numbers] = (rate / full).reshape(-1, DIRECTIONS)
    flows.amount[rows] = rate[way]
