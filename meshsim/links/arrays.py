"""What a step may be handed as an array: one dimension, read and written by index, shared by all links of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64] | list[float]"
"""Floats by index: an array for a compiled engine, a list (faster there) for plain Python."""

Integers: TypeAlias = "NDArray[np.int64] | list[int]"
"""Integers by index, likewise."""
