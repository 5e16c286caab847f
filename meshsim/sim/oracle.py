"""Ghost probes: what a call would have lived through on every candidate path, in the one run.

A probe looks twice, when the call starts and 15 s later (or when it should have ended), each time with the load of
the call taken off the path it really uses and put on each candidate alone, and averages the two. With media in packets
the time between the two looks can be lived through again on every candidate, packet by packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.sim.world import PathTruth

if TYPE_CHECKING:
    from meshsim.mesh.media import Demand
    from meshsim.routing.candidates import Candidates
    from meshsim.sim.media import PacketMedia
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


def replay_probe(
    truth: PathTruth, probe: GhostProbe, media: PacketMedia, key: int, demand: Demand, t: float
) -> PathTruth:
    """The same from packets: every connected candidate is lived through again, from the start of the call up to now.

    Args:
        truth: From `finish_probe`; it stands where too little came through to tell.
        probe: From `start_probe`.
        media: Where the call was marked when it started.
        key: Of the call.
        demand: Of the call.
        t: Now, seconds.
    """
    rows = np.flatnonzero(truth.connected)
    lived = media.replay(key, [probe.paths.pick(int(row)) for row in rows], demand, t)
    columns = [truth.rtt.copy(), truth.jitter.copy(), truth.loss.copy()]
    for column, value in zip(columns, lived.T, strict=True):
        column[rows] = np.where(np.isnan(value), column[rows], value)
    rtt, jitter, loss = columns
    return PathTruth(rtt=rtt, jitter=jitter, loss=loss, connected=truth.connected)
