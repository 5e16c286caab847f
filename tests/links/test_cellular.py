"""A cellular access link by distance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links.cellular import BLOCK_ERRORS, FAINT, MOST_DOWN, MOST_UP, Cell, cellular_link, cellular_snr

METRES = st.floats(1.0, 50_000.0)


def test_path_loss_is_that_of_the_macro_cell_of_tr_36_942():
    cell = Cell(power_dbm=46.0, noise_dbm=-95.0)
    assert cellular_snr(1000.0, 0.0, cell) == pytest.approx(46.0 - 128.1 + 95.0)
    assert cellular_snr(100.0, 0.0, cell) - cellular_snr(1000.0, 0.0, cell) == pytest.approx(37.6)


@given(METRES, METRES, st.floats(-3, 3))
def test_who_is_farther_gets_no_more(a, b, shadow):
    near, far = sorted((a, b))
    there, away = cellular_link(near, shadow, Cell()), cellular_link(far, shadow, Cell())
    assert there[0] >= away[0]
    assert there[1] >= away[1]
    assert there[2] <= away[2]


@given(METRES, st.floats(-3, 3))
def test_rates_stay_between_what_signalling_needs_and_what_the_modulation_gives(metres, shadow):
    cell = Cell()
    up, down, loss = cellular_link(metres, shadow, cell)
    assert FAINT <= up <= cell.bandwidth * cell.share * MOST_UP
    assert FAINT <= down <= cell.bandwidth * cell.share * MOST_DOWN
    assert loss in {1.0, BLOCK_ERRORS**4}


def test_beyond_coverage_nothing_comes_through():
    assert cellular_link(20_000.0, 0.0, Cell())[2] == 1.0
    assert cellular_link(300.0, 0.0, Cell())[2] < 1e-3
