"""The modelled control plane: what a node would believe after probing, gossip and receipts, without an agent for each node.

Links are measured half-way between digests and published with the next one, so a belief in use is half a period to one and a
half old, and older where measurements were missing. What a measurement says is the truth with the noise of a probe train. All
callers of one digest share its view (owner -1), so that a scorer encodes it once; what a caller knows better (its own links,
the direct path if it was used lately) comes on top as `fresh`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import LinkBelief, NetworkView, NodeBelief
from meshsim.routing.features import predicted_links
from meshsim.sim import draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.sim.ledger import Ledger
    from meshsim.sim.resources import Hops
    from meshsim.sim.world import PathTruth, World

TRAIN_AT_UNIT_NOISE = 2.0
"""Packets of a probe train times noise squared: noise 0.1 stands for trains of 200 packets."""

JITTER_NOISE = 2.0
"""Relative noise of a jitter over that of a delay: it is a second moment."""

SMOOTHING = 0.4
"""Weight of the newest measurement of jitter and loss in their running means."""

DIRECT_MEMORY = 600.0
"""Seconds for which a caller remembers how a direct path was."""


def single(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` rounded to single precision: what the trace keeps is exactly what was believed, on any machine."""
    return values.astype(np.float32).astype(np.float64)


@dataclass(slots=True)
class _Measured:
    """What probes say of K links, both ways of each in one value; arrays (K,) float64."""

    delay: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    rate: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> _Measured:
        """The links `rows`."""
        return _Measured(self.delay[rows], self.jitter[rows], self.loss[rows], self.rate[rows])


