"""`mesh.seeds.Stream` for compiled code: draw n of a stream is the very number that `Stream.at(n)` gives.

Philox4x64-10: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. A block of four draws is kept
per stream, because draws are mostly taken in order; any other order gives the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.sim.kernel.jit import jit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import Stream

_M0 = np.uint64(0xD2E7470EE14C6C93)
_M1 = np.uint64(0xCA5A826395121157)
_W0 = np.uint64(0x9E3779B97F4A7C15)
_W1 = np.uint64(0xBB67AE8584CAA73B)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SPARE = np.uint64(11)
_TO_UNIT = 2.0**-53


STREAM = np.dtype(
    [
        ("low", "u8"),  # halves of the key
        ("high", "u8"),
        ("block", "i8"),  # number of the block of four in `values`; -1 for none
        ("values", "f8", (4,)),
    ],
    align=True,
)
"""One row a stream: its key, and the block of draws that it is at."""


def streams(sources: Iterable[Stream]) -> NDArray[np.void]:
    """The streams `sources`, none drawn from yet."""
    keys = [source.key for source in sources]
    rows = np.zeros(len(keys), dtype=STREAM)
    rows["low"] = [key & (2**64 - 1) for key in keys]
    rows["high"] = [key >> 64 for key in keys]
    rows["block"] = -1
    return rows


@jit
def _high(a: Any, b: Any) -> Any:
    """The upper 64 bits of a * b, by halves of 32."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = a1 * b0 + ((a0 * b0) >> _HALF)
    other = a0 * b1 + (middle & _LOW)
    return a1 * b1 + (middle >> _HALF) + (other >> _HALF)


@jit
def philox(counter: Any, key0: Any, key1: Any) -> tuple[Any, Any, Any, Any]:
    """Four raw words of block `counter` under the key (key0, key1): ten rounds."""
    x0, x1, x2, x3 = counter, np.uint64(0), np.uint64(0), np.uint64(0)
    for _ in range(10):
        x0, x1, x2, x3 = _high(_M1, x2) ^ x1 ^ key0, _M1 * x2, _high(_M0, x0) ^ x3 ^ key1, _M0 * x0
        key0 += _W0
        key1 += _W1
    return x0, x1, x2, x3


@jit
def draw(streams: Any, stream: int, n: int) -> float:
    """Draw `n` of stream number `stream`, uniform in [0, 1)."""
    row, block = streams[stream], n >> 2
    if row.block != block:
        # NumPy counts up before it generates: its first block has counter 1.
        words = philox(np.uint64(block + 1), row.low, row.high)
        row.block = block
        for place in range(4):
            row.values[place] = np.float64(words[place] >> _SPARE) * _TO_UNIT
    return float(row.values[n & 3])
