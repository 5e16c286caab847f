"""Which calls that come in are answered, and with which words the others are not."""

from __future__ import annotations

from meshsim.agent import AgentConfig, CallSample
from meshsim.testing.network import Network


def ended(network: Network, name: str) -> list[tuple[str, str]]:
    """Outcome and reason of the calls of a member that ended."""
    return [(sample.outcome, sample.reason) for sample in network.members[name].samples(CallSample)]


def pair(callers: tuple[str, ...] = ()) -> Network:
    """Alice and Bob, who answers `callers` alone."""
    network = Network()
    network.add("alice")
    network.add("bob", config=AgentConfig(callers=callers))
    network.join("alice", "bob")
    network.run(1.0)
    return network


def test_who_is_not_named_is_declined_and_who_is_is_answered() -> None:
    for callers, outcome in (
        (("carol",), ("failed", "declined")),
        (("alice", "carol"), ("completed", "")),
        ((), ("completed", "")),
    ):
        network = pair(callers)
        call = network.call("alice", "bob")
        network.run(1.0)
        network.hang_up("alice", call)
        network.run(1.0)
        assert ended(network, "alice") == [outcome]


def test_a_node_that_leaves_answers_nobody_though_it_is_still_there() -> None:
    network = pair()
    call = network.call("alice", "bob")  # asked for before its goodbye is heard
    network["bob"].leave(network.instant())
    network.run(3.0)
    assert ended(network, "alice") == [("failed", "not here")]
    assert network["bob"].call_state(call) == "ended"
