from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from meshsim.control.client import INCOMING_SIZE, RegistryClient
from meshsim.control.http import embedded
from meshsim.control.schema import PAYLOAD_BYTES
from meshsim.control.service import RegistryService
from meshsim.identity import Ed25519Signer, HashVerifier, NodeRecord
from meshsim.mesh.errors import IdentityError, LocalProtocolError
from meshsim.mesh.ids import AuraID, NodeId, did_key

Sign = Callable[..., NodeRecord]


async def first(client: RegistryClient) -> tuple[NodeId, bytes]:
    async with asyncio.timeout(5.0):
        async for incoming in client.incoming():
            return incoming.source, incoming.payload
    raise AssertionError


async def test_nodes_register_resolve_and_exchange_payloads(signers: list[Ed25519Signer], signed: Sign) -> None:
    alice, bob = signers[:2]
    async with embedded() as url, RegistryClient(url, alice) as at_alice, RegistryClient(url, bob) as at_bob:
        await at_alice.register(signed(alice))
        await at_bob.register(signed(bob, "@bob.aura"))
        (record,) = await at_alice.resolve(AuraID("bob"))
        assert record.node_id == bob.node_id
        assert len(await at_bob.nodes()) == 2
        await at_bob.wait_online()
        await at_alice.send(record.node_id, b"offer")
        assert await first(at_bob) == (alice.node_id, b"offer")
        await at_bob.send(alice.node_id, b"answer")
        assert await first(at_alice) == (bob.node_id, b"answer")


async def test_what_the_registry_refuses_is_an_identity_error(signers: list[Ed25519Signer], signed: Sign) -> None:
    async with embedded() as url, RegistryClient(url, signers[0]) as client:
        with pytest.raises(IdentityError, match="expired"):
            await client.register(signed(signers[0], lifetime=-1.0))
        with pytest.raises(IdentityError, match="no node serves"):
            await client.resolve(AuraID("nobody"))


async def test_records_that_the_client_cannot_verify_are_dropped_and_counted(
    signers: list[Ed25519Signer], signed: Sign
) -> None:
    async with embedded() as url, RegistryClient(url, signers[0], verifier=HashVerifier(b"other")) as client:
        await client.register(signed(signers[0]))
        assert await client.nodes() == []
        assert client.malformed == 1


async def test_an_absent_recipient_is_reported(signers: list[Ed25519Signer]) -> None:
    absent: asyncio.Queue[NodeId] = asyncio.Queue()
    async with embedded() as url, RegistryClient(url, signers[0], on_undelivered=absent.put_nowait) as client:
        await client.send(signers[1].node_id, b"x")
        async with asyncio.timeout(5.0):
            assert await absent.get() == signers[1].node_id


async def test_the_client_comes_back_when_the_registry_does(signers: list[Ed25519Signer]) -> None:
    async with embedded() as url:
        port = urlsplit(url).port
        entered: list[int] = []
        client = RegistryClient(url, signers[0], on_connected=lambda: entered.append(client.connections))
        await client.__aenter__()
        await client.wait_online()
    service = RegistryService()
    async with embedded(service, port=port or 0):
        await client.wait_online()
        await client.send(signers[0].node_id, b"to myself")
        assert await first(client) == (signers[0].node_id, b"to myself")
        assert client.connections == 2
        assert entered == [1, 2]
        await client.__aexit__(None, None, None)


async def test_without_a_registry_every_request_is_a_connection_error(
    signers: list[Ed25519Signer], signed: Sign
) -> None:
    async with RegistryClient("http://127.0.0.1:9", signers[0]) as client:
        with pytest.raises(ConnectionError):
            await client.nodes()
        with pytest.raises(ConnectionError):
            await client.register(signed(signers[0]))
        with pytest.raises(ConnectionError):
            await client.wait_online(0.05)


async def test_payloads_nobody_takes_are_dropped_not_hoarded(signers: list[Ed25519Signer]) -> None:
    async with embedded() as url, RegistryClient(url, signers[0]) as client:
        extra = 5
        for number in range(INCOMING_SIZE + extra):
            await client.send(signers[0].node_id, bytes([number % 256]))
            if number % 16 == 0:
                await client.nodes()  # lets the mailbox drain: a full one would drop first
        async with asyncio.timeout(5.0):
            while client.dropped < extra:
                await client.nodes()
        assert client.dropped == extra


async def test_misuse_is_told_at_once(signers: list[Ed25519Signer]) -> None:
    with pytest.raises(LocalProtocolError, match="URL"):
        RegistryClient("127.0.0.1:8420", signers[0])
    async with RegistryClient("http://127.0.0.1:9", signers[0]) as client:
        with pytest.raises(LocalProtocolError, match="at most"):
            await client.send(signers[1].node_id, bytes(PAYLOAD_BYTES + 1))


async def test_a_beat_keeps_a_node_online_and_is_no_malformed_frame(signers: list[Ed25519Signer]) -> None:
    now = 0.0
    service = RegistryService(steady=lambda: now)
    async with embedded(service) as url, RegistryClient(url, signers[0]) as client:
        with pytest.raises(ConnectionError):
            await client.beat()
        await client.wait_online()
        now = 40.0
        assert not service.presence()[0].online
        await client.beat()
        async with asyncio.timeout(5.0):
            while service.presence()[0].silent:  # noqa: ASYNC110 - the registry has no event for it
                await asyncio.sleep(0.001)
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            told = (await http.get("/v1/presence")).json()
    assert told == [{"node": did_key(signers[0].node_id), "online": True, "silent_seconds": 0.0}]
    assert service.malformed == 0
