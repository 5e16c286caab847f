"""What people get of a data call: goodput, and how long what they send takes.

Data are carried reliably (SCTP in data channels, RFC 8831), so loss costs time and nothing else: goodput is what the
path leaves, at most what the congestion control makes of round trip and loss (Mathis et al., "The macroscopic behavior
of the TCP congestion avoidance algorithm", CCR 1997: 1.22 segments per round trip over the square root of loss).
Opinion falls with the logarithm of the time that a transfer takes, the form of ITU-T G.1030, Annex A; both ends of the
scale are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MATHIS = 1.22
"""sqrt(3/2): one loss halves the window, acknowledgements are not delayed."""

SLOWEST = 10.0
"""Times the planned duration at which a transfer is worth nothing; as fast as planned, nobody asks for more."""

BEST = 4.5
"""As high as mean opinions get, as in ITU-T G.107, Annex B."""

_LEAST = 1e-12


def goodput_share(
    rtt: ArrayLike, loss: ArrayLike, share: ArrayLike, *, rate: float, segment: float
) -> NDArray[np.float64]:
    """Share of its full rate at which data arrive, in [0, 1].

    Args:
        rtt: Seconds; NaN stays NaN.
        loss: Probability.
        share: Of its full rate that the path leaves.
        rate: Full rate, bits per second.
        segment: Bytes.

    >>> goodput_share(0.3, [0.0, 0.02, 0.1], 1.0, rate=256e3, segment=1200).round(2).tolist()
    [1.0, 0.98, 0.43]
    """
    lost = np.asarray(loss, dtype=np.float64)
    bound = MATHIS * 8.0 * segment / rate / np.maximum(np.asarray(rtt, dtype=np.float64) * np.sqrt(lost), _LEAST)
    return np.asarray(np.minimum(np.asarray(share, dtype=np.float64), bound) * (1.0 - lost))


def transfer_mos(goodput: ArrayLike) -> NDArray[np.float64]:
    """Opinion of a transfer that arrives at `goodput` of its full rate: 4.5 at full rate, 1 at a tenth.

    >>> transfer_mos([1.0, 0.5, 0.1]).round(2).tolist()
    [4.5, 3.45, 1.0]
    """
    part = np.clip(np.asarray(goodput, dtype=np.float64), 1.0 / SLOWEST, 1.0)
    return np.asarray(BEST + (BEST - 1.0) * np.log(part) / np.log(SLOWEST))
