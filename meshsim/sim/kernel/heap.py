"""A 4-ary heap of (time, code) in a record array: the kernel's agenda.

Entries past the end have time infinity, so that four children are compared without asking how many there are, and an
empty heap is one whose first time is infinite. A heap of capacity C is an array of C + 4 entries.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.sim.kernel.jit import jit

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENTRY = np.dtype([("time", "f8"), ("code", "i8")], align=True)
"""When, and what; equal times are taken in order of code."""

SPARE = 4
"""Entries that the array has beyond the heap's capacity."""


def heap(capacity: int) -> NDArray[np.void]:
    """An empty heap."""
    entries = np.zeros(capacity + SPARE, dtype=ENTRY)
    entries["time"] = math.inf
    return entries


@jit
def _before(time: float, code: int, other_time: float, other_code: int) -> bool:
    return time < other_time or (time == other_time and code < other_code)


@jit
def push(entries: Any, size: int, time: float, code: int) -> int:
    """Add (time, code) to a heap of `size`; its new size."""
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 2
        if not _before(time, code, entries[parent].time, entries[parent].code):
            break
        entries[hole].time = entries[parent].time
        entries[hole].code = entries[parent].code
        hole = parent
    entries[hole].time = time
    entries[hole].code = code
    return size + 1


@jit
def replace(entries: Any, size: int, time: float, code: int) -> None:
    """Put (time, code) in the place of the first entry."""
    hole = 0
    while True:
        child = 4 * hole + 1
        if child >= size:
            break
        best, best_time, best_code = child, entries[child].time, entries[child].code
        for other in range(child + 1, child + 4):
            if _before(entries[other].time, entries[other].code, best_time, best_code):
                best, best_time, best_code = other, entries[other].time, entries[other].code
        if not _before(best_time, best_code, time, code):
            break
        entries[hole].time = best_time
        entries[hole].code = best_code
        hole = best
    entries[hole].time = time
    entries[hole].code = code


@jit
def pop(entries: Any, size: int) -> int:
    """Take the first entry off a heap of `size` (at least 1); its new size."""
    last = size - 1
    time, code = entries[last].time, entries[last].code
    entries[last].time = math.inf
    if last > 0:
        replace(entries, last, time, code)
    return last
