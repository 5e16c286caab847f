"""Video between peer connections of aiortc and nothing of ours but the picture: what a relay's work is held against."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack, asynccontextmanager
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError

from meshsim.node.bare import CONNECT_TIMEOUT, LOOPBACK
from meshsim.node.rtp import VIDEO_CLOCK_RATE
from meshsim.node.sockets import gather_on
from meshsim.node.traffic import Traffic
from meshsim.node.video import BITS, FRAMES_PER_SECOND, TICKS, colourless, picture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class _Pictures(MediaStreamTrack):
    """The deterministic pictures of `node.video`, at the same pace."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._count, self._began = 0, time.monotonic()

    async def recv(self) -> av.VideoFrame:
        """The next picture, when it is due."""
        await asyncio.sleep(max(0.0, self._began + self._count / FRAMES_PER_SECOND - time.monotonic()))
        frame = av.VideoFrame.from_ndarray(colourless(picture(self._count % (1 << BITS))), format="yuv420p")
        frame.pts, frame.time_base = self._count * TICKS, Fraction(1, VIDEO_CLOCK_RATE)
        self._count += 1
        return frame


class BareVideo:
    """One video from a sender to a receiver, directly or by way of a third with aiortc's MediaRelay.

    Encoders begin at aiortc's 500 kbit/s and go where its own rate control tells them.

    Attributes:
        shown: Pictures that the receiver has decoded.
        traffic: Datagrams of the last connection, of both its ends.
    """

    def __init__(self) -> None:
        self.shown = 0
        self.traffic = Traffic()
        self._began = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def connected(cls, *, relayed: bool) -> AsyncIterator[BareVideo]:
        """Pictures flow within the block.

        Args:
            relayed: Whether by way of a third.

        Raises:
            TimeoutError: If no picture comes.
        """
        video = cls()
        async with AsyncExitStack() as stack:
            track: MediaStreamTrack = _Pictures()
            stack.callback(track.stop)
            if relayed:
                track = MediaRelay().subscribe(await _hop(stack, track, Traffic()))
            watching = asyncio.create_task(video._watch(await _hop(stack, track, video.traffic)))
            stack.callback(watching.cancel)
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await video._began.wait()
            yield video

    async def _watch(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                self.shown += 1
                self._began.set()


async def _hop(stack: AsyncExitStack, track: MediaStreamTrack, traffic: Traffic) -> MediaStreamTrack:
    """Sends `track` over a connection of its own, counted in `traffic`; what comes out at the other end."""
    one, other = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    stack.push_async_callback(other.close)
    stack.push_async_callback(one.close)
    came: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
    other.on("track", came.set_result)
    sender = one.addTrack(track)
    vp8 = [codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.mimeType == "video/VP8"]
    next(one for one in one.getTransceivers() if one.sender is sender).setCodecPreferences(vp8)
    with gather_on(LOOPBACK, traffic):
        await one.setLocalDescription(await one.createOffer())
        await other.setRemoteDescription(one.localDescription)
        await other.setLocalDescription(await other.createAnswer())
    await one.setRemoteDescription(other.localDescription)
    async with asyncio.timeout(CONNECT_TIMEOUT):
        return await came
