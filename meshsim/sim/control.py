"""The modelled control plane: what a node would believe after probing, gossip and receipts, without any agents.

Links are measured half-way between digests and published with the next one, so a belief in use is half a period to
one and a half old, and older where measurements were missing. What a measurement says is the truth with the noise of
a probe train; where its ends lie (`sim.attacks`), the worse of what both report, as agents have it
(`routing.testimony`). All callers of one digest share its view (owner -1), so that a scorer encodes it once; what a
caller knows better (its own links, the direct path if it was used lately) comes on top as `fresh`.

A node that vanishes is missed after `MISSED` heartbeats. Until then it is believed as it was at its last moment, and
only the age of what is known of it tells. Fresh rows are as old as their values: background load moves in steps, so a
value holds from the last step on, and the age is drawn from that time (calls that came or went since are seen early).
The age of shared rows is counted from up to a probe period before they were measured: never too young.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import LinkBelief, NetworkView, NodeBelief
from meshsim.routing.batch import Fresh
from meshsim.routing.features import predicted_links
from meshsim.routing.graph import ragged
from meshsim.routing.testimony import WORST, outruns_light
from meshsim.routing.written import single
from meshsim.sim import draws
from meshsim.sim.attacks import Reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.scenario.schema import ControlConfig
    from meshsim.sim.attacks import Claims
    from meshsim.sim.environment import Environment
    from meshsim.sim.ledger import Ledger
    from meshsim.sim.resources import Hops
    from meshsim.sim.world import World

TRAIN_AT_UNIT_NOISE = 2.0
"""Packets of a probe train times noise squared: noise 0.1 stands for trains of 200 packets."""

JITTER_NOISE = 2.0
"""Relative noise of a jitter over that of a delay: it is a second moment."""

SMOOTHING = 0.4
"""Weight of the newest measurement of jitter and loss in their running means."""

AGE, MISSING, DRAWS = 4, 5, 6
"""Draws of a measurement: four for the noise of delay, jitter, loss and rate, then these; how many in all."""

MISSED = 3
"""Heartbeats without an answer after which a node is believed offline."""

DIRECT_MEMORY = 600.0
"""Seconds for which a caller remembers how a direct path was."""


@dataclass(slots=True)
class _Measured:
    """What probes say of K links, both ways of each in one value; arrays (K,) float64."""

    delay: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    rate: NDArray[np.float64]


class ControlPlane:
    """Belief of one area.

    Args:
        world: The truth.
        ids: Node ids, in index order.
        ledger: Reputations.
        claims: What ends of links report in place of what they measured; None where nobody lies.

    Attributes:
        shared: The view of the last digest.
    """

    shared: NetworkView
    _env: Environment

    def __init__(self, world: World, ids: Sequence[NodeId], ledger: Ledger, claims: Claims | None = None) -> None:
        plan = world.plan
        self._claims = claims
        self._world, self._ledger, self._ids = world, ledger, tuple(ids)
        self._seeds = SeedTree(plan.seed)
        self._capacity = single(np.minimum(plan.nodes.access_up, plan.nodes.access_down))
        src, dst = plan.links.src, plan.links.dst
        self._hops = _both_ways(world, src, dst)
        self._every = np.arange(len(src))
        self._parting = self._truth(self._every)
        self._parting_busy = world.busy()
        self._into = _into(dst, len(plan.nodes))
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

    def start(self, env: Environment) -> None:
        """Puts the measurements and digests of the whole episode on the clock."""
        self._env, period = env, self._config.digest_period
        env.on("measure", self._due_measure)
        env.on("digest", self._due_digest)
        env.schedule_record(0.5 * period, "measure", 0)
        env.schedule_record(period, "digest", 1)

    @property
    def _config(self) -> ControlConfig:
        return self._world.plan.scenario.control

    # products, not sums: the n-th step is at the same instant however it is reached

    def _due_measure(self, step: int, _: object) -> None:
        self.measure(self._env.now)
        self._env.schedule_record((step + 1.5) * self._config.digest_period, "measure", step + 1)

    def _due_digest(self, step: int, _: object) -> None:
        self.digest(self._env.now)
        self._env.schedule_record((step + 1) * self._config.digest_period, "digest", step + 1)

    # --- the shared belief --------------------------------------------------------------------------------------------

    def measure(self, t: float) -> None:
        """Probes all links at `t` seconds, for the next digest."""
        plan, step, old = self._world.plan, self._measures, self._value
        src, dst = plan.links.src, plan.links.dst
        drawn = draws.uniform(self._seeds, "measure", step, src, dst, DRAWS)
        new = self._noisy(self._last_truth(self._every), drawn)
        believed = self._believed(t)
        taken = (drawn[MISSING] >= self._config.missing) & believed[src] & believed[dst]
        if self._claims is not None:
            new, holds = self._agreed(self._claims, new, t)
            taken &= holds
        weight = np.where(self._known, SMOOTHING, 1.0)
        self._value = _Measured(
            delay=np.where(taken, new.delay, old.delay),
            jitter=np.where(taken, old.jitter + weight * (new.jitter - old.jitter), old.jitter),
            loss=np.where(taken, old.loss + weight * (new.loss - old.loss), old.loss),
            rate=np.where(taken, new.rate, old.rate),
        )
        self._at = np.where(taken, self._last_up(self._every, t) - drawn[AGE] * self._config.probe_period, self._at)
        self._known |= taken
        self._online = believed
        self._busy = np.where(self._world.online, self._world.busy(), self._parting_busy)
        heard = self._seeds.stream("measure.heard", step).uniform(0, len(self._seen)) * self._config.heartbeat
        self._seen = np.where(believed, np.minimum(t, self._world.down_since) - heard, self._seen)
        self._measures += 1

    def _agreed(self, claims: Claims, true: _Measured, t: float) -> tuple[_Measured, NDArray[np.bool_]]:
        """The worse of what the two ends of each link report, and (K,) whether light can keep what both say.

        Who claims what light cannot keep is denounced to the ledger.
        """
        nodes, src, dst = self._world.plan.nodes, self._world.plan.links.src, self._world.plan.links.dst
        measured = Reports(true.delay, true.jitter, true.loss, true.rate)
        one, other = claims.reported(src, dst, measured, t), claims.reported(dst, src, measured, t)
        holds = np.ones(len(src), dtype=np.bool_)
        for ends, told in ((src, one), (dst, other)):
            if told is not measured:
                false = outruns_light(told.delay, nodes.latitude, nodes.longitude, src, dst)
                self._ledger.denounce(np.unique(ends[false & (told.delay < true.delay)]).tolist(), t)
                holds &= ~false
        return _Measured(
            **{name: worse(getattr(one, name), getattr(other, name)) for name, worse in WORST.items()}
        ), holds

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
        index = self.shared.index if self._digests else None
        confined = self._world.plan.scenario.nodes.links == "edges"
        self.shared = NetworkView(version=self._digests, owner=-1, at=t, nodes=nodes, links=belief, confined=confined)
        if index is not None:
            self.shared.__dict__["index"] = index  # the cached property: the same nodes have the same index
        self._digests += 1

    def _nodes(self, t: float) -> NodeBelief:
        nodes = self._world.plan.nodes
        table = self._ledger.publish(t)
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

    # --- who is gone --------------------------------------------------------------------------------------------------

    def node_down(self, node: int, t: float) -> None:
        """Keeps how a node that has just vanished, and its links, were: so they are believed until it is missed."""
        links, since = self._world.plan.links, self._world.down_since
        touching = np.concatenate([self._every[self._rows[node] : self._rows[node + 1]], self._into[node]])
        rows = touching[np.minimum(since[links.src[touching]], since[links.dst[touching]]) == t]
        if len(rows):
            last = self._truth(rows)
            for name in _Measured.__slots__:
                getattr(self._parting, name)[rows] = getattr(last, name)
        if since[node] == t:
            self._parting_busy[node] = self._world.busy()[node]

    def _believed(self, t: float) -> NDArray[np.bool_]:
        """(N,) which nodes answered one of the last heartbeats."""
        return np.asarray(t - self._world.down_since < MISSED * self._config.heartbeat)

    def _last_up(self, rows: NDArray[np.int64], t: float) -> NDArray[np.float64]:
        """When links were last up, not after `t`; seconds."""
        links, since = self._world.plan.links, self._world.down_since
        return np.asarray(np.minimum(t, np.minimum(since[links.src[rows]], since[links.dst[rows]])))

    def _last_truth(self, rows: NDArray[np.int64]) -> _Measured:
        """What links are like, or were like when last up."""
        now, links, online = self._truth(rows), self._world.plan.links, self._world.online
        up = online[links.src[rows]] & online[links.dst[rows]]
        if up.all():
            return now
        then = self._parting
        return _Measured(*(np.where(up, getattr(now, n), getattr(then, n)[rows]) for n in _Measured.__slots__))

    def relay(self) -> None:
        """Nodes have moved: links lead over other places now."""
        links = self._world.plan.links
        self._hops = _both_ways(self._world, links.src, links.dst)

    # --- one caller's belief ------------------------------------------------------------------------------------------

    def view(self, caller: int, callee: int, t: float, draw: int) -> NetworkView:
        """What `caller` believes when it calls `callee`.

        Args:
            caller: Node index.
            callee: Node index.
            t: Seconds.
            draw: Number of the call: which draws its fresh measurements use.
        """
        view = replace(self.shared, fresh=self._fresh(caller, callee, t, draw))
        view.__dict__["index"] = self.shared.index  # the cached property: the same nodes have the same index
        return view

    def remember_direct(self, caller: int, callee: int, t: float, lived: tuple[float, float, float]) -> None:
        """Keeps how the direct path between two nodes was: rtt, jitter and loss, as a call lived them."""
        kept = t, lived[0] / 2, lived[1], lived[2]
        for ends in ((caller, callee), (callee, caller)):
            self._direct.pop(ends, None)  # what is newest stands last
            self._direct[ends] = kept
        while t - self._direct[oldest := next(iter(self._direct))][0] > DIRECT_MEMORY:
            del self._direct[oldest]

    def _fresh(self, caller: int, callee: int, t: float, draw: int) -> LinkBelief:
        """The caller's own links as last measured, smoothed as the shared belief is, and the direct path."""
        rows = np.arange(self._rows[caller], self._rows[caller + 1])
        links = self._world.plan.links
        drawn = draws.uniform(self._seeds, "fresh", draw, links.src[rows], links.dst[rows], DRAWS)
        belief, _ = self._measured_now(rows, t, drawn)
        kept = self._direct.get((caller, callee))
        if kept is None or t - kept[0] > DIRECT_MEMORY or callee in belief.dst:
            return belief
        row, at = self._direct_row(caller, callee, t, kept), int(np.searchsorted(belief.dst, callee))
        return LinkBelief(**{name: _with_row(getattr(belief, name), at, row[name]) for name in LinkBelief.__slots__})

    def fresh_many(
        self, callers: NDArray[np.int32], callees: NDArray[np.int32], t: float, numbers: NDArray[np.int64]
    ) -> Fresh:
        """What each of C callers knows better than the shared belief, with the draws that `view` would use.

        Args:
            callers: (C,) node indices.
            callees: (C,) node indices.
            t: Seconds.
            numbers: (C,) numbers of the calls.
        """
        request, rows = ragged(self._rows[callers], self._rows[callers + 1])
        links = self._world.plan.links
        drawn = draws.uniform_each(self._seeds, "fresh", numbers, request, links.src[rows], links.dst[rows], DRAWS)
        belief, up = self._measured_now(rows, t, drawn)
        return self._with_directs(Fresh(request=request[up], links=belief), callers, callees, t)

    def _with_directs(self, fresh: Fresh, callers: NDArray[np.int32], callees: NDArray[np.int32], t: float) -> Fresh:
        """`fresh` with the direct paths that callers remember, each in its place."""
        linked = set(zip(fresh.request.tolist(), fresh.links.dst.tolist(), strict=True))
        lived = []
        for request, ends in enumerate(zip(callers.tolist(), callees.tolist(), strict=True)):
            kept = self._direct.get(ends)
            if kept is not None and t - kept[0] <= DIRECT_MEMORY and (request, ends[1]) not in linked:
                lived.append((request, self._direct_row(*ends, t, kept)))
        if not lived:
            return fresh
        whose = np.concatenate([fresh.request, np.array([number for number, _ in lived], dtype=np.int64)])
        columns = {
            name: np.concatenate([getattr(fresh.links, name), np.array([row[name] for _, row in lived], values.dtype)])
            for name, values in ((name, getattr(fresh.links, name)) for name in LinkBelief.__slots__)
        }
        order = np.lexsort((columns["dst"], whose))
        links = {name: _rounded(values[order]) for name, values in columns.items()}
        return Fresh(request=whose[order], links=LinkBelief(**links))

    def _measured_now(
        self, rows: NDArray[np.int64], t: float, drawn: NDArray[np.float64]
    ) -> tuple[LinkBelief, NDArray[np.bool_]]:
        """K links as their own end has just measured them, smoothed as the shared belief is.

        Args:
            rows: (K,) numbers of links.
            t: Seconds.
            drawn: (DRAWS, K).

        Returns:
            Those that are up, and (K,) which they are.
        """
        links, old = self._world.plan.links, self._value
        new = self._noisy(self._last_truth(rows), drawn)
        up, at = self._believed(t)[links.dst[rows]] & self._known[rows], self._last_up(rows, t)
        held = np.minimum(at % self._world.plan.scenario.underlay.drift.period, self._config.probe_period)
        belief = LinkBelief(
            src=links.src[rows[up]],
            dst=links.dst[rows[up]],
            delay=single(new.delay[up]),
            jitter=single((old.jitter[rows] + SMOOTHING * (new.jitter - old.jitter[rows]))[up]),
            loss=single((old.loss[rows] + SMOOTHING * (new.loss - old.loss[rows]))[up]),
            rate=single(new.rate[up]),
            age=single((t - at + drawn[AGE] * held)[up]),
            observed=np.ones(int(up.sum()), dtype=bool),
        )
        return belief, up

    def _direct_row(
        self, caller: int, callee: int, t: float, kept: tuple[float, float, float, float]
    ) -> dict[str, Any]:
        """The direct path as a call lived it, as a link."""
        lived, delay, jitter, loss = kept
        rate = float(min(self._capacity[caller], self._capacity[callee]))
        values = {"delay": delay, "jitter": jitter, "loss": loss, "rate": rate, "age": t - lived}
        return {"src": caller, "dst": callee, "observed": True, **values}

    def _truth(self, rows: NDArray[np.int64]) -> _Measured:
        """What endless probing of K links would say: half the round trip, the worse direction's jitter and loss.

        Args:
            rows: (K,) numbers of links.
        """
        k, all_links = len(rows), len(self._world.plan.links)
        truth = self._world.hop_truth(self._hops, np.concatenate([rows, rows + all_links]))
        return _Measured(
            delay=(truth.delay[:k] + truth.delay[k:]) / 2,
            jitter=np.maximum(truth.jitter[:k], truth.jitter[k:]),
            loss=np.maximum(truth.loss[:k], truth.loss[k:]),
            rate=np.minimum(truth.rate[:k], truth.rate[k:]),
        )

    def _noisy(self, truth: _Measured, drawn: NDArray[np.float64]) -> _Measured:
        """Probe trains over K links, each value with its noise; `drawn` are (DRAWS, K) uniform draws."""
        noise = self._config.noise
        delay, jitter, loss, rate = draws.normal(drawn[:AGE])
        spread = noise * np.sqrt(truth.loss * (1.0 - truth.loss) / TRAIN_AT_UNIT_NOISE)
        return _Measured(
            delay=truth.delay * np.exp(noise * delay),
            jitter=truth.jitter * np.exp(JITTER_NOISE * noise * jitter),
            loss=np.minimum(np.maximum(truth.loss + spread * loss, 0.0), 1.0),
            rate=truth.rate * np.exp(noise * rate),
        )


def _with_row(values: NDArray[Any], at: int, value: float) -> NDArray[Any]:
    """`values` with `value`, in single precision, put in before place `at`."""
    longer = np.empty(len(values) + 1, dtype=values.dtype)
    longer[:at], longer[at], longer[at + 1 :] = values[:at], value, values[at:]
    return _rounded(longer)


def _rounded(values: NDArray[Any]) -> NDArray[Any]:
    """Measures in single precision, all else as it is."""
    return single(values) if values.dtype == np.float64 else values


def _into(dst: NDArray[np.int32], n: int) -> list[NDArray[np.int64]]:
    """Numbers of the links to each of `n` nodes."""
    order = np.argsort(dst, kind="stable")
    return np.split(order, np.searchsorted(dst[order], np.arange(1, n)))


def _both_ways(world: World, src: NDArray[np.int32], dst: NDArray[np.int32]) -> Hops:
    return world.lay_links(np.concatenate([src, dst]), np.concatenate([dst, src]))
