"""Who of several relays is to blame? Only the outcome of the whole path is known; paths overlap, and that tells.

A path fails when one of its relays fails or something else does, the leak: a noisy OR (J. Pearl, "Probabilistic
Reasoning in Intelligent Systems", 1988, section 4.3), P(no failure) = (1 - leak) prod (1 - q_r). With hazards
h = -log(1 - q) that is exp(-sum h), whose log likelihood is concave in h: one maximum. It is found by expectation
maximisation (A. P. Dempster, N. M. Laird, D. B. Rubin, J. R. Stat. Soc. B 39, 1977): given a failure, relay r failed
with probability q_r / P(failure); q_r becomes the share of r's paths on which it did. The prior counts as paths seen.

The posterior of q_r is taken as a Beta distribution of the mean that EM finds and the variance that the curvature of
the log likelihood leaves (Laplace): relays that always fly together cannot be told apart, and their intervals say so.

`infer` looks at all paths at once. `Blame` learns path by path, forgets, and shares the guilt of each failure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.trust.beta import DAY
from meshsim.trust.interval import beta_quantiles

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

LEAK = 0.02
"""Share of paths that fail by no relay's doing, unless said otherwise."""

PRIOR = (0.2, 9.8)
"""Failures and successes that every relay starts with: ten paths' worth, 2 % failures, most relays being honest."""

LEAK_EVIDENCE = 500.0
"""Paths that the leak one starts with is worth, where it is learned."""

CULPRIT = 0.08
"""Share of failures from which on a relay is to blame: what scores 70, the threshold of `trusted`."""

_MOST_EXACT = 2000  # relays up to which the whole curvature is inverted; beyond, each relay's own, given the others
_ROUNDS = 400
_DONE = 1e-7  # largest change of a share at which EM stops


class Guilt(NamedTuple):
    """What paths tell of their relays; arrays of shape (N,), float64, by the relay's index.

    Attributes:
        mean: Share of a relay's paths on which it fails, posterior mean.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        paths: How many paths it was on.
        leak: Share of paths that fail by nobody's doing.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    paths: NDArray[np.float64]
    leak: float

    def culprits(self, bar: float = CULPRIT) -> NDArray[np.int64]:
        """Indices of relays that fail on more than `bar` of their paths, more likely than not.

        >>> infer([(0, 1), (1, 2), (0, 2)] * 40, [True, True, False] * 40, 3).culprits()
        array([1])
        """
        return np.flatnonzero(self.mean > bar)


def infer(
    paths: Sequence[Sequence[int]],
    failed: Sequence[bool],
    n: int,
    *,
    prior: tuple[float, float] = PRIOR,
    leak: float = LEAK,
    confidence: float = 0.95,
) -> Guilt:
    """How often each of n relays fails, from outcomes of whole paths.

    Args:
        paths: Relays of each path, indices from 0, none twice on a path; no relay where a call was direct.
        failed: Whether each failed.
        n: Number of relays.
        prior: Failures and successes that every relay starts with, each above 0.
        leak: Share of failures by nobody's doing to start from, within (0, 1); learned from there.
        confidence: Of the intervals.

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not (min(prior) > 0.0 and 0.0 < leak < 1.0 and 0.0 < confidence < 1.0 and len(paths) == len(failed)):
        raise ValueError(f"no paths to infer from: {prior=}, {leak=}, {confidence=}, {len(paths)=}, {len(failed)=}")
    lengths = np.array([len(path) for path in paths], dtype=np.int64)
    hops = _Hops(
        path=np.repeat(np.arange(len(paths)), lengths),
        relay=np.array([relay for path in paths for relay in path], dtype=np.int64),
        failed=np.array(failed, dtype=np.bool_),
        n=n,
    )
    # The leak is one relay more, the last, which is on every path.
    a = np.append(np.full(n, prior[0]), leak * LEAK_EVIDENCE)
    b = np.append(np.full(n, prior[1]), (1.0 - leak) * LEAK_EVIDENCE)
    mean = _maximised(hops, a, b)
    variance = np.minimum(_variance(hops, mean, a), 0.999 * mean * (1.0 - mean))[:n]
    strength = mean[:n] * (1.0 - mean[:n]) / variance - 1.0
    tail = (1.0 - confidence) / 2.0
    low, high = beta_quantiles(mean[:n] * strength, (1.0 - mean[:n]) * strength, (tail, 1.0 - tail))
    return Guilt(mean[:n], low, high, np.bincount(hops.relay, minlength=n).astype(np.float64), float(mean[n]))


