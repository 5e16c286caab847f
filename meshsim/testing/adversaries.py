"""The contract of a misbehaviour, as tests: subclass `AdversaryContract` and say by which name it is registered.

class TestMine(AdversaryContract):
    kind = "mine"
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, ClassVar

from meshsim.agent import AgentConfig
from meshsim.agent.adversary import HashMint, Means, interceptors
from meshsim.identity import HashSigner
from meshsim.mesh.ids import NodeId
from meshsim.mesh.seeds import SeedTree
from meshsim.testing.network import SECRET, Network

if TYPE_CHECKING:
    from meshsim.agent.adversary import Interceptor

MEMBERS = ("alice", "bob", "r1", "r2")
"""Who is in the network of the contract: two ends that need a relay, a fast relay, and a slow one."""

SIGNERS = {name: HashSigner(NodeId(bytes([i + 1]) * 32), SECRET) for i, name in enumerate(MEMBERS)}
"""The keys that `Network` gives its members, by name."""


class AdversaryContract:
    """What every misbehaviour promises.

    Attributes:
        kind: Its name in `meshsim.agent.adversary.adversaries`.
    """

    kind: ClassVar[str]

    def make(self, who: str, strength: float) -> tuple[Interceptor, ...]:
        """The misbehaviour of the member `who`, whose friend is the slow relay."""
        means = Means(
            strength=strength,
            stream=SeedTree(3).stream("adversary"),
            signer=SIGNERS[who],
            mint=HashMint(who.encode(), SECRET),
            friends=frozenset({SIGNERS["r2"].node_id}),
        )
        return interceptors((self.kind,), means)

    def test_strength_0_leaves_everything_identical(self) -> None:
        """Whoever misbehaves, an end of a call or its relay: nobody does or hears anything else."""
        honest = life(mesh())
        for who in ("alice", "r1"):
            assert life(mesh({who: self.make(who, 0.0)})) == honest

    def test_it_is_plain_data_like_the_agent(self) -> None:
        """It is saved with an episode, and a copy does what it does."""
        for who in ("alice", "r1"):
            kept = pickle.loads(pickle.dumps(self.make(who, 0.7)))  # noqa: S301 - just pickled
            assert life(mesh({who: kept})) == life(mesh({who: self.make(who, 0.7)}))


def mesh(misbehaving: dict[str, tuple[Interceptor, ...]] | None = None) -> Network:
    """The network of the contract, settled; some members misbehave."""
    net, bad = Network(), misbehaving or {}
    config = AgentConfig(digest_period=2.0, probe_period=1.0)
    for name in MEMBERS:
        relays = name.startswith("r")
        nat, role = ("open", "relay") if relays else ("symmetric", "peer")
        net.add(name, nat=nat, role=role, config=config, interceptors=bad.get(name, ()))
    for name, delay in (("r1", 0.02), ("r2", 0.04)):
        net.join("alice", name, delay)
        net.join("bob", name, delay)
    net.run(5.0)
    return net


def life(net: Network) -> list[str]:
    """A call, hung up, until it has been judged: everything that every node did, samples of routes aside."""
    call = net.call("alice", "bob")
    net.run(4.0)
    net.hang_up("alice", call)
    net.run(15.0)
    told = ((name, at, str(effect)) for name, member in net.members.items() for at, effect in member.log)
    return [f"{name} {at} {effect}" for name, at, effect in told if "RouteSample" not in effect]
