"""The rows of open flows stay what they were, whatever opens and closes around them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.sim.flows import Flows
from meshsim.sim.resources import Paths

RESOURCES = 50


def path(draw: np.random.Generator) -> Paths:
    rows = int(draw.integers(4, 120))
    return Paths(
        count=1,
        nodes=np.array([0, 1]),
        indptr=np.array([0, 2]),
        starts=np.array([0, rows]),
        way=draw.integers(0, 2, rows).astype(np.int8),
        resource=draw.integers(0, RESOURCES, rows),
        own=draw.random(rows),
        amount=draw.integers(1, 9, rows).astype(float),
        sending=draw.random(rows),
        joined=np.ones(2, dtype=bool),
    )


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=300), st.integers(0, 2**32 - 1))
def test_flows_keep_their_rows(opens, seed):
    draw, flows, kept = np.random.default_rng(seed), Flows(), {}
    for step, opening in enumerate(opens):
        if opening or not kept:
            new = path(draw)
            kept[flows.open(new, -float(step))] = new, -float(step)
        else:
            number = sorted(kept)[int(draw.integers(len(kept)))]
            assert flows.close(number) is kept.pop(number)[0]
    assert flows.numbers().tolist() == sorted(kept)
    load = np.zeros(RESOURCES)
    for number, (paths, dropped) in kept.items():
        rows = slice(flows.first[number], flows.last[number])
        for name in ("way", "resource", "amount", "sending"):
            assert np.array_equal(getattr(flows, name)[rows], getattr(paths, name))
        assert flows[number] is paths
        assert flows.dropped[number] == dropped
        np.add.at(load, paths.resource, paths.amount)
    assert np.array_equal(flows.load(RESOURCES), load)
    assert flows.numbers().tolist() == sorted(kept)


def test_arrays_stay_small_when_flows_come_and_go():
    draw, flows = np.random.default_rng(1), Flows()
    numbers = [flows.open(path(draw), 0.0) for _ in range(40)]
    for _ in range(2000):
        flows.close(numbers.pop(0))
        numbers.append(flows.open(path(draw), 0.0))
    assert len(flows.way) <= 16_384
    assert len(flows.first) == 64
