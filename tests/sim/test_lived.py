"""What calls live through is integrated over time, however often somebody looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.sim.lived import Lived

measures = st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 0.1), st.floats(0.0, 1.0))


@given(st.lists(st.tuples(st.floats(0.01, 50.0), measures), min_size=1, max_size=8), measures)
def test_means_weigh_each_state_by_its_time(steps, first):
    lived, t, now = Lived(), 0.0, first
    row = lived.take()
    lived.begin(row, t, now)
    total = np.zeros(3)
    for seconds, following in steps:
        total += seconds * np.array(now)
        t += seconds
        lived.settle(np.array([row]), t, np.array([following]))
        now = following
    assert lived.time(row) == pytest.approx(t)
    assert lived.means(row) == pytest.approx(tuple(total / t))
    assert lived.stretch(row) == pytest.approx(tuple(total / t))


def test_one_look_and_many_give_the_same():
    once, often = Lived(), Lived()
    rows = [table.take() for table in (once, often)]
    for table, row in zip((once, often), rows, strict=True):
        table.begin(row, 1.0, (0.1, 0.001, 0.02))
    once.write_up(rows[0], 9.0)
    for t in (2.0, 5.0, 5.0, 9.0):
        often.write_up(rows[1], t)
    assert often.means(rows[1]) == pytest.approx(once.means(rows[0]))


def test_a_new_path_begins_a_new_stretch_and_goes_on_with_the_call():
    lived = Lived()
    row = lived.take()
    lived.begin(row, 0.0, (0.1, 0.0, 0.0))
    lived.write_up(row, 10.0)
    lived.begin(row, 12.0, (0.3, 0.0, 0.0))
    lived.write_up(row, 22.0)
    assert lived.stretch(row)[0] == pytest.approx(0.3)
    assert lived.means(row)[0] == pytest.approx(0.2)
    assert lived.time(row) == pytest.approx(20.0)


def test_packets_of_an_outage_count_as_lost():
    lived = Lived()
    row = lived.take()
    lived.begin(row, 0.0, (0.1, 0.0, 0.0))
    lived.write_up(row, 30.0)
    assert lived.means(row, gap=10.0)[2] == pytest.approx(0.25)


def test_a_call_that_never_flowed_has_lived_through_nothing():
    lived = Lived()
    row = lived.take()
    assert all(math.isnan(value) for value in lived.means(row, gap=5.0))
    assert lived.time(row) == 0.0


def test_rows_are_used_again_and_begin_empty():
    lived = Lived()
    rows = [lived.take() for _ in range(700)]
    assert len(set(rows)) == 700
    lived.begin(rows[650], 0.0, (1.0, 1.0, 1.0))
    lived.write_up(rows[650], 5.0)
    lived.release(rows[650])
    assert lived.take() == rows[650]
    assert lived.time(rows[650]) == 0.0
