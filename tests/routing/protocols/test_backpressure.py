"""Backpressure: data go where queues are short, and without queues along shortest paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.protocols import Backpressure
from meshsim.routing.protocols.backpressure import read_heard, read_moved, read_queues
from meshsim.testing import ProtocolContract, Wiring

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol


def make(address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
    return Backpressure(address, stream=stream, forwards=forwards, now=now)


class TestBackpressure(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return make(address, stream, forwards, now)


DIAMOND = [(0, 1), (1, 3), (0, 2), (2, 4), (4, 3)]
"""Two ways from 0 to 3: over 1, and longer over 2 and 4."""


def backpressure(wiring: Wiring, node: int) -> Backpressure:
    one = wiring.nodes[node]
    assert isinstance(one, Backpressure)
    return one


def test_without_queues_data_take_the_shortest_path() -> None:
    wiring = Wiring(make, DIAMOND)
    wiring.run(40.0)
    assert wiring.walk(0, 3) == (0, 1, 3)
    assert wiring.nodes[0].metric(3, wiring.now) == 2.0


def test_a_long_queue_on_the_shortest_path_sends_data_round_it() -> None:
    wiring = Wiring(make, DIAMOND)
    wiring.run(40.0)
    told = backpressure(wiring, 0)._told[3]
    told[1] = told[1]._replace(queue=15)
    assert wiring.nodes[0].next_hop(3, wiring.now) == 1, "the bias of one more hop is 20 packets"
    told[1] = told[1]._replace(queue=25)
    assert wiring.nodes[0].next_hop(3, wiring.now) == 2


def test_shadow_packets_flow_to_the_destination_and_out_of_the_mesh() -> None:
    wiring = Wiring(make, DIAMOND)
    wiring.run(40.0)
    for now in range(41, 60):
        wiring.want(0, 3)
        wiring.run(float(now))
    assert sum(backpressure(wiring, node)._queues.get(3, 0.0) for node in range(5)) < 60.0
    wiring.run(120.0)
    assert all(not backpressure(wiring, node)._queues for node in range(5))


def test_queues_of_what_cannot_be_reached_grow_no_longer_than_the_limit() -> None:
    node = Backpressure(0, stream=SeedTree(1).stream("p", 0))
    for second in range(400):
        node.want(9, float(second))
        node.handle_timer(float(second))
    assert node._queues[9] == 1000.0


def test_a_link_that_loses_much_counts_less() -> None:
    wiring = Wiring(make, [(0, 1), (1, 2), (0, 3), (3, 2)])
    wiring.run(40.0)
    backpressure(wiring, 0)._shares[1] = 0.5
    assert wiring.nodes[0].next_hop(2, wiring.now) == 3


@given(body=st.binary(max_size=40))
def test_any_body_is_read_or_a_remote_error(body: bytes) -> None:
    for read in (read_heard, read_queues, read_moved):
        try:
            read(body)
        except RemoteProtocolError:
            continue