class _Hops(NamedTuple):
    """Paths as incidences: relay[k] is on path[k], both (sum H,) int64; failed (P,) bool; n relays."""

    path: NDArray[np.int64]
    relay: NDArray[np.int64]
    failed: NDArray[np.bool_]
    n: int

    def hazard(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of every path, the leak's included; shape (P,)."""
        hazards = -np.log1p(-share)
        return np.asarray(np.bincount(self.path, hazards[self.relay], minlength=len(self.failed)) + hazards[-1])

    def by_relay(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of a value of each path over the paths of each relay, the leak last; shape (n + 1,)."""
        return np.append(np.bincount(self.relay, value[self.path], minlength=self.n), value.sum())


def _maximised(hops: _Hops, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """EM from the prior: the shares of failures that explain the outcomes best, shape (n + 1,)."""
    seen = hops.by_relay(np.ones(len(hops.failed)))
    share = a / (a + b)
    for _ in range(_ROUNDS):
        surely = np.where(hops.failed, 1.0 / -np.expm1(-hops.hazard(share)), 0.0)  # 1 / P(failure) where it failed
        better = (a + share * hops.by_relay(surely)) / (a + b + seen)
        moved = np.abs(better - share).max(initial=0.0)
        share = better
        if moved < _DONE:
            break
    return share


def _variance(hops: _Hops, share: NDArray[np.float64], a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Laplace: variance of the shares by the curvature in the hazards, shape (n + 1,).

    A failed path with hazard H curves the log likelihood by -w x x' with w = exp(-H) / (1 - exp(-H))^2, x its relays;
    a path that did not fail is linear in the hazards and does not curve it. The prior adds that of a paths that failed.
    """
    hazard = hops.hazard(share)
    curve = np.where(hops.failed, np.exp(-hazard) / np.expm1(-hazard) ** 2, 0.0)
    own = a * (1.0 - share) / share**2
    if hops.n > _MOST_EXACT:
        return np.asarray((1.0 - share) ** 2 / (own + hops.by_relay(curve)))
    whole = np.diag(own)
    whole[:-1, -1] = whole[-1, :-1] = hops.by_relay(curve)[:-1]
    whole[-1, -1] += curve.sum()
    _add_pairs(whole, hops, curve)
    return np.asarray((1.0 - share) ** 2 * np.diag(np.linalg.inv(whole)))


def _add_pairs(whole: NDArray[np.float64], hops: _Hops, curve: NDArray[np.float64]) -> None:
    """Adds the curvature of all pairs of relays that share failed paths."""
    told = curve[hops.path] > 0.0
    path, relay = hops.path[told], hops.relay[told]
    size = np.bincount(path, minlength=len(curve))
    first = np.cumsum(size) - size  # hops of a path stand together
    for step in range(int(size.max(initial=0))):
        other = relay[(first[path] + step).clip(max=max(len(relay) - 1, 0))]
        there = step < size[path]
        np.add.at(whole, (relay[there], other[there]), curve[path[there]])


class Blame:
    """Learns from the outcomes of paths, one by one, how often each relay fails, and whom a failure is to be laid to.

    Online EM with forgetting (O. Cappe, E. Moulines, J. R. Stat. Soc. B 71, 2009): each failure is shared among its
    relays by what is known before it. Memory is bounded: the relay heard of longest ago makes room.

    Args:
        half_life: Seconds in which what was learned loses half its weight.
        leak: Share of paths that fail by no relay's doing, within (0, 1).
        prior: Failures and successes that every relay starts with, each above 0.
        capacity: Relays remembered at most, at least 1.

    Raises:
        ValueError: If an argument is out of its range.

    >>> blame = Blame()
    >>> for _ in range(40):
    ...     blame.learn(["a", "b"], False, 0.0)
    ...     blame.learn(["b", "c"], True, 0.0)
    >>> [round(share, 2) for share in blame.shares(["b", "c"], True, 0.0)]
    [0.07, 0.91]
    """

    def __init__(
        self,
        *,
        half_life: float = DAY,
        leak: float = LEAK,
        prior: tuple[float, float] = PRIOR,
        capacity: int = 100_000,
    ) -> None:
        if not (half_life > 0.0 and 0.0 < leak < 1.0 and min(prior) > 0.0 and capacity >= 1):
            raise ValueError(f"nobody to blame by: {half_life=}, {leak=}, {prior=}, {capacity=}")
        self.half_life = half_life
        self.leak = leak
        self.prior = prior
        self.capacity = capacity
        self._known: dict[Hashable, tuple[float, float, float]] = {}  # failures, successes, when; oldest news first

    def shares(self, relays: Sequence[Hashable], failed: bool, now: float) -> tuple[float, ...]:  # noqa: FBT001 - an outcome
        """Posterior share of guilt of each relay of a path; what is missing to 1 is nobody's.

        Failures that arrive with hazards h_r come first from r with probability h_r / sum h, the leak's included: each
        failure is laid to one cause, so shares never sum to more than 1.

        Args:
            relays: Of the path, in any order.
            failed: Whether it failed; nobody is guilty of a success.
            now: Monotonic seconds.
        """
        if not failed:
            return (0.0,) * len(relays)
        hazards = [-math.log1p(-self.rate(relay, now)) for relay in relays]
        whole = math.fsum(hazards) - math.log1p(-self.leak)
        return tuple(hazard / whole for hazard in hazards)

    def learn(self, relays: Sequence[Hashable], failed: bool, now: float, weight: float = 1.0) -> None:  # noqa: FBT001 - an outcome
        """Takes in a path's outcome, which counts so much; other arguments as of `shares`."""
        for relay, guilt in zip(relays, self.shares(relays, failed, now), strict=True):
            bad, good, at = self._evidence(relay, now)
            self._known.pop(relay, None)
            self._known[relay] = (bad + weight * guilt, good + weight * (1.0 - guilt), at)
        while len(self._known) > self.capacity:
            del self._known[next(iter(self._known))]

    def rate(self, relay: Hashable, now: float) -> float:
        """Share of its paths on which a relay fails, posterior mean."""
        bad, good, _ = self._evidence(relay, now)
        a, b = self.prior
        return (bad + a) / (bad + good + a + b)

    def forget(self, relay: Hashable) -> None:
        """Drops what was learned of `relay`; one never heard of is no error."""
        self._known.pop(relay, None)

    @property
    def size(self) -> int:
        """How many relays are remembered."""
        return len(self._known)

    def _evidence(self, relay: Hashable, now: float) -> tuple[float, float, float]:
        bad, good, at = self._known.get(relay, (0.0, 0.0, now))
        kept = math.exp2(-max(0.0, now - at) / self.half_life)
        return bad * kept, good * kept, max(now, at)
