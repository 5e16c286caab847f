"""Babel: feasible routes only, new sequence numbers on request, retractions, and sessions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols import Babel
from meshsim.routing.protocols.babelwire import (
    INFINITE,
    UPDATE,
    Distance,
    read_hello,
    read_ihu,
    read_request,
    read_update,
)
from meshsim.routing.protocols.packet import decode
from meshsim.testing import ProtocolContract, Wiring

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol

LINE = [(0, 1), (1, 2), (2, 3), (3, 4)]


def make(address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
    return Babel(address, stream=stream, forwards=forwards, now=now)


class TestBabel(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return make(address, stream, forwards, now)


def babel(wiring: Wiring, node: int) -> Babel:
    one = wiring.nodes[node]
    assert isinstance(one, Babel)
    return one


def test_a_perfect_short_link_costs_256() -> None:
    wiring = Wiring(make, LINE, delay=0.001)
    wiring.run(100.0)
    assert [wiring.nodes[0].metric(node, wiring.now) for node in (1, 2, 4)] == [256.0, 512.0, 1024.0]


def test_a_link_of_long_round_trip_has_the_whole_penalty() -> None:
    wiring = Wiring(make, LINE, delay=0.1)
    wiring.run(100.0)
    assert wiring.nodes[0].metric(1, wiring.now) == 256.0 + 150.0


@pytest.mark.parametrize(
    ("route", "admitted"),
    [((5, 99), True), ((5, 100), False), ((5, 101), False), ((6, 5000), True), ((4, 1), False)],
)
def test_a_route_is_feasible_if_it_is_newer_or_strictly_nearer(route: tuple[int, int], admitted: bool) -> None:  # noqa: FBT001
    assert Distance(5, 100, 0.0).admits(*route) is admitted


def test_newer_holds_over_the_wrap_around() -> None:
    assert Distance(65_535, 1, 0.0).admits(2, 500)


def test_a_starved_node_gets_a_route_by_a_new_sequence_number() -> None:
    """1 knew 0 at one hop: the way round over 4 hops is no nearer, so only a newer number makes it feasible."""
    wiring = Wiring(make, [*LINE, (4, 0)])
    wiring.run(100.0)
    before = babel(wiring, 0)._sequence
    wiring.cut(0, 1)
    wiring.nodes[1].link_down(0, wiring.now)
    wiring.run(110.0)
    assert wiring.walk(1, 0) == (1, 2, 3, 4, 0)
    assert babel(wiring, 0)._sequence != before


def test_who_cannot_be_reached_is_retracted_at_once() -> None:
    wiring = Wiring(make, LINE)
    wiring.run(100.0)
    wiring.cut(3, 4)
    wiring.nodes[3].link_down(4, wiring.now)
    wiring._send(3, wiring.nodes[3].effects())
    wiring.run(103.0)
    assert wiring.walk(0, 4) == (0,)
    assert math.isinf(wiring.nodes[0].metric(4, wiring.now))


def test_a_node_that_has_restarted_takes_only_direct_routes_until_everybody_has_noticed() -> None:
    wiring = Wiring(make, LINE)
    wiring.run(100.0)
    wiring.stop(2)
    wiring.start(2)
    wiring.run(112.0)
    assert wiring.walk(2, 1) == (2, 1)
    assert wiring.walk(2, 0) == (2,)
    wiring.run(140.0)
    assert wiring.walk(2, 0) == (2, 1, 0)
    assert wiring.walk(0, 4) == (0, 1, 2, 3, 4)


def test_a_stub_announces_itself_alone() -> None:
    wiring = Wiring(make, LINE, stubs=(2,))
    wiring.run(100.0)
    node = wiring.nodes[2]
    node.link_up(9, wiring.now)
    at = node.wake_at()
    said: set[int] = set()
    while at is not None and at < 140.0:
        node.handle_timer(at)
        for effect in node.effects():
            updates = [message.body for message in decode(effect.payload) if message.kind == UPDATE]
            said |= {row[0] for body in updates for row in read_update(body) if row[2] < INFINITE}
        at = node.wake_at()
    assert said == {2}


@given(body=st.binary(max_size=80))
def test_any_body_is_read_or_a_remote_error(body: bytes) -> None:
    for read in (read_hello, read_ihu, read_update, read_request):
        try:
            read(body)
        except RemoteProtocolError:
            continue
