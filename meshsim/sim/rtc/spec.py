"""What two ends send each other, and how they repair and pace it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import WIRE_OVERHEAD_BYTES, MediaType, demand
from meshsim.sim.rtc.opus import FRAME, Opus
from meshsim.sim.rtc.packet import EXTENSION_BYTES, UDP_IP_BYTES
from meshsim.sim.rtc.video import Video, repair_share, wire_share

MOST_GROUP = 255
"""Packets that a row of FlexFEC can protect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A transfer: pieces sent until each has arrived.

    Attributes:
        size: Bytes to bring over; infinite never ends.
        rate: Most bits per second on the wire.
        piece: Bytes of a packet on the wire, without header extension.
    """

    size: float = math.inf
    rate: float = demand(MediaType.DATA).rate_bps
    piece: int = int(demand(MediaType.DATA).packet_bytes)

    def __post_init__(self) -> None:
        if self.size <= 0 or self.rate <= 0 or self.piece <= 2 * UDP_IP_BYTES:
            raise ConfigError(f"not a transfer: {self}", key="data")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """What each of two ends sends.

    Attributes:
        audio: Speech.
        video: Pictures.
        data: A transfer.
        nack: Whether lost packets of video are asked for and sent again (RFC 4585, RFC 4588).
        fec: Packets of audio and of video that are protected by one more; 0 protects none.
        feedback_period: Seconds between transport-wide feedback; 0 for none, which leaves the rate as it starts.
        lip_sync: Whether speech waits for the picture, so that lips keep in step.
        start_rate: First target, bits per second on the wire; by default all that the media ask for.

    Raises:
        ConfigError: If nothing is sent, data have no feedback, or a number is out of range.
    """

    audio: Opus | None = None
    video: Video | None = None
    data: Data | None = None
    nack: bool = True
    fec: int = 0
    feedback_period: float = 0.1
    lip_sync: bool = True
    start_rate: float | None = None

    def __post_init__(self) -> None:
        if self.audio is None and self.video is None and self.data is None:
            raise ConfigError("a session sends something", key="session", allowed=["audio", "video", "data"])
        if self.data is not None and self.feedback_period <= 0.0:
            raise ConfigError("data need feedback to know what arrived", key="feedback_period", allowed=["> 0"])
        if not 0 <= self.fec <= MOST_GROUP:
            raise ConfigError(f"out of range: {self.fec}", key="fec", allowed=[f"0 to {MOST_GROUP}"])

    @property
    def extended(self) -> bool:
        """Whether packets carry transport-wide numbers."""
        return self.feedback_period > 0.0

    @property
    def audio_rate(self) -> float:
        """Bits per second of speech on the wire, repair included."""
        if self.audio is None:
            return 0.0
        overhead = WIRE_OVERHEAD_BYTES + (EXTENSION_BYTES if self.extended else 0)
        return (self.audio.bitrate + 8.0 * overhead / FRAME) * repair_share(self.fec)

    @property
    def video_cost(self) -> float:
        """Bits on the wire for each bit of video, repair included."""
        return repair_share(self.fec) / wire_share()

    @property
    def rate(self) -> float:
        """Bits per second on the wire that the media ask for."""
        video = self.video
        pictures = 0.0 if video is None else (video.layers[-1] if video.layers else video.bitrate)
        transfer = 0.0 if self.data is None else self.data.rate
        return self.audio_rate + pictures * self.video_cost + transfer


SPECS = {
    MediaType.AUDIO: SessionSpec(audio=Opus(), feedback_period=0.0),
    MediaType.AUDIO_VIDEO: SessionSpec(audio=Opus(), video=Video()),
    MediaType.DATA: SessionSpec(data=Data()),
}
"""A session of each type of media, with the rates of `mesh.media`."""
