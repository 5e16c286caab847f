"""Views written by hand are sorted and typed; NAT types connect as RFC 5128 says; links are found by their ends."""

from __future__ import annotations

import numpy as np
import pytest

from meshsim.mesh.ids import NodeId
from meshsim.mesh.view import LinkEntry, Nat, NodeEntry, Role, connectable, find_links, make_view

IDS = [NodeId(bytes([i] * 32)) for i in range(3)]
NODES = [NodeEntry(id=IDS[0]), NodeEntry(id=IDS[1], role=Role.RELAY, load=0.5), NodeEntry(id=IDS[2], aic=False)]


def test_links_are_sorted_by_their_ends() -> None:
    view = make_view(NODES, [LinkEntry(src=2, dst=0, delay=0.2), LinkEntry(src=0, dst=1, delay=0.1)])
    assert view.links.src.tolist() == [0, 2]
    assert view.links.delay.tolist() == [0.1, 0.2]
    assert view.indptr.tolist() == [0, 1, 1, 2]
    assert view.fresh is None


def test_arrays_have_the_types_of_the_beliefs() -> None:
    view = make_view(NODES, [LinkEntry(src=0, dst=1, delay=0.1)], fresh=[LinkEntry(src=1, dst=2, delay=1)], owner=1)
    assert view.nodes.role.dtype == np.int8
    assert view.nodes.aic.tolist() == [True, True, False]
    assert view.nodes.load.tolist() == [0.0, 0.5, 0.0]
    assert view.links.src.dtype == np.int32
    assert view.fresh is not None
    assert view.fresh.delay.dtype == np.float64
    assert view.index == {node: i for i, node in enumerate(IDS)}


def test_links_are_found_by_their_ends() -> None:
    view = make_view(NODES, [LinkEntry(src=0, dst=1, delay=0.1), LinkEntry(src=2, dst=1, delay=0.1)])
    src, dst = np.array([2, 1, 0], dtype=np.int32), np.array([1, 2, 1], dtype=np.int32)
    assert find_links(view.links, src, dst, 3).tolist() == [1, -1, 0]
    assert find_links(make_view(NODES, []).links, src, dst, 3).tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Nat.SYMMETRIC, Nat.SYMMETRIC, False),
        (Nat.SYMMETRIC, Nat.PORT_RESTRICTED, False),
        (Nat.SYMMETRIC, Nat.CONE, True),
        (Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED, True),
        (Nat.OPEN, Nat.SYMMETRIC, True),
    ],
)
def test_hole_punching_fails_between_symmetric_and_restricted(one: Nat, other: Nat, *, expected: bool) -> None:
    assert bool(connectable(one, other)) is expected
    assert bool(connectable(other, one)) is expected
