from __future__ import annotations

import pytest

from meshsim.identity import Ed25519Signer, NodeRecord, sign_record
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID
from meshsim.node import names
from meshsim.node.names import Names

BOB = AuraID.parse("@bob.aura")
SIGNERS = tuple(Ed25519Signer.from_seed(bytes([number]) * 32) for number in range(1, 4))
NOW = 1_000_000.0


def record(which: int, aura: str, expires: float = NOW + 60.0) -> NodeRecord:
    signer = SIGNERS[which]
    return sign_record(NodeRecord(node=signer.node_id, aura=aura, role="peer", expires_unix=expires), signer)


class World:
    """A registry that can be gone, and a mesh."""

    def __init__(self, *known: NodeRecord) -> None:
        self.answers: dict[AuraID, list[NodeRecord]] = {}
        self.gone = False
        self.now = NOW
        self.names = Names(self.ask, lambda: known, clock=lambda: self.now)

    async def ask(self, aura: AuraID) -> list[NodeRecord]:
        if self.gone:
            raise ConnectionError("the registry cannot be reached")
        if aura not in self.answers:
            raise IdentityError(f"no node serves {aura}")
        return self.answers[aura]


async def test_the_registry_says_who_bears_a_name_and_nobody_else_while_it_is_there() -> None:
    world = World(record(1, "@bob.aura"))
    with pytest.raises(IdentityError, match="no node serves"):
        await world.names.resolve(BOB)
    world.answers[BOB] = [record(0, "@bob.aura")]
    assert await world.names.resolve(BOB) == [record(0, "@bob.aura")]


async def test_without_the_registry_its_last_answer_counts_before_what_the_mesh_says() -> None:
    world = World(record(1, "@bob.aura"))
    world.answers[BOB] = [record(0, "@bob.aura")]
    await world.names.resolve(BOB)
    world.gone = True
    assert await world.names.resolve(BOB) == [record(0, "@bob.aura")]
    world.now = NOW + 59.0
    assert len(await world.names.resolve(BOB)) == 1
    world.now = NOW + 61.0
    with pytest.raises(IdentityError, match="0 nodes"):
        await world.names.resolve(BOB)


async def test_without_the_registry_a_name_that_one_node_bears_is_that_nodes() -> None:
    world = World(record(0, "@bob.aura"), record(1, "@carol.aura"))
    world.gone = True
    assert await world.names.resolve(BOB) == [record(0, "@bob.aura")]


async def test_a_name_that_two_nodes_bear_is_nobodys_without_the_registry() -> None:
    world = World(record(0, "@bob.aura"), record(1, "@bob.aura"))
    world.gone = True
    with pytest.raises(IdentityError, match="2 nodes of the mesh bear"):
        await world.names.resolve(BOB)
    with pytest.raises(IdentityError, match="cannot be resolved"):
        await world.names.resolve(AuraID.parse("@bob.aura:example.org"))


async def test_only_so_many_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "REMEMBERED_MOST", 1)
    world = World()
    carol = AuraID.parse("@carol.aura")
    world.answers = {BOB: [record(0, "@bob.aura")], carol: [record(1, "@carol.aura")]}
    await world.names.resolve(BOB)
    await world.names.resolve(carol)
    world.gone = True
    assert await world.names.resolve(carol)
    with pytest.raises(IdentityError, match="0 nodes"):
        await world.names.resolve(BOB)
