"""The simulated world as real datagrams meet it: what every pair of nodes is like, second by second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.links import LinkParameters
from meshsim.mesh.view import connectable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.scenario.plan import Plan
    from meshsim.sim import World
    from meshsim.sim.resources import Hops
    from meshsim.sim.world import LinkTruth

QUEUE_BYTES = 200_000.0
_FULL = 0.95
"""Utilisation from which a queue counts as no fuller: beyond it no buffer lets waits last."""

Pair = tuple[int, int]
"""Rows of the node that sends and of the one that receives."""


def pairs_of(plan: Plan) -> list[Pair]:
    """All ordered pairs of nodes that their NATs let talk to each other."""
    nodes, n = plan.nodes, len(plan.nodes)
    return [(a, b) for a in range(n) for b in range(n) if a != b and connectable(int(nodes.nat[a]), int(nodes.nat[b]))]


def memory_of(world: World, hops: Hops) -> NDArray[np.float64]:
    """How long what packets wait on each of K links stays alike, seconds, (K,).

    A queue of utilisation r with bursts of mean length S forgets within S / (1 - sqrt(r))^2 (the relaxation time of
    M/M/1; J. W. Cohen, The Single Server Queue, 1982, II.2); queues count by the variance of their waits, and what
    strays without load forgets at once.
    """
    fixed, now = world.resources, world.background
    busy = np.clip(now, 0.0, _FULL)
    variance = fixed.service**2 * busy * (2.0 - busy) / (1.0 - busy) ** 2
    forgets = fixed.service / (1.0 - np.sqrt(busy)) ** 2
    link = np.repeat(np.arange(len(hops.indptr) - 1), np.diff(hops.indptr))
    n = len(hops.indptr) - 1
    own = np.bincount(link, (variance * forgets)[hops.resource], n)
    whole = np.bincount(link, (variance + fixed.jitter**2)[hops.resource], n)
    return np.divide(own, whole, out=np.zeros(n), where=whole > 0.0)


def parameters_of(
    plan: Plan, pairs: list[Pair], truth: LinkTruth, memory: NDArray[np.float64]
) -> dict[Pair, LinkParameters]:
    """How the emulator must treat each of K directed pairs for them to be as the world's.

    The world's delay is a mean, so the mean of the exponential jitter is taken off it; loss is the world's.

    Args:
        plan: Whose nodes.
        pairs: K pairs.
        truth: What they are like, K rows.
        memory: (K,) how long what packets wait stays alike, seconds.
    """
    nodes = plan.nodes
    jitter = np.minimum(truth.jitter, truth.delay)
    return {
        pair: LinkParameters(
            rate_bps=float(min(nodes.access_up[pair[0]], nodes.access_down[pair[1]])),
            propagation=float(truth.delay[k] - jitter[k]),
            jitter=float(jitter[k]),
            loss=float(truth.loss[k]),
            burst=1.0,
            queue_bytes=QUEUE_BYTES,
            memory=float(memory[k]),
        )
        for k, pair in enumerate(pairs)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What P directed pairs were like at T instants of a simulated episode.

    Attributes:
        plan: The episode's.
        pairs: The P pairs.
        at: (T,) seconds, growing.
        truths: As many, each of P rows.
        memories: As many, (P,) how long what packets wait stays alike, seconds.
    """

    plan: Plan
    pairs: list[Pair]
    at: list[float]
    truths: list[LinkTruth]
    memories: list[NDArray[np.float64]]

    def begin(self, t: float) -> dict[Pair, LinkParameters]:
        """What the emulator starts with at `t` seconds."""
        return self._parameters(self._step(t))

    def changes(self, t: float) -> list[tuple[float, dict[Pair, LinkParameters]]]:
        """What changes after `t` seconds: when, and the pairs that are not as they were."""
        found: list[tuple[float, dict[Pair, LinkParameters]]] = []
        last = self.begin(t)
        for step in range(self._step(t) + 1, len(self.at)):
            now = self._parameters(step)
            new = {pair: link for pair, link in now.items() if link != last[pair]}
            if new:
                found.append((self.at[step], new))
            last = now
        return found

    def _parameters(self, step: int) -> dict[Pair, LinkParameters]:
        return parameters_of(self.plan, self.pairs, self.truths[step], self.memories[step])

    def _step(self, t: float) -> int:
        """The last instant that is not after `t`."""
        return max(0, int(np.searchsorted(np.asarray(self.at), t, side="right")) - 1)


class Observer:
    """Writes the weather of an episode down while it runs.

    Args:
        plan: The episode's.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._pairs = plan, pairs_of(plan)
        self._src, self._dst = _ends(self._pairs)
        self._at: list[float] = []
        self._truths: list[LinkTruth] = []
        self._memories: list[NDArray[np.float64]] = []

    def look(self, world: World, t: float) -> None:
        """Writes down what all pairs are like now, at `t` seconds."""
        self._at.append(t)
        hops = world.lay_links(self._src, self._dst)
        self._truths.append(world.hop_truth(hops))
        self._memories.append(memory_of(world, hops))

    def weather(self) -> Weather:
        """All that was seen."""
        return Weather(plan=self._plan, pairs=self._pairs, at=self._at, truths=self._truths, memories=self._memories)


def link_parameters(plan: Plan, world: World) -> dict[Pair, LinkParameters]:
    """How the emulator must treat each directed pair of nodes that can connect, as `world` is now."""
    pairs = pairs_of(plan)
    hops = world.lay_links(*_ends(pairs))
    return parameters_of(plan, pairs, world.hop_truth(hops), memory_of(world, hops))


def _ends(pairs: list[Pair]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    src, dst = zip(*pairs, strict=True)
    return np.array(src, dtype=np.int64), np.array(dst, dtype=np.int64)
