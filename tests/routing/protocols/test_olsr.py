"""OLSR: multipoint relays cover all two-hop neighbours, floods go through them only, and bad links are avoided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols import Olsr, OlsrConfig
from meshsim.routing.protocols.olsr import ALWAYS, DEFAULT, NEVER, TOPOLOGY, choose_relays, read_hello, read_topology
from meshsim.routing.protocols.packet import decode
from meshsim.testing import Wiring

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol

neighbourhoods = st.dictionaries(st.integers(0, 9), st.frozensets(st.integers(20, 40), max_size=8), max_size=9)


def make(address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
    return Olsr(address, stream=stream, forwards=forwards, now=now)


def nodes_of(wiring: Wiring) -> list[Olsr]:
    return [node for node in wiring.nodes.values() if isinstance(node, Olsr)]


@given(reached=neighbourhoods, data=st.data())
def test_relays_cover_every_strict_two_hop_neighbour(reached: dict[int, frozenset[int]], data: st.DataObject) -> None:
    willing = {node: data.draw(st.sampled_from([NEVER, 1, DEFAULT, 6, ALWAYS])) for node in reached}
    able = [around for node, around in reached.items() if willing[node] != NEVER]
    two_hop = frozenset().union(*able)
    chosen = choose_relays(reached, willing, two_hop)
    assert two_hop == frozenset().union(*(reached[node] for node in chosen))
    assert all(willing[node] != NEVER for node in chosen)
    assert all(node in chosen for node in reached if willing[node] == ALWAYS)


@given(reached=neighbourhoods)
def test_no_relay_is_chosen_that_covers_nothing(reached: dict[int, frozenset[int]]) -> None:
    willing = dict.fromkeys(reached, DEFAULT)
    chosen = choose_relays(reached, willing, frozenset().union(*reached.values()))
    assert all(reached[node] for node in chosen)


def test_the_middle_of_a_star_is_everybodys_relay() -> None:
    wiring = Wiring(make, [(0, leaf) for leaf in range(1, 6)])
    wiring.run(15.0)
    assert [node.relays for node in nodes_of(wiring)] == [frozenset()] + [frozenset({0})] * 5


def test_floods_in_a_full_mesh_are_not_passed_on() -> None:
    wiring = Wiring(make, [(a, b) for a in range(6) for b in range(a)])
    wiring.run(40.0)
    assert not any(node.relays for node in nodes_of(wiring))
    assert wiring.walk(0, 5) == (0, 5)


def test_a_lossy_link_is_avoided() -> None:
    wiring = Wiring(make, [(0, 1), (1, 2), (0, 2)])
    lost = 0

    def lose(wiring: Wiring) -> None:
        """Takes two of three copies between 0 and 2 out of the air."""
        nonlocal lost
        for entry in [entry for entry in wiring._queue if {entry[2], entry[3]} == {0, 2}]:
            lost += 1
            if lost % 3:
                wiring._queue.remove(entry)
                wiring._queue.sort()

    wiring.run(30.0)
    assert wiring.walk(0, 2) == (0, 2)
    wiring.watch = lose
    wiring.run(90.0)
    assert wiring.walk(0, 2) == (0, 1, 2)


def test_all_neighbours_are_told_with_full_redundancy() -> None:
    assert _told(redundancy=0) == 0
    assert _told(redundancy=2) > 0


def _told(redundancy: int) -> int:
    """Topology controls that a triangle is about to send."""
    config = OlsrConfig(redundancy=redundancy)
    wiring = Wiring(lambda a, s, f, n: Olsr(a, stream=s, forwards=f, now=n, config=config), [(0, 1), (1, 2), (0, 2)])
    wiring.run(20.0)
    return sum(_tells(node) for node in nodes_of(wiring))


def _tells(node: Olsr) -> int:
    """Topology controls among the next things that a node says."""
    count = 0
    for _ in range(6):
        node.handle_timer(node.wake_at() or 0.0)
        said = [message for effect in node.effects() for message in decode(effect.payload)]
        count += sum(message.kind == TOPOLOGY for message in said)
    return count


@given(body=st.binary(max_size=80))
def test_any_body_is_read_or_a_remote_error(body: bytes) -> None:
    for read in (read_hello, read_topology):
        try:
            read(body)
        except RemoteProtocolError:
            continue


def test_a_hello_of_an_unknown_willingness_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="willingness"):
        read_hello(bytes([0, 0, 0, 99]))
