from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.node.handshake import Handshake
from meshsim.node.traffic import Traffic
from meshsim.node.transport import LinkConfig, LinkHandlers, PeerLink

Pair = Callable[..., Awaitable[tuple[PeerLink, PeerLink]]]

DIALLER, ACCEPTOR = (Ed25519Signer.from_seed(bytes([number]) * 32) for number in (91, 92))


def make_handshake(own: Ed25519Signer = DIALLER, peer: Ed25519Signer = ACCEPTOR) -> Handshake:
    return Handshake(own, Ed25519Verifier(), peer.node_id)


async def connect_pair(
    handlers: tuple[LinkHandlers, LinkHandlers] | None = None,
    configs: tuple[LinkConfig, LinkConfig] | None = None,
    traffic: tuple[Traffic, Traffic] | None = None,
    handshakes: tuple[Handshake, Handshake] | None = None,
) -> tuple[PeerLink, PeerLink]:
    """Two ends of one link in this process: the one that dialled and the one that accepted."""
    offer, answer = asyncio.Queue[str](), asyncio.Queue[str]()
    handlers = handlers or (LinkHandlers(), LinkHandlers())
    configs = configs or (LinkConfig(), LinkConfig())
    traffic = traffic or (Traffic(), Traffic())
    handshakes = handshakes or (make_handshake(), make_handshake(ACCEPTOR, DIALLER))

    async def exchange(sdp: str) -> str:
        await offer.put(sdp)
        return await answer.get()

    async def accept() -> PeerLink:
        return await PeerLink.accept(
            await offer.get(), answer.put, handshakes[1], handlers=handlers[1], config=configs[1], traffic=traffic[1]
        )

    async with asyncio.TaskGroup() as group:
        dialled = group.create_task(
            PeerLink.dial(exchange, handshakes[0], handlers=handlers[0], config=configs[0], traffic=traffic[0])
        )
        accepted = group.create_task(accept())
    return dialled.result(), accepted.result()


@pytest.fixture
def pair() -> Pair:
    return connect_pair


@pytest.fixture
def handshake() -> Handshake:
    return make_handshake()
