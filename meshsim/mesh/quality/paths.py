"""From links to paths: how loss and jitter add up along the way. Delays simply add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def compose_loss(loss: ArrayLike) -> float:
    """Loss of a path whose links lose independently; shape (H,) -> scalar.

    >>> compose_loss([0.1, 0.1])
    0.18999999999999995
    """
    return float(1.0 - np.prod(1.0 - np.asarray(loss, dtype=np.float64)))


def compose_jitter(jitter: ArrayLike) -> float:
    """Jitter of a path whose links' delays vary independently: variances add; shape (H,) -> seconds."""
    return float(np.sqrt(np.sum(np.square(np.asarray(jitter, dtype=np.float64)))))
