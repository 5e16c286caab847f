"""Formulas of queueing theory, as textbooks give them; mean service time is the unit of time unless said."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def mg1_wait(load: float, second_moment: float = 2.0) -> float:
    """Mean wait in M/G/1: Pollaczek-Khinchine, lambda E[S^2] / (2 (1 - rho)) with E[S] = 1.

    Args:
        load: rho, below 1.
        second_moment: E[S^2]: 2 for exponential service, 1 for constant.

    >>> mg1_wait(0.5), mg1_wait(0.5, 1.0)
    (1.0, 0.5)
    """
    return load * second_moment / (2.0 * (1.0 - load))


def erlang_b(offered: float, servers: int) -> float:
    """Share of calls refused by M/G/c/c: B_n = A B_(n-1) / (n + A B_(n-1)) (A. K. Erlang, 1917).

    >>> round(erlang_b(3.0, 5), 6)
    0.110054
    """
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    return blocked


def erlang_c(offered: float, servers: int) -> float:
    """Share of customers that wait in M/M/c.

    >>> round(erlang_c(3.2, 4), 5)
    0.59643
    """
    blocked = erlang_b(offered, servers)
    return blocked / (1.0 - offered / servers * (1.0 - blocked))


def mm1k(load: float, places: int) -> tuple[float, float]:
    """Share refused by M/M/1/K and the mean number there.

    Args:
        load: rho, not 1.
        places: K, the one in service included.

    >>> round(mm1k(0.9, 10)[0], 6)
    0.050814
    """
    shares = (1.0 - load) / (1.0 - load ** (places + 1)) * load ** np.arange(places + 1)
    return float(shares[-1]), float(shares @ np.arange(places + 1))


def md1k(load: float, places: int) -> float:
    """Share refused by M/D/1/K, from the chain at departures: 1 - 1 / (pi_0 + rho) (D. Gross et al., section 5.1).

    Args:
        load: rho.
        places: K, the one in service included.

    >>> round(md1k(0.9, 1), 6) == round(0.9 / 1.9, 6)
    True
    """
    came = [math.exp(-load) * load**n / math.factorial(n) for n in range(places)]
    step = np.zeros((places, places))
    for left in range(places):
        room = places - max(left, 1)  # the last state takes all who find it full
        step[left, max(left, 1) - 1 : places - 1] = came[:room]
        step[left, places - 1] = 1.0 - sum(came[:room])
    balance = np.vstack([step.T - np.eye(places), np.ones(places)])
    shares = np.linalg.lstsq(balance, np.append(np.zeros(places), 1.0), rcond=None)[0]
    return float(1.0 - 1.0 / (shares[0] + load))


def cobham(rates: Sequence[float], means: Sequence[float], second_moments: Sequence[float]) -> list[float]:
    """Mean wait of each class under non-preemptive priority (A. Cobham, Oper. Res. 2, 1954).

    W_k = R / ((1 - s_(k-1)) (1 - s_k)) with R = sum lambda E[S^2] / 2 and s_k the load of classes 1 to k.

    Args:
        rates: lambda of each class, the first served first.
        means: E[S] of each.
        second_moments: E[S^2] of each.

    >>> [round(wait, 4) for wait in cobham([0.25, 0.25], [1.0, 1.0], [2.0, 2.0])]
    [0.6667, 1.3333]
    """
    residual = sum(rate * moment for rate, moment in zip(rates, second_moments, strict=True)) / 2.0
    loads = np.concatenate([[0.0], np.cumsum(np.multiply(rates, means))])
    return [float(residual / ((1.0 - low) * (1.0 - high))) for low, high in itertools.pairwise(loads)]


def gilbert_elliott(p: float, r: float, good_loss: float, bad_loss: float) -> tuple[float, float]:
    """Stationary loss of a Gilbert-Elliott channel and the correlation of one packet's loss with the next one's.

    The covariance at lag n is (bad_loss - good_loss)^2 pi_B pi_G (1 - p - r)^n, pi_B = p / (p + r).

    >>> gilbert_elliott(0.1, 0.4, 0.0, 1.0)
    (0.2, 0.5)
    """
    bad = p / (p + r)
    loss = good_loss * (1.0 - bad) + bad_loss * bad
    covariance = (bad_loss - good_loss) ** 2 * bad * (1.0 - bad) * (1.0 - p - r)
    return loss, covariance / (loss * (1.0 - loss))
