"""What people hear of an Opus call: the parts of the E-model that a network moves, cheap enough for every candidate.

The whole E-model, with echo, noise and the wider scales, is `emodel`; on an echo-free path with default values both
say the same, which is tested.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

R_DEFAULT = 93.2
"""R of an ITU-T G.107 connection with all default values."""

OPUS_NB_IE, OPUS_NB_BPL = 2.03, 15.95
"""Opus narrow-band CBR 11 kbit/s, random loss: Alahmadi, Pocta, Melvin, ACM TOMM 17(4) 2021, doi 10.1145/3458751."""

PACKETISATION = 0.020
BUFFER_FLOOR = 0.020
BUFFER_PER_JITTER = 3.0
"""Seconds of a packet, and of a jitter buffer at least and per second of jitter."""


def delay_impairment(delay: ArrayLike) -> NDArray[np.float64]:
    """Idd of ITU-T G.107 (7-27): the impairment by absolute one-way delay.

    Args:
        delay: One-way mouth-to-ear delay Ta, seconds.

    >>> delay_impairment([0.1, 0.3]).round(3).tolist()
    [0.0, 14.761]
    """
    x = np.log2(np.maximum(np.asarray(delay, dtype=np.float64), 0.1) / 0.1)
    return np.asarray(25.0 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2))


def loss_impairment(
    loss: ArrayLike, *, ie: float = OPUS_NB_IE, bpl: float = OPUS_NB_BPL, burst_ratio: float = 1.0
) -> NDArray[np.float64]:
    """Ie,eff of ITU-T G.107 (7-29): the impairment by codec and packet loss.

    Args:
        loss: Packet loss probability.
        ie: Equipment impairment factor of the codec.
        bpl: Packet-loss robustness factor of the codec.
        burst_ratio: BurstR, 1 for random loss.
    """
    percent = 100.0 * np.asarray(loss, dtype=np.float64)
    return np.asarray(ie + (95.0 - ie) * percent / (percent / burst_ratio + bpl))


def mos_of(rating: ArrayLike) -> NDArray[np.float64]:
    """MOS of a transmission rating R (ITU-T G.107 Annex B), in [1, 4.5].

    >>> float(mos_of(93.2).round(2))
    4.41
    """
    r = np.minimum(np.maximum(np.asarray(rating, dtype=np.float64), 0.0), 100.0)  # np.clip takes thrice as long on few
    return np.asarray(np.maximum(1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r), 1.0))


def mouth_to_ear(delay: ArrayLike, jitter: ArrayLike) -> NDArray[np.float64]:
    """Seconds from mouth to ear: the network, one packetisation interval, and an adaptive jitter buffer.

    The buffer has three times the jitter, at least 20 ms, and is taken to hold what comes, so jitter costs delay and no
    loss.

    Args:
        delay: One-way network delay, seconds.
        jitter: Seconds.
    """
    buffer = np.maximum(BUFFER_FLOOR, BUFFER_PER_JITTER * np.asarray(jitter, dtype=np.float64))
    return np.asarray(np.asarray(delay, dtype=np.float64) + PACKETISATION + buffer)


def voice_mos(delay: ArrayLike, jitter: ArrayLike, loss: ArrayLike) -> NDArray[np.float64]:
    """Conversational MOS of an Opus call on the narrow-band scale (ITU-T G.107).

    Args:
        delay: One-way network delay, seconds.
        jitter: Seconds.
        loss: Probability.
    """
    return mos_of(R_DEFAULT - delay_impairment(mouth_to_ear(delay, jitter)) - loss_impairment(loss))
