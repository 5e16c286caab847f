from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from meshsim.control.http import CLOSE_POLICY, MALFORMED_LIMIT, embedded
from meshsim.control.schema import (
    RECORD_BYTES,
    SOCKET_BYTES,
    Challenge,
    Delivery,
    Envelope,
    Hello,
    Undelivered,
    Welcome,
    decode_server_frame,
    encode_frame,
    proof,
    record_to_json,
    records_from_json,
)
from meshsim.control.service import RegistryService
from meshsim.identity import Ed25519Signer, NodeRecord

Sign = Callable[..., NodeRecord]


@pytest.fixture
def service() -> RegistryService:
    return RegistryService()


@pytest.fixture
async def url(service: RegistryService) -> AsyncIterator[str]:
    async with embedded(service) as address:
        yield address


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


def dial(url: str) -> connect:
    return connect(url.replace("http", "ws") + "/v1/rendezvous", proxy=None)


async def enter(socket: ClientConnection, signer: Ed25519Signer) -> None:
    challenge = decode_server_frame(await socket.recv())
    assert isinstance(challenge, Challenge)
    await socket.send(encode_frame(Hello(signer.node_id, signer.sign(proof(challenge.nonce)))))
    assert decode_server_frame(await socket.recv()) == Welcome()


async def close_code(socket: ClientConnection) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        async for _ in socket:
            continue
    return socket.close_code


async def test_a_posted_node_is_listed_and_resolved(
    http: httpx.AsyncClient, signers: list[Ed25519Signer], signed: Sign
) -> None:
    record = signed(signers[0])
    assert (await http.post("/v1/nodes", content=record_to_json(record))).status_code == 204
    assert records_from_json((await http.get("/v1/nodes")).content) == (record,)
    assert records_from_json((await http.get("/v1/resolve/@Alice.aura")).content) == (record,)
    assert (await http.get("/healthz")).json() == {"status": "ok", "nodes": 1, "connected": 0, "online": 0}


async def test_bad_posts_are_refused_with_a_reason(
    http: httpx.AsyncClient, service: RegistryService, signers: list[Ed25519Signer], signed: Sign
) -> None:
    forged = record_to_json(signed(signers[0])).replace(b"@alice.aura", b"@bobby.aura")
    replies = [
        await http.post("/v1/nodes", content=body) for body in (b"{}", b"\xff", b" " * (RECORD_BYTES + 1), forged)
    ]
    assert [reply.status_code for reply in replies] == [422, 422, 422, 403]
    assert "not signed" in replies[3].json()["error"]
    assert service.malformed == 3
    assert service.nodes() == ()


async def test_resolving_says_unknown_or_not_a_name(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/resolve/@nobody.aura")).status_code == 404
    assert (await http.get("/v1/resolve/nobody")).status_code == 422


async def test_the_rendezvous_carries_envelopes_between_nodes(url: str, signers: list[Ed25519Signer]) -> None:
    async with dial(url) as alice, dial(url) as bob:
        await enter(alice, signers[0])
        await enter(bob, signers[1])
        await alice.send(encode_frame(Envelope(signers[1].node_id, b"offer")))
        assert decode_server_frame(await bob.recv()) == Delivery(signers[0].node_id, b"offer")
        await alice.send(encode_frame(Envelope(signers[2].node_id, b"offer")))
        assert decode_server_frame(await alice.recv()) == Undelivered(signers[2].node_id)


async def test_a_wrong_signature_ends_the_connection(
    url: str, service: RegistryService, signers: list[Ed25519Signer]
) -> None:
    async with dial(url) as eve:
        await eve.recv()
        await eve.send(encode_frame(Hello(signers[0].node_id, bytes(64))))
        assert await close_code(eve) == CLOSE_POLICY
    assert service.connected == 0
    assert service.malformed == 1


async def test_an_envelope_before_the_hello_ends_the_connection(url: str, signers: list[Ed25519Signer]) -> None:
    async with dial(url) as eve:
        await eve.send(encode_frame(Envelope(signers[0].node_id, b"x")))
        assert await close_code(eve) == CLOSE_POLICY


async def test_malformed_frames_are_counted_dropped_and_in_the_end_close(
    url: str, service: RegistryService, signers: list[Ed25519Signer]
) -> None:
    async with dial(url) as eve, dial(url) as bob:
        await enter(eve, signers[0])
        await enter(bob, signers[1])
        for frame in (b"\xff", "text")[: MALFORMED_LIMIT - 1]:
            await eve.send(frame)
        await eve.send(encode_frame(Envelope(signers[1].node_id, b"still here")))
        assert decode_server_frame(await bob.recv()) == Delivery(signers[0].node_id, b"still here")
        await eve.send(encode_frame(Hello(signers[0].node_id, b"")))
        assert await close_code(eve) == CLOSE_POLICY
        assert service.malformed == MALFORMED_LIMIT


async def test_a_frame_that_is_too_long_ends_the_connection(url: str, signers: list[Ed25519Signer]) -> None:
    async with dial(url) as eve:
        await enter(eve, signers[0])
        await eve.send(bytes(SOCKET_BYTES + 1))
        assert await close_code(eve) == 1009


async def test_a_second_connection_of_a_node_closes_the_first(url: str, signers: list[Ed25519Signer]) -> None:
    async with dial(url) as first, dial(url) as second:
        await enter(first, signers[0])
        await enter(second, signers[0])
        assert await close_code(first) == CLOSE_POLICY


def test_serve_listens_and_ends_when_interrupted() -> None:
    script = (
        "import httpx, os, signal, sys, threading\n"
        "from meshsim.control.http import serve\n"
        "def ready(url):\n"
        "    def ask():\n"
        "        print(httpx.get(url + '/healthz', trust_env=False).json()['status'])\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    threading.Thread(target=ask).start()\n"
        "try:\n"
        "    serve(port=0, ready=ready)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["ok", "interrupted"]


async def test_a_node_too_many_is_refused_as_forbidden(signers: list[Ed25519Signer], signed: Sign) -> None:
    async with embedded(RegistryService(capacity=1)) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        replies = [await http.post("/v1/nodes", content=record_to_json(signed(signer))) for signer in signers[:2]]
    assert [reply.status_code for reply in replies] == [204, 403]
    assert "full" in replies[1].text
