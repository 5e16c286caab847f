"""What a run or a formula says of the flows of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Outcome(NamedTuple):
    """What is said of F flows, by a run or a formula; arrays of shape (F,).

    Attributes:
        delay: Mean of delivered packets, seconds; NaN without any.
        variance: Of that delay, s^2.
        loss: Share of packets dropped.
    """

    delay: NDArray[np.float64]
    variance: NDArray[np.float64]
    loss: NDArray[np.float64]
