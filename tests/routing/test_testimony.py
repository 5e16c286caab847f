"""A claim alone never makes a link look better than it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh import NodeId
from meshsim.mesh.view import LinkBelief, LinkEntry, NetworkView, NodeEntry, Role, make_view
from meshsim.routing.features import predicted_links
from meshsim.routing.testimony import WORST, attested

PARIS, TOKYO = (48.9, 2.4), (35.7, 139.7)

figures = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 0.1), st.floats(0.0, 1.0), st.floats(0.0, 1e8))


Values = tuple[float, float, float, float]
"""Delay, jitter, loss, rate."""


def world(*links: tuple[int, int, Values]) -> NetworkView:
    """Three relays, in Paris, Tokyo and Paris."""
    places = (PARIS, TOKYO, PARIS)
    nodes = [
        NodeEntry(id=NodeId(bytes([i] * 32)), role=Role.RELAY, latitude=lat, longitude=lon)
        for i, (lat, lon) in enumerate(places)
    ]
    return make_view(
        nodes,
        [
            LinkEntry(src=src, dst=dst, delay=delay, jitter=jitter, loss=loss, rate=rate)
            for src, dst, (delay, jitter, loss, rate) in links
        ],
    )


def believed(*links: tuple[int, int, Values]) -> LinkBelief:
    view = world(*links)
    return attested(view.links, view.nodes)


@given(figures, figures)
def test_of_two_reports_the_worse_counts_value_by_value(one: Values, other: Values) -> None:
    belief = believed((0, 2, one), (2, 0, other))
    for name, a, b in zip(WORST, one, other, strict=True):
        worse = min(a, b) if name == "rate" else max(a, b)
        assert getattr(belief, name).tolist() == [worse, worse]
    assert belief.observed.all()


@given(figures)
def test_what_one_end_alone_says_makes_a_link_no_better_than_one_nobody_has_measured(said: Values) -> None:
    belief = believed((0, 2, said))
    view = world((0, 2, said))
    guess = predicted_links(view.nodes, view.links.src, view.links.dst)
    assert not belief.observed[0]
    assert belief.delay[0] >= guess.delay[0]
    assert belief.loss[0] >= guess.loss[0]
    assert belief.rate[0] <= guess.rate[0]


@pytest.mark.parametrize("liars", [(0,), (1,), (0, 1)])
def test_a_delay_that_light_could_not_keep_is_not_believed_of_anybody(liars: tuple[int, ...]) -> None:
    honest, false = (0.08, 0.001, 0.0, 1e6), (0.02, 0.001, 0.0, 1e6)
    belief = believed((0, 1, false if 0 in liars else honest), (1, 0, false if 1 in liars else honest))
    assert not belief.observed.any()
    assert (belief.delay > 0.05).all()


def test_true_reports_of_both_ends_stand_as_they_are() -> None:
    said = (0.08, 0.002, 0.01, 1e6)
    belief, view = believed((0, 1, said), (1, 0, said)), world((0, 1, said), (1, 0, said))
    for name in ("delay", "jitter", "loss", "rate", "age", "observed"):
        assert np.array_equal(getattr(belief, name), getattr(view.links, name))


def test_where_nobody_says_anything_there_is_nothing_to_believe() -> None:
    assert len(believed()) == 0
