"""Who tells two things under one number is found out; who goes says so; who speaks nonsense is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshsim.agent import AgentConfig, EventSample
from meshsim.agent.messages import Digest as News
from meshsim.agent.messages import Equivocation, Error, Fault, Leave, LinkState, Told
from meshsim.agent.quarantine import PROOFS
from meshsim.agent.signing import sign
from meshsim.identity import HashSigner
from meshsim.mesh.ids import NodeId
from meshsim.testing.network import SECRET, Network

if TYPE_CHECKING:
    from collections.abc import Callable


def statement_of(net: Network, name: str, at: str = "alice") -> LinkState:
    found = net[at]._table.statement(net.node(name))
    assert found is not None
    return found


def lied(net: Network, name: str, by: str = "", **changes: object) -> LinkState:
    """What `name` last stated, changed, and signed by `by`."""
    changed = msgspec.structs.replace(statement_of(net, name), **{"load": 0.9, **changes})
    return sign(changed, HashSigner(net.node(by or name), SECRET))


def kinds(net: Network, name: str) -> list[str]:
    return [sample.kind for sample in net.members[name].samples(EventSample)]


def paths(net: Network) -> list[tuple[str, ...]]:
    return [net.names(path) for call in net["alice"]._desk.calls for path in call.stood]


def test_two_statements_under_one_number_put_their_origin_into_quarantine_everywhere(diamond: Network) -> None:
    diamond.inject("alice", "r2", News((Told(0, lied(diamond, "r1")),)))
    diamond.run(0.5)
    assert all(diamond.node("r1") in diamond[name]._table.quarantine for name in ("alice", "r2", "bob"))
    assert diamond.node("r1") not in diamond["r1"]._table.quarantine
    assert "equivocated" in kinds(diamond, "bob")


def test_a_call_over_a_relay_that_is_found_out_moves_at_once(diamond: Network) -> None:
    diamond.call("alice", "bob")
    diamond.run(2.0)
    proof = Equivocation(statement_of(diamond, "r1"), lied(diamond, "r1"))
    diamond.inject("alice", "r2", proof)
    diamond.run(0.5)
    assert paths(diamond) == [("alice", "r1", "bob"), ("alice", "r2", "bob")]


def test_what_a_node_in_quarantine_states_is_not_taken_in_until_its_time_is_over(
    make_diamond: Callable[..., Network],
) -> None:
    net = make_diamond()
    table = net["alice"]._table
    net["alice"]._core.config = AgentConfig(digest_period=2.0, probe_period=1.0, quarantine=10.0)
    net.inject("alice", "r2", Equivocation(statement_of(net, "r1"), lied(net, "r1")))
    before = statement_of(net, "r1")
    net.run(8.0)
    assert statement_of(net, "r1") is before
    assert net["alice"].rejected["quarantined"] > 0
    net.run(10.0)
    assert net.node("r1") not in table.quarantine
    assert statement_of(net, "r1") is not before


@pytest.mark.parametrize(
    "make",
    [
        lambda net: Equivocation(statement_of(net, "r1"), statement_of(net, "r1")),
        lambda net: Equivocation(statement_of(net, "r1"), statement_of(net, "r2")),
        lambda net: Equivocation(statement_of(net, "r1"), lied(net, "r1", sequence=99)),
        lambda net: Equivocation(statement_of(net, "r1"), lied(net, "r1", by="r2")),
        lambda net: Equivocation(lied(net, "r1", by="r2", load=0.7), statement_of(net, "r1")),
    ],
    ids=["twice the same", "two origins", "two numbers", "second forged", "first forged"],
)
def test_what_proves_nothing_accuses_nobody(diamond: Network, make: Callable[[Network], Equivocation]) -> None:
    diamond.inject("alice", "r2", make(diamond))
    assert not diamond["alice"]._table.quarantine.nodes
    assert diamond["alice"].rejected["no_proof"] == 1


def test_a_forged_second_statement_accuses_nobody(diamond: Network) -> None:
    diamond.inject("alice", "r2", News((Told(0, lied(diamond, "r1", by="r2")),)))
    assert not diamond["alice"]._table.quarantine.nodes


def test_nobody_puts_itself_into_quarantine(diamond: Network) -> None:
    own = statement_of(diamond, "alice")
    other = sign(msgspec.structs.replace(own, load=0.9), HashSigner(diamond.node("alice"), SECRET))
    diamond.inject("alice", "r2", Equivocation(own, other))
    assert not diamond["alice"]._table.quarantine.nodes


def test_the_proofs_that_are_kept_are_bounded(diamond: Network) -> None:
    statement = statement_of(diamond, "r1")
    for number in range(PROOFS + 5):
        node = NodeId(number.to_bytes(32, "big"))
        signer = HashSigner(node, SECRET)
        record = msgspec.structs.replace(statement.record, node=node)
        first = sign(msgspec.structs.replace(statement, record=record), signer)
        second = sign(msgspec.structs.replace(statement, record=record, load=0.9), signer)
        diamond.inject("alice", "r2", Equivocation(first, second))
    assert len(diamond["alice"]._table.quarantine.proofs()) == PROOFS


# Farewells and complaints ---------------------------------------------------------------------------------------------


def test_no_new_route_leads_over_a_neighbour_that_said_it_goes(diamond: Network) -> None:
    diamond.inject("alice", "r1", Leave())
    diamond.run(1.0)  # its heartbeats do not bring it back
    diamond.call("alice", "bob")
    diamond.run(1.0)
    assert paths(diamond) == [("alice", "r2", "bob")]
    assert "leaving" in kinds(diamond, "alice")


def test_a_neighbour_that_came_back_with_a_new_link_is_used_again(diamond: Network) -> None:
    diamond.inject("alice", "r1", Leave())
    diamond.part("alice", "r1")
    diamond["alice"].link_down(diamond.node("r1"), diamond.instant())
    diamond.run(1.0)
    diamond.join("alice", "r1")
    diamond.run(5.0)
    diamond.call("alice", "bob")
    diamond.run(1.0)
    assert paths(diamond) == [("alice", "r1", "bob")]


@pytest.mark.parametrize("fault", list(Fault))
def test_who_sends_nonsense_is_told_once_a_second_and_answers_nothing(diamond: Network, fault: Fault) -> None:
    for _ in range(3):
        diamond["alice"].receive_invalid(diamond.node("r1"), diamond.instant(), fault)
        diamond._pump("alice")
        diamond.run(0.4)
    assert diamond["alice"].rejected[fault.value] == 3
    assert diamond.members["alice"].sent(Error) == [Error(fault)]
    diamond.run(1.0)
    assert diamond["r1"].rejected == {f"complaint: {fault.value}": 1}
    assert not diamond.members["r1"].sent(Error)
