from __future__ import annotations

import heapq
import math

from hypothesis import given
from hypothesis import strategies as st

from meshsim.sim.kernel.heap import heap, pop, push, replace

_STEPS = st.lists(st.tuples(st.sampled_from(["push", "pop", "replace"]), st.integers(0, 20)), max_size=60)


@given(steps=_STEPS)
def test_the_heap_gives_what_heapq_gives(steps) -> None:
    entries, size, reference = heap(64), 0, []
    for code, (step, time) in enumerate(steps):
        if step == "push":
            heapq.heappush(reference, (float(time), code))
            size = push(entries, size, float(time), code)
        elif reference and step == "pop":
            heapq.heappop(reference)
            size = pop(entries, size)
        elif reference:
            heapq.heapreplace(reference, (float(time), code))
            replace(entries, size, float(time), code)
        assert size == len(reference)
        first = reference[0] if reference else (math.inf, entries[0]["code"])
        assert (entries[0]["time"], entries[0]["code"]) == first
