"""A relay in a process of its own: `python relay.py '<json>'`. Accepts links, forwards RTP, tells its counts."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.control.client import RegistryClient
from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.mesh.ids import NodeId
from meshsim.node.emulation import EmulatorClient
from meshsim.node.neighbours import NeighbourHandlers, Neighbours
from meshsim.node.rtp import Forwarder
from meshsim.node.traffic import TrafficBook

if TYPE_CHECKING:
    from meshsim.agent import Channel


class Relay:
    """Forwards the flows it was told of; answers `stats` with what it forwarded and how many codecs it holds."""

    def __init__(self, flows: list[tuple[int, str, str]]) -> None:
        self.neighbours: Neighbours | None = None
        self.forwarder: Forwarder[NodeId] = Forwarder(self._send)
        for ssrc, source, out in flows:
            self.forwarder.add(ssrc, NodeId(bytes.fromhex(source)), NodeId(bytes.fromhex(out)))

    def _send(self, peer: NodeId, packet: bytes) -> bool:
        return self.neighbours is not None and self.neighbours.send_media(peer, packet)

    def take_media(self, peer: NodeId, packet: bytes) -> None:
        self.forwarder.forward(peer, packet)

    def take_message(self, peer: NodeId, channel: Channel, data: bytes) -> None:
        if self.neighbours is not None:
            self.neighbours.send(peer, channel, self._stats() if data == b"stats" else data)

    def _stats(self) -> bytes:
        loaded = "meshsim.node.audio" in sys.modules
        from meshsim.node.audio import count_codecs  # noqa: PLC0415 - the question alone loads it

        forwarded = sum(hop.forwarded for hop in self.forwarder.hops.values())
        return json.dumps({"forwarded": forwarded, "codecs": count_codecs(), "audio_loaded": loaded}).encode()


async def main(given: dict[str, object]) -> None:
    signer = Ed25519Signer.from_seed(bytes.fromhex(str(given["seed"])))
    relay = Relay([tuple(flow) for flow in given["flows"]])  # type: ignore[attr-defined]
    emulator = await EmulatorClient.connect(*given["emulator"])  # type: ignore[misc]
    async with RegistryClient(str(given["registry"]), signer) as client:
        relay.neighbours = Neighbours(
            client,
            signer,
            Ed25519Verifier(),
            handlers=NeighbourHandlers(on_media=relay.take_media, on_message=relay.take_message),
            emulator=emulator,
            traffic=TrafficBook(Path(str(given["traffic"]))),
        )
        await client.wait_online()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await relay.neighbours.run()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
