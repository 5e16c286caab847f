"""AODV: routes on demand, numbers that only grow, and errors that reach those who use a route."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.protocols import Aodv, AodvConfig
from meshsim.routing.protocols.aodv import RREQ, read_error
from meshsim.routing.protocols.packet import decode
from meshsim.testing import ProtocolContract, Wiring

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol

HURRIED = AodvConfig(requests=100)
"""The contract asks for all pairs at once and has a second for it."""

LINE = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


def make(address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
    return Aodv(address, stream=stream, forwards=forwards, now=now, config=HURRIED)


class TestAodv(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return make(address, stream, forwards, now)


def started() -> Wiring:
    """A line whose nodes have waited long enough."""
    wiring = Wiring(make, LINE)
    wiring.run(20.0)
    return wiring


def test_nothing_is_sent_while_nobody_wants_a_route() -> None:
    assert started().sent == []


def test_the_first_ring_reaches_a_neighbour_and_no_further() -> None:
    wiring = started()
    wiring.want(0, 1)
    wiring.run(20.5)
    assert wiring.walk(0, 1) == (0, 1)
    assert {node for node, _ in wiring.sent} == {0, 1}


def test_rings_grow_until_the_destination_is_found() -> None:
    wiring = started()
    wiring.want(0, 5)
    wiring.run(20.2)
    assert wiring.walk(0, 5) == (0,)
    wiring.run(21.0)
    assert wiring.walk(0, 5) == (0, 1, 2, 3, 4, 5)
    assert wiring.walk(5, 0) == (5, 4, 3, 2, 1, 0), "the request has left the way back"


def test_a_node_on_the_way_answers_for_the_destination() -> None:
    wiring = started()
    wiring.want(1, 5)
    wiring.run(21.5)
    before = Counter(node for node, _ in wiring.sent)
    wiring.want(0, 5)
    wiring.run(21.6)
    assert wiring.walk(0, 5) == (0, 1, 2, 3, 4, 5)
    assert Counter(node for node, _ in wiring.sent)[5] == before[5]


def test_a_route_that_nobody_uses_expires_and_hellos_end_with_it() -> None:
    wiring = started()
    wiring.want(0, 1)
    wiring.want(4, 5)
    for tenth in range(205, 250, 5):
        wiring.run(tenth / 10)
        wiring.want(0, 1)
    assert wiring.walk(0, 1) == (0, 1)
    wiring.run(40.0)
    assert wiring.walk(0, 1) == (0,)
    assert wiring.walk(4, 5) == (4,)
    before = len(wiring.sent)
    wiring.run(60.0)
    assert len(wiring.sent) == before


def test_a_break_is_told_to_those_who_use_the_route() -> None:
    wiring = started()
    wiring.want(0, 5)
    wiring.run(21.5)
    wiring.cut(3, 4)
    wiring.nodes[3].link_down(4, wiring.now)
    wiring._send(3, wiring.nodes[3].effects())
    wiring.run(21.6)
    assert wiring.walk(0, 5) == (0,)


def test_a_silent_neighbour_is_noticed_by_its_hellos() -> None:
    wiring = started()
    wiring.want(0, 1)
    wiring.run(21.0)
    wiring.stop(1)
    for now in (22.0, 23.0, 24.0, 25.0):
        wiring.run(now)
        if wiring.walk(0, 1) == (0, 1):
            wiring.want(0, 1)
    assert wiring.walk(0, 1) == (0,)


def test_searches_end_after_rings_and_three_floods_and_keep_within_the_limit() -> None:
    wiring = Wiring(lambda a, s, f, n: Aodv(a, stream=s, forwards=f, now=n), [(0, 1)])
    node = wiring.nodes[0]
    sent = []
    for destination in range(100, 120):
        node.want(destination, 20.0)
    at: float | None = 20.0
    while at is not None and at < 60.0:
        node.handle_timer(at)
        for effect in node.effects():
            sent += [at for message in decode(effect.payload) if message.kind == RREQ]
        at = node.wake_at()
    assert len(sent) == 20 * 7, "rings of 1, 3, 5 and 7 hops, and three floods of the whole mesh"
    assert all(sum(1 for other in sent if now <= other < now + 0.999) <= 10 for now in sent)


def test_a_node_that_restarts_waits_until_nobody_uses_it() -> None:
    wiring = started()
    wiring.stop(1)
    wiring.start(1)
    wiring.want(0, 2)
    wiring.run(21.5)
    assert wiring.walk(0, 2) == (0,)
    wiring.run(60.0)
    wiring.want(0, 2)
    wiring.run(61.0)
    assert wiring.walk(0, 2) == (0, 1, 2)


@pytest.mark.parametrize("body", [b"", b"\0" * 7])
def test_an_error_without_whole_rows_is_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="route error"):
        read_error(body)


def test_a_search_that_waits_for_the_limit_of_rate_goes_on_when_its_time_has_come() -> None:
    # a sum may be a hair less than its parts: the clock must go on whatever the instant
    for step in range(300):
        node = Aodv(0, stream=SeedTree(1).stream("protocol", 0), config=AodvConfig(requests=1))
        now = 15.0 + step * 0.0031
        node.want(1, now)
        node.want(2, now)
        for _ in range(5):
            at = node.wake_at()
            assert at is not None
            node.handle_timer(at)
            later = node.wake_at()
            assert later is not None
            assert later > at
