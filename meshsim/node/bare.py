"""Two peer connections of aiortc and nothing of ours: what links are held against."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiortc import RTCConfiguration, RTCPeerConnection

from meshsim.node.sockets import gather_on
from meshsim.node.traffic import Traffic

if TYPE_CHECKING:
    from aiortc import RTCDataChannel

CONNECT_TIMEOUT = 30.0
LOOPBACK = ("127.0.0.1",)


@dataclass(frozen=True, slots=True)
class Bare:
    """Both ends of one connection with one data channel, reliable and unordered, on loopback.

    Attributes:
        ends: The one that offered, the one that answered.
        channels: Theirs.
    """

    ends: tuple[RTCPeerConnection, RTCPeerConnection]
    channels: tuple[RTCDataChannel, RTCDataChannel]

    @classmethod
    async def connect(cls) -> Bare:
        """Connects within this process; back when the channel is open.

        Raises:
            TimeoutError: If it does not open.
        """
        one, other = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
        channels = tuple(end.createDataChannel("bare", negotiated=True, id=0, ordered=False) for end in (one, other))
        opened = asyncio.Event()
        channels[0].on("open", opened.set)
        with gather_on(LOOPBACK, Traffic()):
            await one.setLocalDescription(await one.createOffer())
            await other.setRemoteDescription(one.localDescription)
            await other.setLocalDescription(await other.createAnswer())
        await one.setRemoteDescription(other.localDescription)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await opened.wait()
        return cls((one, other), (channels[0], channels[1]))

    async def close(self) -> None:
        """Closes both ends."""
        for end in self.ends:
            await end.close()
