from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from meshsim.trust.waiting import FairQueue


@dataclass
class Item:
    since: float
    source: str
    name: int = 0


def queue(room: int, *items: tuple[str, float]) -> FairQueue[Item]:
    made: FairQueue[Item] = FairQueue(room)
    for name, (source, since) in enumerate(items):
        made.push(Item(since, source, name))
    return made


def test_a_full_queue_lets_the_oldest_of_the_source_with_most_items_go() -> None:
    full = queue(4, ("ann", 0.0), ("eve", 1.0), ("eve", 2.0), ("eve", 3.0))
    gone = full.push(Item(4.0, "bob"))
    assert gone is not None
    assert (gone.source, gone.since, len(full), full.first) == ("eve", 1.0, 4, 0.0)


def test_of_sources_with_as_many_items_the_one_that_waits_longest_lets_go() -> None:
    gone = queue(2, ("bob", 1.0), ("ann", 0.0)).push(Item(2.0, "eve"))
    assert gone is not None
    assert gone.source == "ann"


def test_who_has_as_many_as_others_lets_its_own_go_for_more() -> None:
    gone = queue(2, ("ann", 0.0), ("eve", 1.0)).push(Item(2.0, "eve"))
    assert gone is not None
    assert gone.source == "eve"


def test_what_is_due_is_taken_out_of_every_line() -> None:
    waiting = queue(9, ("ann", 0.0), ("bob", 1.0), ("ann", 2.0), ("bob", 3.0))
    assert waiting.take_due(9.9, 10.0) == []
    assert sorted(item.since for item in waiting.take_due(12.0, 10.0)) == [0.0, 1.0, 2.0]
    assert (len(waiting), waiting.first) == (1, 3.0)
    assert [item.since for item in waiting.take_due(13.0, 10.0)] == [3.0]
    assert (len(waiting), waiting.first) == (0, math.inf)


@given(st.integers(1, 5), st.lists(st.sampled_from("abc"), max_size=30))
def test_nobody_is_crowded_out_while_it_has_less_than_its_share(room: int, sources: list[str]) -> None:
    waiting: FairQueue[Item] = FairQueue(room)
    for since, source in enumerate(sources):
        held = [item.source for item in waiting]
        gone = waiting.push(Item(float(since), source))
        assert len(waiting) == min(since + 1, room)
        if gone is not None:
            assert held.count(gone.source) == max(map(held.count, held)) >= room / 3
        assert waiting.first == min(item.since for item in waiting)
