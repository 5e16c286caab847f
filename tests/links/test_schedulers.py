from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import (
    DRR_TURN,
    compiled,
    drr_pick,
    drr_quanta,
    polling_pick,
    priority_pick,
    stride_head,
    wfq_head,
    wfq_pick,
)

FIRST = 2  # the link under test comes behind another in the flat arrays
Pick = Callable[..., int]


class Server:
    """Class queues of one link, served by one of the rules."""

    def __init__(self, kind: str, weights: tuple[float, ...], pick: Pick, head: Callable[..., None] = wfq_head) -> None:
        self.kind, self.weights, self.pick, self.head = kind, weights, pick, head
        size = FIRST + len(weights)
        self.queues: list[deque[float]] = [deque() for _ in range(size)]
        self.waiting = np.zeros(size, np.int64)
        self.finish, self.deficit, self.head_bytes = np.zeros((3, size))
        self.quanta = np.array([0.0] * FIRST + list(drr_quanta(weights, 1500.0)))
        self.clock, self.turn = np.zeros(2), np.zeros(2 * DRR_TURN, np.int64)

    def join(self, queue: int, size: float) -> None:
        where = FIRST + queue
        self.queues[where].append(size)
        self.waiting[where] += 1
        if self.waiting[where] == 1:
            self._head(where)

    def _head(self, where: int) -> None:
        self.head_bytes[where] = self.queues[where][0]
        if self.kind == "wfq":
            self.head(where, self.head_bytes[where], self.weights[where - FIRST], self.finish, self.clock, 1)
        if self.kind == "stride":
            stride_head(where, self.head_bytes[where], self.weights[where - FIRST], self.finish)

    def _pick(self) -> int:
        link = (FIRST, len(self.weights))
        if self.kind in ("wfq", "stride"):
            return self.pick(self.waiting, self.finish, self.clock, 1, *link)
        if self.kind in ("drr", "polling"):
            arrays = (self.waiting, self.head_bytes, self.quanta, self.deficit, self.turn)
            return self.pick(*arrays, DRR_TURN, *link)
        return self.pick(self.waiting, *link)

    def send(self) -> tuple[int, float] | None:
        where = self._pick()
        if where < 0:
            return None
        size = self.queues[where].popleft()
        self.waiting[where] -= 1
        if self.waiting[where]:
            self._head(where)
        return where - FIRST, size


PICKS: dict[str, Pick] = {
    "priority": priority_pick,
    "wfq": wfq_pick,
    "drr": drr_pick,
    "stride": wfq_pick,
    "polling": polling_pick,
}
kinds = st.sampled_from(sorted(PICKS))
weights = st.lists(st.floats(0.1, 10.0), min_size=3, max_size=3).map(tuple)
orders = st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 2), st.integers(40, 9000))), max_size=150)


def run(server: Server, steps: list[tuple[int, int] | None]) -> list[tuple[int, float] | None]:
    sent = []
    for order in steps:
        if order is None:
            sent.append(server.send())
        else:
            server.join(order[0], float(order[1]))
    return sent


@given(kinds, weights, orders)
def test_no_scheduler_idles_while_something_waits_and_each_class_stays_in_order(
    kind: str, weights: tuple[float, ...], steps: list[tuple[int, int] | None]
) -> None:
    server = Server(kind, weights, PICKS[kind])
    joined = 0
    for order in steps:
        if order is None:
            assert (server.send() is not None) == (joined > 0)
            joined = max(0, joined - 1)
        else:
            server.join(order[0], float(order[1]))
            joined += 1
    rest = {k: list(server.queues[FIRST + k]) for k in range(3)}
    sent = [server.send() for _ in range(joined)]
    assert {k: [one[1] for one in sent if one is not None and one[0] == k] for k in range(3)} == rest
    assert server.send() is None


@given(orders)
def test_strict_priority_serves_no_class_while_one_before_it_waits(steps: list[tuple[int, int] | None]) -> None:
    server = Server("priority", (1.0, 1.0, 1.0), priority_pick)
    for order in steps:
        if order is None:
            before = server.waiting[FIRST:].tolist()
            sent = server.send()
            assert sent is None or not any(before[: sent[0]])
        else:
            server.join(order[0], float(order[1]))


