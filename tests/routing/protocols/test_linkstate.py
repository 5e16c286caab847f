"""Link state: databases become equal, costs follow delays, computations are held back, old lives are outdone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.protocols import LinkState, LinkStateConfig
from meshsim.routing.protocols.linkstate import ADVERTISEMENT, read_hello, read_links, read_summary
from meshsim.routing.protocols.packet import Message, encode
from meshsim.testing import Wiring

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol

LINE = [(0, 1), (1, 2), (2, 3), (3, 4)]


def make(address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
    return LinkState(address, stream=stream, forwards=forwards, now=now)


def digests(wiring: Wiring) -> set[int]:
    return {node._digest for node in wiring.nodes.values() if isinstance(node, LinkState)}


def test_databases_become_equal_though_a_third_of_all_is_lost() -> None:
    wiring = Wiring(make, [*LINE, (4, 0), (1, 3)], loss=0.33)
    wiring.run(100.0)
    wiring.loss = 0.0
    wiring.run(140.0)
    assert len(digests(wiring)) == 1


def test_the_cost_of_a_link_is_its_delay_in_tenths_of_milliseconds() -> None:
    wiring = Wiring(make, LINE, delay=0.02)
    wiring.run(30.0)
    assert wiring.nodes[0].metric(1, wiring.now) == 200.0
    assert wiring.nodes[0].metric(4, wiring.now) == 800.0


def test_the_cost_of_a_link_is_etx_where_that_is_asked_for() -> None:
    config = LinkStateConfig(cost="etx")
    wiring = Wiring(lambda a, s, f, n: LinkState(a, stream=s, forwards=f, now=n, config=config), LINE, delay=0.02)
    wiring.run(30.0)
    assert wiring.nodes[0].metric(4, wiring.now) == 4 * 256.0


def test_a_node_that_starts_anew_outdoes_its_earlier_life() -> None:
    config = LinkStateConfig(refresh=10.0)
    for seed in range(6):  # sequence numbers begin anywhere, before and after those that are known
        wiring = Wiring(lambda a, s, f, n: LinkState(a, stream=s, forwards=f, now=n, config=config), LINE, seed=seed)
        wiring.run(100.0)
        wiring.stop(4)
        wiring.cut(3, 4)
        wiring.connect(0, 4)
        wiring.run(101.0)
        wiring.start(4)
        wiring.run(140.0)
        assert wiring.walk(3, 4) == (3, 2, 1, 0, 4)
        assert wiring.walk(4, 3) == (4, 0, 1, 2, 3)


def test_a_ring_heals_when_a_neighbour_starts_anew_before_it_is_missed() -> None:
    wiring = Wiring(make, [*LINE, (4, 0)])
    wiring.run(60.0)
    wiring.stop(1)
    wiring.run(60.5)
    wiring.start(1)
    wiring.run(100.0)
    assert wiring.walk(0, 2) == (0, 1, 2)


def test_a_hint_that_a_neighbour_is_there_brings_a_hello_at_once() -> None:
    node = LinkState(0, stream=SeedTree(1).stream("p", 0))
    node.handle_timer(0.5)
    assert node.wake_at() != 0.6
    node.link_up(7, 0.6)
    assert node.wake_at() == 0.6


def test_a_hint_of_a_dead_neighbour_is_faster_than_its_hellos() -> None:
    ring = [*LINE, (4, 0)]
    hinted, silent = Wiring(make, ring), Wiring(make, ring)
    for wiring in (hinted, silent):
        wiring.run(60.0)
        wiring.cut(0, 1)
    hinted.nodes[0].link_down(1, hinted.now)
    hinted.nodes[1].link_down(0, hinted.now)
    for wiring in (hinted, silent):
        wiring.run(62.0)
    assert hinted.walk(0, 1) == (0, 4, 3, 2, 1)
    assert silent.walk(0, 1) == (0, 1)
    silent.run(80.0)
    assert silent.walk(0, 1) == (0, 4, 3, 2, 1)


def test_further_changes_wait_for_the_computation_that_is_held_back() -> None:
    """RFC 8405: the first at once, the second soon, the rest of a storm after the long delay."""
    node = LinkState(0, stream=SeedTree(1).stream("p", 0))
    at = []
    changes = (10.0, 10.3, 12.0, 13.0, 30.0)
    for number, now in enumerate(changes):
        while (due := node._timers._at.get("spf", now)) < now:
            node.handle_timer(due)
        body = b"\1" + bytes([0, 0, 0, 1, 0, number + 1])
        node.receive(encode([Message(ADVERTISEMENT, 9, number, 60.0, 9, 0, body)]), 1, now)
        at.append(node._timers._at["spf"])
    assert at == pytest.approx([10.05, 10.5, 17.0, 17.0, 30.05])


@given(body=st.binary(max_size=80))
def test_any_body_is_read_or_a_remote_error(body: bytes) -> None:
    for read in (read_hello, read_links, read_summary):
        try:
            read(body)
        except RemoteProtocolError:
            continue


def test_a_link_that_costs_nothing_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="nothing"):
        read_links(b"\1" + bytes(6))
