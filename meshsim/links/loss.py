"""Which packets a channel loses: independently (Bernoulli), in bursts (Gilbert-Elliott), or as a trace says.

Gilbert-Elliott is a two-state Markov chain (E. N. Gilbert, Bell Syst. Tech. J. 39, 1960; E. O. Elliott, ibid. 42,
1963). Before each packet it goes from good to bad with probability p and back with probability r; a packet is lost
with probability `good_loss` (1 - k) or `bad_loss` (1 - h). Its fit to a trace is `links.fit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.links.delay import replayed

if TYPE_CHECKING:
    from meshsim.links.arrays import Floats


def bernoulli(u: float, probability: float) -> bool:
    """Whether a packet is lost, independently of all others.

    Args:
        u: A uniform draw in [0, 1).
        probability: Of loss, in [0, 1].
    """
    return u < probability


def gilbert_elliott(
    bad: bool,  # noqa: FBT001 - a state that the caller keeps, not an option
    u_state: float,
    u_loss: float,
    p: float,
    r: float,
    good_loss: float,
    bad_loss: float,
) -> tuple[bool, bool]:
    """One packet through the channel: first the state moves, then the packet is lost or not.

    Args:
        bad: Whether the channel was bad at the packet before.
        u_state: A uniform draw in [0, 1) that moves the state.
        u_loss: Another that decides the loss.
        p: Probability of good -> bad.
        r: Probability of bad -> good.
        good_loss: Probability of loss in the good state.
        bad_loss: Probability of loss in the bad state.

    Returns:
        Whether the channel is bad now, and whether the packet is lost.
    """
    now_bad = u_state >= r if bad else u_state < p
    return now_bad, u_loss < (bad_loss if now_bad else good_loss)


def lost_in_trace(n: int, trace: Floats, first: int, count: int) -> bool:
    """Whether packet n is lost by a trace of 0 and 1 that stands at [first, first + count), repeated when used up.

    >>> lost_in_trace(4, [0.0, 1.0, 0.0], 0, 3)
    True
    """
    return bool(replayed(n, trace, first, count) > 0.0)


def stationary_loss(p: float, r: float, good_loss: float, bad_loss: float) -> float:
    """Long-run share of lost packets, `(good_loss r + bad_loss p) / (p + r)`; p + r must be above 0.

    >>> round(stationary_loss(0.01, 0.2, 0.0, 0.7), 6)
    0.033333
    """
    return (good_loss * r + bad_loss * p) / (p + r)


def gilbert_for(loss: float, burst: float) -> tuple[float, float]:
    """The (p, r) of a Gilbert channel (`good_loss` 0, `bad_loss` 1) with a given loss and mean burst length.

    Independent losses already come in bursts of mean 1 / (1 - loss); a shorter `burst` is taken as that, so that
    `burst` 1 means independent losses and never a channel that avoids two losses in a row.

    Args:
        loss: Stationary probability of loss, in [0, 1].
        burst: Mean number of packets in a run of losses, at least 1.

    >>> gilbert_for(0.2, 4.0)
    (0.0625, 0.25)
    """
    if loss >= 1.0:
        return 1.0, 0.0
    r = min(1.0 / burst, 1.0 - loss)
    return loss * r / (1.0 - loss), r
