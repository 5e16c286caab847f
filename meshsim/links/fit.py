"""The Gilbert and Gilbert-Elliott channels that a recorded trace of losses came from.

`fit_gilbert` is in closed form: every loss is the bad state. `fit_gilbert_elliott` cannot see the states and climbs the
likelihood by expectation and maximisation (L. E. Baum et al., Ann. Math. Statist. 41(1), 1970; scaled as in L. R.
Rabiner, Proc. IEEE 77(2), 1989), from a start by moments, so that the same trace gives the same fit. One pass over the
trace, `expected`, may be handed in compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.links.loss import stationary_loss
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.links.arrays import Floats

_LEAST = 1e-9
_LAGS = 8


class GilbertElliott(NamedTuple):
    """A channel in two states, as `links.gilbert_elliott` runs it.

    Attributes:
        p: Probability of good -> bad, per packet.
        r: Probability of bad -> good.
        good_loss: Probability of loss in the good state.
        bad_loss: Probability of loss in the bad state, at least `good_loss`.
    """

    p: float
    r: float
    good_loss: float
    bad_loss: float

    @property
    def loss(self) -> float:
        """Long-run share of lost packets."""
        return stationary_loss(*self)


class Counts(NamedTuple):
    """Expected counts over a trace, given a channel.

    Attributes:
        to_bad: Transitions good -> bad.
        to_good: Transitions bad -> good.
        from_good: Packets but the last in the good state.
        from_bad: Packets but the last in the bad state.
        bad: Packets in the bad state.
        bad_lost: Of them, lost.
        log_likelihood: Of the trace.
    """

    to_bad: float
    to_good: float
    from_good: float
    from_bad: float
    bad: float
    bad_lost: float
    log_likelihood: float


def fit_gilbert(trace: NDArray[np.float64] | list[float]) -> GilbertElliott:
    """The Gilbert channel of largest likelihood: the shares of transitions (J. R. Yajnik et al., INFOCOM 1999).

    Args:
        trace: Whether each packet was lost, 0 or 1.

    Raises:
        ConfigError: If the trace is empty or holds other values.

    >>> fit_gilbert([0, 0, 0, 1, 1, 0, 0, 1, 0])[:2]
    (0.4, 0.6666666666666666)
    """
    lost = _checked(trace) > 0.0
    before, after = lost[:-1], lost[1:]
    good, bad = int((~before).sum()), int(before.sum())
    p = float((~before & after).sum() / good) if good else float(lost[0])
    r = float((before & ~after).sum() / bad) if bad else float(not lost.all())
    return GilbertElliott(p, r, 0.0, 1.0)


def expected(lost: Floats, bad: Floats, scale: Floats, p: float, r: float, good_loss: float, bad_loss: float) -> Counts:
    """One pass forward and one back over a trace (the E step).

    Args:
        lost: 0 or 1 for each of n packets.
        bad: Room for n floats: the probability of the bad state, given the packets up to each.
        scale: Room for n floats: the probability of each packet's outcome, given those before.
        p: Of the channel assumed, as are `r`, `good_loss` and `bad_loss`; it starts in its stationary state.
        r: Likewise.
        good_loss: Likewise.
        bad_loss: Likewise.
    """
    log_likelihood = _forward(lost, bad, scale, p, r, good_loss, bad_loss)
    last = len(lost) - 1
    to_bad, to_good, from_bad = 0.0, 0.0, 0.0
    in_bad, bad_lost = bad[last], bad[last] * lost[last]
    good_after, bad_after = 1.0, 1.0  # scaled probability of what follows, from either state
    for i in range(last - 1, -1, -1):
        seen_good, seen_bad = _outcome(lost[i + 1], good_loss), _outcome(lost[i + 1], bad_loss)
        good_next = seen_good * good_after / scale[i + 1]
        bad_next = seen_bad * bad_after / scale[i + 1]
        up, down = (1.0 - bad[i]) * p * bad_next, bad[i] * r * good_next
        stayed = bad[i] * (1.0 - r) * bad_next
        to_bad += up
        to_good += down
        from_bad += down + stayed
        bad_lost += (down + stayed) * lost[i]
        good_after = (1.0 - p) * good_next + p * bad_next
        bad_after = (1.0 - r) * bad_next + r * good_next
    return Counts(to_bad, to_good, last - from_bad, from_bad, in_bad + from_bad, bad_lost, log_likelihood)


def _forward(lost: Floats, bad: Floats, scale: Floats, p: float, r: float, good_loss: float, bad_loss: float) -> float:
    """Fill `bad` and `scale`; the log-likelihood."""
    total = 0.0
    ahead = p / (p + r)
    for i in range(len(lost)):
        seen_good, seen_bad = _outcome(lost[i], good_loss), _outcome(lost[i], bad_loss)
        scale[i] = (1.0 - ahead) * seen_good + ahead * seen_bad
        bad[i] = ahead * seen_bad / scale[i]
        ahead = bad[i] * (1.0 - r) + (1.0 - bad[i]) * p
        total += math.log(scale[i])
    return total


def _outcome(lost: float, loss: float) -> float:
    """Probability of what happened to a packet in a state with this loss."""
    return loss if lost > 0.0 else 1.0 - loss


def fit_gilbert_elliott(
    trace: NDArray[np.float64] | list[float],
    *,
    iterations: int = 1000,
    tolerance: float = 1e-7,
    step: Callable[..., Counts] = expected,
) -> GilbertElliott:
    """The Gilbert-Elliott channel of (locally) largest likelihood.

    From 200,000 packets of a channel with bursts of some packets it finds the bad state's loss within five per cent and
    the transitions within ten. A trace without both losses and deliveries has no bursts: its Gilbert fit is returned.

    Args:
        trace: Whether each packet was lost, 0 or 1.
        iterations: Most rounds of expectation and maximisation.
        tolerance: Stop once no parameter changes by more than this in a round.
        step: `expected`, or `compiled(expected, numba.njit)`: some hundred times faster on long traces.

    Raises:
        ConfigError: If the trace is empty or holds other values.
    """
    lost = _checked(trace)
    if lost.min() == lost.max():
        return fit_gilbert(lost)
    bad, scale = np.empty((2, len(lost)))
    channel = _start(lost)
    for _ in range(iterations):
        following = _maximised(step(lost, bad, scale, *channel), float(lost.sum()), len(lost))
        moved = max(abs(new - old) for new, old in zip(following, channel, strict=True))
        channel = following
        if moved <= tolerance:
            break
    return channel if channel.good_loss <= channel.bad_loss else _renamed(channel)


def _checked(trace: NDArray[np.float64] | list[float]) -> NDArray[np.float64]:
    lost = np.asarray(trace, np.float64).ravel()
    if not len(lost) or not np.isin(lost, (0.0, 1.0)).all():
        raise ConfigError("a loss trace holds 0 (delivered) and 1 (lost), at least one", key="loss.trace")
    return lost


def _start(lost: NDArray[np.float64]) -> GilbertElliott:
    """Moments of a channel that loses nothing while good: mean, covariance at lag 1, decay over the next lags."""
    mean = float(lost.mean())
    centred = lost - mean
    lags = range(1, min(_LAGS, len(lost) - 1) + 1)
    covariance = [float((centred[lag:] * centred[:-lag]).mean()) for lag in lags]
    ahead, behind = sum(covariance[1:]), sum(covariance[:-1])
    decay = min(max(ahead / behind if behind > 0.0 else 0.5, 0.1), 0.999)
    excess = max(covariance[0] / decay / mean, 0.01)
    bad_loss = min(mean + excess, 0.99)
    share = min(mean / bad_loss, 0.9)  # of the bad state
    return GilbertElliott((1.0 - decay) * share, (1.0 - decay) * (1.0 - share), 0.1 * mean, bad_loss)


def _maximised(counts: Counts, lost: float, packets: int) -> GilbertElliott:
    """The channel under which the expected counts are likeliest (the M step)."""
    good = packets - counts.bad
    return GilbertElliott(
        _share(counts.to_bad, counts.from_good),
        _share(counts.to_good, counts.from_bad),
        _share(lost - counts.bad_lost, good),
        _share(counts.bad_lost, counts.bad),
    )


def _share(part: float, whole: float) -> float:
    """A probability strictly inside (0, 1), so that no state and no outcome becomes impossible."""
    return min(max(part / max(whole, _LEAST), _LEAST), 1.0 - _LEAST)


def _renamed(channel: GilbertElliott) -> GilbertElliott:
    """The same channel with its states' names exchanged."""
    return GilbertElliott(channel.r, channel.p, channel.bad_loss, channel.good_loss)
