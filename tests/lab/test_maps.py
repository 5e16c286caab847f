"""Topologies on flat maps: the date line is no wall, and no line runs around the world."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.lab.maps import lines_of
from meshsim.mesh.topology import Topology
from meshsim.scenario import topologies


def line(*longitudes: float) -> Topology:
    """Places along the equator, each linked with the next."""
    count = len(longitudes)
    return Topology(
        name="line",
        names=tuple(f"p{i}" for i in range(count)),
        latitude=np.zeros(count),
        longitude=np.array(longitudes),
        src=np.arange(count - 1, dtype=np.int32),
        dst=np.arange(1, count, dtype=np.int32),
        length=np.ones(count - 1),
    )


def test_a_map_without_the_date_line_is_as_it_is() -> None:
    graph = topologies.load("sndlib/geant")
    places, ends, link = lines_of(graph)
    assert np.array_equal(places, np.stack([graph.longitude, graph.latitude], axis=1))
    assert np.array_equal(ends, places[np.stack([graph.src, graph.dst], axis=1)])
    assert np.array_equal(link, np.arange(len(graph.src)))


def test_islands_on_both_sides_of_the_date_line_lie_beside_each_other() -> None:
    places, ends, link = lines_of(line(175.0, -178.0, -172.0))
    assert np.diff(places[:, 0]) == pytest.approx([7.0, 6.0])
    assert (len(ends), link.tolist()) == (2, [0, 1])


def test_a_line_over_the_edge_of_the_map_is_two_that_end_there() -> None:
    places, ends, link = lines_of(line(-120.0, -10.0, 100.0, 170.0, -120.0))
    assert link.tolist() == [0, 1, 2, 3, 0]
    assert ends[0, 0] == pytest.approx(places[0])
    assert ends[4, 1] == pytest.approx(places[1])
    assert sorted([ends[0, 1, 0], ends[4, 0, 0]]) == pytest.approx([-65.0, 295.0])


@given(st.lists(st.floats(-180, 180), min_size=2, max_size=8))
@settings(max_examples=60)
def test_lines_are_as_long_as_the_short_way_round(longitudes: list[float]) -> None:
    graph = line(*longitudes)
    places, ends, link = lines_of(graph)
    drawn = np.bincount(link, weights=np.abs(ends[:, 1, 0] - ends[:, 0, 0]), minlength=len(graph.src))
    east = np.abs(np.diff(graph.longitude))
    assert drawn == pytest.approx(np.minimum(east, 360.0 - east), abs=1e-6)
    assert np.ptp(places[:, 0]) <= 360.0
