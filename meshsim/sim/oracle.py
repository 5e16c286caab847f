"""What only the simulator can know: how a call would fare on every candidate path. Ghost probes, and a policy.

A probe looks twice, when the call starts and 15 s later (or when it should have ended), each time with the load of
the call taken off the path it really uses and put on each candidate alone, and averages the two. With media in packets
the time between the two looks can be lived through again on every candidate, packet by packet.

The policy `oracle` is the bound that believing policies are measured by: it ranks candidates by the first look.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.quality import mos, poor
from meshsim.routing.features import PATH, Scores
from meshsim.routing.graph import ragged
from meshsim.scenario.quantities import ORACLE, POLICY_NAMES
from meshsim.sim.world import PathTruth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.media import Demand
    from meshsim.routing.candidates import Candidates
    from meshsim.routing.features import Features
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


def relay_probe(world: World, probe: GhostProbe, demand: Demand) -> GhostProbe:
    """The same candidates, laid anew where nodes hang on other places now."""
    return replace(probe, paths=world.lay_flat(probe.paths.nodes, probe.paths.indptr, demand))


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


GOOD, CUT_OFF = 10.0, -20.0
"""Added to the MOS of a path that meets its target, and of one that carries nothing: no MOS makes up for either."""

HALF_CALL = 0.5
"""Tolerance when calls are counted: loads are sums of floats."""


class Oracle:
    """Ranks candidates by what they truly are when the call starts, the call's own load included.

    A path that meets the quality target comes before one that does not, then the MOS decides; paths over relays that
    are full, or that carry nothing, come last. It chooses among the engine's candidates, so more of them
    (`routing.candidates`) make a stronger oracle, and it does not see the future: load that comes later is no part of
    the choice. With `routing.batch` it sees the beginning of the window.

    Attributes:
        world: The truth; a policy without one cannot score.
    """

    name = ORACLE

    def __init__(self, world: World | None = None) -> None:
        self.world = world

    def score(self, features: Features) -> Scores:
        """The MOS, far above where the target is met, far below where nothing comes through.

        Raises:
            ConfigError: If there is no world to look at.
        """
        if self.world is None:
            raise ConfigError("the oracle sees the truth of a simulated world, and here is none", allowed=POLICY_NAMES)
        nodes, indptr = _nodes_of(features)
        media = _media_of(features)
        truth = _probed(self.world, nodes, indptr, media)
        carried = truth.connected & ~full(self.world, nodes, indptr)
        kinds = list(MediaType)
        names = [kinds[place] for place in media.tolist()]
        felt = mos(names, truth.rtt / 2, truth.jitter, truth.loss)
        good = ~poor(truth.rtt, truth.jitter, truth.loss, names)
        unclaimed = np.full(len(features), np.nan)
        return Scores(
            utility=felt + GOOD * good + CUT_OFF * ~carried,
            ai_score=unclaimed,
            confidence=unclaimed,
            rtt=truth.rtt,
            jitter=truth.jitter,
            loss=truth.loss,
            mos=felt,
        )


def _nodes_of(features: Features) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nodes of P paths one after another, and (P + 1,) where each begins."""
    hops = np.bincount(features.hop_path, minlength=len(features))
    indptr = np.concatenate([[0], np.cumsum(hops + 1)])
    nodes = np.empty(indptr[-1], dtype=np.int64)
    nodes[indptr[1:] - 1] = features.hop_dst[np.cumsum(hops) - 1]
    nodes[np.arange(len(features.hop_path)) + features.hop_path] = features.hop_src
    return nodes, indptr


def _media_of(features: Features) -> NDArray[np.int64]:
    """(P,) place in `MediaType` of what is asked of each path."""
    first = PATH.index(str(next(iter(MediaType))))
    return np.asarray(features.path[:, first : first + len(MediaType)].argmax(axis=1), dtype=np.int64)


def _probed(world: World, nodes: NDArray[np.int64], indptr: NDArray[np.int64], media: NDArray[np.int64]) -> PathTruth:
    """What each path is like for a call of its `media` (P,)."""
    whole = np.empty((4, len(media)))
    for place, kind in enumerate(MediaType):
        rows = (media == place).nonzero()[0]
        if len(rows):
            own, starts = _taken(nodes, indptr, rows)
            truth = world.probe(world.lay_flat(own, starts, demand(kind)))
            whole[:, rows] = truth.rtt, truth.jitter, truth.loss, truth.connected
    return PathTruth(rtt=whole[0], jitter=whole[1], loss=whole[2], connected=whole[3] > 0)


def _taken(
    nodes: NDArray[np.int64], indptr: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The paths `rows` alone."""
    _, at = ragged(indptr[rows], indptr[rows + 1])
    return nodes[at], np.concatenate([[0], np.cumsum(indptr[rows + 1] - indptr[rows])])


def full(world: World, nodes: NDArray[np.int64], indptr: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(P,) which paths have a relay that refuses one more call.

    Args:
        world: The truth.
        nodes: (sum of nodes,) of P paths, one after another.
        indptr: (P + 1,) where each begins.
    """
    taken = world.relaying() > world.plan.nodes.max_calls - HALF_CALL
    blocked = taken[nodes]
    blocked[indptr[:-1]] = blocked[indptr[1:] - 1] = False
    return np.asarray(np.logical_or.reduceat(blocked, indptr[:-1]))
