"""How relays treat what they carry, and when that changes: a function of who they are, the time, and their standing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.sim.attacks.cast import Villain
    from meshsim.sim.resources import Paths

ALWAYS = frozenset({"black_hole", "gray_hole"})
"""The kinds that drop media of all calls at all times."""

AT_TIMES = frozenset({"on_off", "milking"})
"""The kinds that drop media of all calls at some times."""

AIMED = frozenset({"selective", "hostile_domain"})
"""The kinds that drop media of some people's calls."""

DROPPING = ALWAYS | AT_TIMES | AIMED | {"whitewashing"}
"""The kinds that spoil calls, at some time or for somebody."""


def share_dropped(villain: Villain, now: float, *, cashes_in: bool = False) -> float:
    """The share of packets of all calls that a node drops when it relays.

    Args:
        villain: The node.
        now: Seconds.
        cashes_in: Whether a milking node has been trusted by now.
    """
    if now not in villain.window:
        return 0.0
    turned = villain.does("on_off") and villain.cycle.is_bad(now)
    exits = villain.does("milking") and cashes_in
    return villain.strength if turned or exits or _always_drops(villain.kinds) else 0.0


def _always_drops(kinds: tuple[str, ...]) -> bool:
    """Whether a node drops at all times; one that rejoins does, unless another kind says when, or whose calls."""
    dropping = DROPPING.intersection(kinds)
    return bool(ALWAYS & dropping) or dropping == {"whitewashing"}


def next_turn(villain: Villain, now: float) -> float:
    """The first instant after `now` at which a node may treat calls otherwise; infinite if there is none."""
    edges = [at for at in (villain.window.since, villain.window.until) if at > now]
    if villain.does("on_off"):
        edges.append(villain.cycle.next_turn(now))
    return min(edges, default=math.inf)


class Spite:
    """Relays that drop the media of their victims' calls alone.

    Args:
        villains: Who misbehaves.
        nodes: N.
        domains: Of each node.
        drops_all: Share of packets from which on nothing passes at all.
    """

    def __init__(self, villains: Sequence[Villain], nodes: int, domains: Sequence[str], drops_all: float) -> None:
        self._active = np.zeros(nodes, dtype=np.bool_)
        self._victims: dict[int, NDArray[np.bool_]] = {}
        self._drop: dict[int, float] = {}
        self._total = drops_all
        for villain in villains:
            if AIMED.intersection(villain.kinds):
                self._victims[villain.node] = _victims(villain, nodes, domains)
                self._drop[villain.node] = min(villain.strength, drops_all)
                self._active[villain.node] = 0.0 in villain.window

    def __bool__(self) -> bool:
        return bool(self._victims)

    def turn(self, node: int, *, active: bool) -> bool:
        """Lets a node begin or end; whether that is a change of anything."""
        changed = node in self._drop and self._drop[node] > 0.0 and bool(self._active[node]) != active
        self._active[node] = active and node in self._drop
        return changed

    def apply(self, paths: Paths, connected: NDArray[np.bool_], dropped: NDArray[np.float64]) -> None:
        """Adds what such relays do to P paths: to whether they connect, and to the log-survival at their relays."""
        for k in np.flatnonzero(self._active[paths.nodes]).tolist():
            path = int(np.searchsorted(paths.indptr, k, side="right")) - 1
            first, last = int(paths.indptr[path]), int(paths.indptr[path + 1]) - 1
            node = int(paths.nodes[k])
            hurt = self._victims[node][paths.nodes[[first, last]]].any()
            if first < k < last and hurt:
                connected[path] &= self._drop[node] < self._total
                dropped[path] += math.log1p(-self._drop[node])


def _victims(villain: Villain, nodes: int, domains: Sequence[str]) -> NDArray[np.bool_]:
    """(N,) whose calls a node spoils: its targets', or those of all but its domain."""
    if villain.does("hostile_domain"):
        return np.array([domain != domains[villain.node] for domain in domains])
    return np.array([villain.mind.is_against(node) for node in range(nodes)])