class ControlPlane:
    """Belief of one area.

    Args:
        world: The truth.
        ids: Node ids, in index order.
        ledger: Reputations.

    Attributes:
        shared: The view of the last digest.
    """

    shared: NetworkView

    def __init__(self, world: World, ids: Sequence[NodeId], ledger: Ledger) -> None:
        plan = world.plan
        self._world, self._ledger, self._ids = world, ledger, tuple(ids)
        self._config = plan.scenario.control
        self._seeds = SeedTree(plan.seed)
        self._capacity = single(np.minimum(plan.nodes.access_up, plan.nodes.access_down))
        src, dst = plan.links.src, plan.links.dst
        self._hops = world.lay_links(src, dst), world.lay_links(dst, src)
        self._rows = np.searchsorted(src, np.arange(len(plan.nodes) + 1))
        self._at = np.full(len(src), -np.inf)
        self._known = np.zeros(len(src), dtype=bool)
        self._seen = np.zeros(len(plan.nodes))
        self._online = world.online.copy()
        self._busy = np.zeros(len(plan.nodes))
        self._direct: dict[tuple[int, int], tuple[float, float, float, float]] = {}
        self._measures = self._digests = 0
        first = predicted_links(self._nodes(0.0), src, dst)
        self._value = _Measured(first.delay.copy(), first.jitter.copy(), first.loss.copy(), first.rate.copy())
        self.measure(0.0)
        self.digest(0.0)

    # --- the shared belief --------------------------------------------------------------------------------------------

    def measure(self, t: float) -> None:
        """Probes all links at `t` seconds, for the next digest."""
        plan, step, old = self._world.plan, self._measures, self._value
        src, dst = plan.links.src, plan.links.dst
        new = self._probe(self._hops, src, dst, step, "measure")
        taken = draws.uniform(self._seeds, "measure.missing", step, src, dst) >= self._config.missing
        taken &= self._world.online[src] & self._world.online[dst]
        weight = np.where(self._known, SMOOTHING, 1.0)
        self._value = _Measured(
            delay=np.where(taken, new.delay, old.delay),
            jitter=np.where(taken, old.jitter + weight * (new.jitter - old.jitter), old.jitter),
            loss=np.where(taken, old.loss + weight * (new.loss - old.loss), old.loss),
            rate=np.where(taken, new.rate, old.rate),
        )
        past = draws.uniform(self._seeds, "measure.age", step, src, dst) * self._config.probe_period
        self._at = np.where(taken, t - past, self._at)
        self._known |= taken
        self._online, self._busy = self._world.online.copy(), self._world.busy()
        heard = self._seeds.stream("measure.heard", step).uniform(0, len(self._seen)) * self._config.heartbeat
        self._seen = np.where(self._online, t - heard, self._seen)
        self._measures += 1

    def digest(self, t: float) -> None:
        """Publishes what was measured as a new shared view."""
        links, nodes, value = self._world.plan.links, self._nodes(t), self._value
        guess = predicted_links(nodes, links.src, links.dst)
        belief = LinkBelief(
            src=links.src,
            dst=links.dst,
            delay=single(np.where(self._known, value.delay, guess.delay)),
            jitter=single(np.where(self._known, value.jitter, guess.jitter)),
            loss=single(np.where(self._known, value.loss, guess.loss)),
            rate=single(np.where(self._known, value.rate, guess.rate)),
            age=single(np.where(self._known, t - np.where(self._known, self._at, t), guess.age)),
            observed=self._known.copy(),
        )
        self.shared = NetworkView(version=self._digests, owner=-1, at=t, nodes=nodes, links=belief)
        self._digests += 1

    def _nodes(self, t: float) -> NodeBelief:
        nodes = self._world.plan.nodes
        table = self._ledger.table(t)
        return NodeBelief(
            ids=self._ids,
            role=nodes.role,
            nat=nodes.nat,
            latitude=nodes.latitude,
            longitude=nodes.longitude,
            aic=nodes.aic,
            online=self._online,
            load=single(self._busy),
            max_calls=nodes.max_calls,
            capacity=self._capacity,
            reputation=single(table.mean),
            reputation_low=single(table.low),
            reputation_high=single(table.high),
            evidence=single(table.evidence),
            age=single(t - self._seen),
        )

    # --- one caller's belief ------------------------------------------------------------------------------------------

    def view(self, caller: int, callee: int, t: float, draw: int) -> NetworkView:
        """What `caller` believes when it calls `callee`.

        Args:
            caller: Node index.
            callee: Node index.
            t: Seconds.
            draw: Number of the call: which draws its fresh measurements use.
        """
        shared = self.shared
        return NetworkView(
            version=shared.version,
            owner=shared.owner,
            at=shared.at,
            nodes=shared.nodes,
            links=shared.links,
            fresh=self._fresh(caller, callee, t, draw),
        )

    def remember_direct(self, caller: int, callee: int, t: float, truth: PathTruth) -> None:
        """Keeps how the direct path between two nodes was, as a call lived it."""
        kept = t, float(truth.rtt[0]) / 2, float(truth.jitter[0]), float(truth.loss[0])
        self._direct[caller, callee] = self._direct[callee, caller] = kept

    def _fresh(self, caller: int, callee: int, t: float, draw: int) -> LinkBelief:
        rows = np.arange(self._rows[caller], self._rows[caller + 1])
        links = self._world.plan.links
        src, dst = links.src[rows], links.dst[rows]
        up = self._world.online[dst] & self._known[rows]
        rows, src, dst = rows[up], src[up], dst[up]
        own = self._own(rows, src, dst, draw)
        age = draws.uniform(self._seeds, "fresh.age", draw, src, dst) * self._config.probe_period
        belief = LinkBelief(
            src=src,
            dst=dst,
            delay=single(own.delay),
            jitter=single(own.jitter),
            loss=single(own.loss),
            rate=single(own.rate),
            age=single(age),
            observed=np.ones(len(rows), dtype=bool),
        )
        kept = self._direct.get((caller, callee))
        if kept is None or t - kept[0] > DIRECT_MEMORY or callee in dst:
            return belief
        return self._with_direct(belief, callee, caller, (t - kept[0], *kept[1:]))

    def _own(self, rows: NDArray[np.int64], src: NDArray[np.int32], dst: NDArray[np.int32], draw: int) -> _Measured:
        """What a caller measured of its own links `rows` just now, smoothed as the shared belief is."""
        if not len(rows):
            return self._value.take(rows)
        world, old = self._world, self._value.take(rows)
        new = self._probe((world.lay_links(src, dst), world.lay_links(dst, src)), src, dst, draw, "fresh")
        return _Measured(
            delay=new.delay,
            jitter=old.jitter + SMOOTHING * (new.jitter - old.jitter),
            loss=old.loss + SMOOTHING * (new.loss - old.loss),
            rate=new.rate,
        )

    def _with_direct(
        self, belief: LinkBelief, callee: int, caller: int, kept: tuple[float, float, float, float]
    ) -> LinkBelief:
        age, delay, jitter, loss = kept
        at = int(np.searchsorted(belief.dst, callee))
        rate = float(min(self._capacity[caller], self._capacity[callee]))
        return LinkBelief(
            src=np.insert(belief.src, at, np.int32(caller)),
            dst=np.insert(belief.dst, at, np.int32(callee)),
            delay=single(np.insert(belief.delay, at, delay)),
            jitter=single(np.insert(belief.jitter, at, jitter)),
            loss=single(np.insert(belief.loss, at, loss)),
            rate=np.insert(belief.rate, at, rate),
            age=single(np.insert(belief.age, at, age)),
            observed=np.insert(belief.observed, at, True),  # noqa: FBT003 - a value, not a flag
        )

    def _probe(
        self, hops: tuple[Hops, Hops], src: NDArray[np.int32], dst: NDArray[np.int32], step: int, name: str
    ) -> _Measured:
        """Probe trains over links: half the round trip, the worse direction's jitter and loss, each with its noise."""
        there, back = (self._world.hop_truth(way) for way in hops)
        noise, seeds = self._config.noise, self._seeds
        loss = np.maximum(there.loss, back.loss)
        spread = noise * np.sqrt(loss * (1.0 - loss) / TRAIN_AT_UNIT_NOISE)
        return _Measured(
            delay=(there.delay + back.delay) / 2 * np.exp(noise * draws.normal(seeds, name + ".delay", step, src, dst)),
            jitter=np.maximum(there.jitter, back.jitter)
            * np.exp(JITTER_NOISE * noise * draws.normal(seeds, name + ".jitter", step, src, dst)),
            loss=np.clip(loss + spread * draws.normal(seeds, name + ".loss", step, src, dst), 0.0, 1.0),
            rate=np.minimum(there.rate, back.rate)
            * np.exp(noise * draws.normal(seeds, name + ".rate", step, src, dst)),
        )
