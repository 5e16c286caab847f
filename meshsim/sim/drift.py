"""How background load wanders: an Ornstein-Uhlenbeck process on the logit scale, and episodes of congestion.

Every step draws from its own counter-based stream, one draw per resource in the order of nodes: a node added at the
end shifts no other's draws, and the state at a step depends on nothing but seed and step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.scenario.arrivals import Diurnal
    from meshsim.scenario.schema import Drift

TINY = 1e-12
HOUR = 3600.0

QUIETEST = 1e-3
"""Factor of an hour in which nobody does anything; its logarithm is finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """How background load follows the hours that people keep.

    Attributes:
        diurnal: The factor on calls.
        strength: 1: the odds of a busy moment follow it in proportion; 0: not at all.
        longitude: (K,) degrees, of each resource.
    """

    diurnal: Diurnal
    strength: float
    longitude: NDArray[np.float64]

    def shift(self, t: float) -> NDArray[np.float64] | float:
        """(K,) what is added on the logit scale at t seconds; 0 where all hours are alike."""
        if self.strength == 0.0 or self.diurnal.flat:
            return 0.0
        return self.strength * np.log(np.maximum(self.diurnal.factor(t, self.longitude), QUIETEST))


class Background:
    """Background utilisation of K resources of one kind.

    Args:
        mean: (K,) float64, mean utilisation (on the logit scale) in (0, 1); 0 stays 0.
        config: Period, reversion, volatility and congestion.
        seeds: Root of the draws.
        name: Name of the streams.
        congested: (K,) bool: which resources have episodes of congestion.
        hours: What the load follows beside.
    """

    def __init__(
        self,
        mean: NDArray[np.float64],
        config: Drift,
        seeds: SeedTree,
        name: str,
        congested: NDArray[np.bool_],
        hours: Hours | None = None,
    ) -> None:
        self._hours = hours
        self._centre = logit(np.clip(mean, TINY, 1.0 - TINY))
        self._config = config
        self._seeds = seeds
        self._name = name
        self._congested = congested
        self._step = 0
        self._until = np.full(len(mean), -np.inf)
        self._offset = config.volatility * self._normal(0)
        self._keep = float(np.exp(-config.period / config.reversion))
        self._start = -np.expm1(-config.congestion.rate_per_edge_per_hour * config.period / HOUR)

    @property
    def utilisation(self) -> NDArray[np.float64]:
        """(K,) utilisation now; above 1 where congestion asks for more than there is."""
        now = self._step * self._config.period
        extra = np.where(self._until > now, self._config.congestion.extra_utilisation, 0.0)
        shift = 0.0 if self._hours is None else self._hours.shift(now)
        return np.asarray(expit(self._centre + self._offset + shift) + extra)

    def step(self) -> None:
        """Goes on by one period."""
        self._step += 1
        fresh = self._config.volatility * np.sqrt(1.0 - self._keep**2) * self._normal(self._step)
        self._offset = self._keep * self._offset + fresh
        self._congest()

    def _normal(self, step: int) -> NDArray[np.float64]:
        draws = self._seeds.stream(self._name, step).uniform(0, len(self._centre))
        return np.asarray(ndtri(np.clip(draws, TINY, 1.0 - TINY)))

    def _congest(self) -> None:
        """Starts episodes: whether, and for how long (exponential)."""
        now, size = self._step * self._config.period, len(self._centre)
        starts = self._seeds.stream(self._name + ".start", self._step).uniform(0, size) < self._start
        starts &= self._congested & (self._until <= now)
        if starts.any():
            length = self._seeds.stream(self._name + ".length", self._step).uniform(0, size)
            lasting = -self._config.congestion.duration * np.log1p(-length)
            self._until = np.where(starts, now + lasting, self._until)
