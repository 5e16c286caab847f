"""Ghost probes: what a call would have lived through on every candidate path, in the one run.

A probe looks twice, when the call starts and 15 s later (or when it should have ended), each time with the load of
the call taken off the path it really uses and put on each candidate alone, and averages the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.sim.world import PathTruth

if TYPE_CHECKING:
    from meshsim.mesh.media import Demand
    from meshsim.routing.candidates import Candidates
    from meshsim.sim.resources import Paths
    from meshsim.sim.world import World

SECOND_LOOK = 15.0
"""Seconds after the start of a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostProbe:
    """A probe half-way.

    Attributes:
        paths: The candidates, laid onto resources.
        first: What they were like at the start.
    """

    paths: Paths
    first: PathTruth


def start_probe(world: World, candidates: Candidates, demand: Demand) -> GhostProbe:
    """Looks at P candidates for a call of `demand` that does not flow yet."""
    paths = world.lay_flat(candidates.nodes.astype("int64"), candidates.indptr, demand)
    return GhostProbe(paths=paths, first=world.probe(paths))


def finish_probe(world: World, probe: GhostProbe, flow: int | None = None) -> PathTruth:
    """Looks again and averages; a path must be connected both times.

    Args:
        world: The truth.
        probe: From `start_probe`.
        flow: The call's own flow, if it is open.
    """
    first, second = probe.first, world.probe(probe.paths, without=flow)
    return PathTruth(
        rtt=(first.rtt + second.rtt) / 2,
        jitter=(first.jitter + second.jitter) / 2,
        loss=(first.loss + second.loss) / 2,
        connected=first.connected & second.connected,
    )