@pytest.mark.parametrize("kind", ["wfq", "drr", "stride", "polling"])
def test_backlogged_classes_share_bytes_by_weight_whatever_their_packets(kind: str) -> None:
    shares, sizes = (1.0, 2.0, 5.0), (1500.0, 64.0, 700.0)
    server = Server(kind, shares, PICKS[kind])
    for queue, size in enumerate(sizes):
        for _ in range(round(4e5 * shares[queue] / size)):
            server.join(queue, size)
    got = [0.0] * 3
    for _ in range(5000):
        sent = server.send()
        assert sent is not None
        got[sent[0]] += sent[1]
    service = [bytes_ / share for bytes_, share in zip(got, shares, strict=True)]
    assert max(service) - min(service) <= 3 * 1500.0


@given(weights, st.lists(st.tuples(st.integers(0, 2), st.integers(40, 1500)), min_size=1, max_size=80))
def test_self_clocked_tags_never_run_backwards(weights: tuple[float, ...], joins: list[tuple[int, int]]) -> None:
    server, clocks = Server("wfq", weights, wfq_pick), []
    for number, (queue, size) in enumerate(joins):
        server.join(queue, float(size))
        if number % 3 == 2:
            server.send()
            clocks.append(float(server.clock[1]))
    assert clocks == sorted(clocks)
    assert server.clock[0] == 0.0


def test_a_class_that_was_silent_saves_no_credit() -> None:
    server = Server("wfq", (1.0, 1.0), wfq_pick)
    for _ in range(50):
        server.join(0, 1000.0)
    for _ in range(40):
        server.send()
    for _ in range(10):
        server.join(1, 1000.0)
    sent = [server.send() for _ in range(10)]
    assert [one[0] for one in sent if one is not None].count(1) in (5, 6)


def test_in_strides_a_class_that_was_silent_has_saved_all_it_did_not_use() -> None:
    server = Server("stride", (1.0, 1.0), wfq_pick)
    for _ in range(50):
        server.join(0, 1000.0)
    for _ in range(40):
        server.send()
    for _ in range(10):
        server.join(1, 1000.0)
    assert [one[0] for one in (server.send() for _ in range(10)) if one is not None] == [1] * 10


@pytest.mark.parametrize(("kind", "served"), [("drr", 1), ("polling", 0)])
def test_a_queue_that_ran_empty_keeps_its_turn_only_when_polled(kind: str, served: int) -> None:
    server = Server(kind, (1.0, 1.0), PICKS[kind])
    server.join(0, 500.0)
    server.send()
    server.join(1, 500.0)
    server.join(0, 500.0)  # while the first packet of its queue is sent
    one = server.send()
    assert one is not None
    assert one[0] == served


def test_a_round_of_drr_sends_a_quantum_and_keeps_what_is_left_over() -> None:
    server = Server("drr", (1.0, 1.0), drr_pick)
    for size in (1000.0, 1000.0, 1000.0):
        server.join(0, size)
        server.join(1, 1500.0)
    sent = [server.send() for _ in range(6)]
    assert [one[0] for one in sent if one is not None] == [0, 1, 0, 0, 1, 1]


@pytest.mark.parametrize("kind", sorted(PICKS))
def test_a_compiled_scheduler_picks_as_the_plain_one(kind: str) -> None:
    generator = np.random.default_rng(5)
    steps = [
        None if serve else (queue, size)
        for serve, queue, size in zip(
            generator.integers(0, 2, 1000).tolist(),
            generator.integers(0, 3, 1000).tolist(),
            generator.integers(40, 9000, 1000).tolist(),
            strict=True,
        )
    ]
    fast = Server(kind, (1.0, 3.0, 2.5), compiled(PICKS[kind], numba.njit), compiled(wfq_head, numba.njit))
    assert run(fast, steps) == run(Server(kind, (1.0, 3.0, 2.5), PICKS[kind]), steps)
