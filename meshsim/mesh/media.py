"""What a call carries and what it asks of a path: media types, demand, the AIC codec profile."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

WIRE_OVERHEAD_BYTES = 50
"""Bytes around each media payload: RTP + UDP + IPv4 + SRTP tag."""


class MediaType(StrEnum):
    """What flows between the two ends of a call."""

    AUDIO = "audio"
    AUDIO_VIDEO = "audio_video"
    DATA = "data"


class AicPolicy(StrEnum):
    """How a request treats AIC: ignore it, take it where every hop has it, or insist."""

    OFF = "off"
    PREFER = "prefer"
    REQUIRE = "require"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What one direction of a call puts on every link of its path.

    Attributes:
        rate_bps: Bits per second on the wire, headers included.
        packet_bytes: Mean packet on the wire, bytes.
        max_hops: Most links a path may have.
        lowest: Share of the rate that is left when media adapt to congestion as far as they can.
    """

    rate_bps: float
    packet_bytes: float
    max_hops: int
    lowest: float = 1.0

    def __post_init__(self) -> None:
        if self.rate_bps <= 0 or self.packet_bytes <= 0 or self.max_hops < 1 or not 0 < self.lowest <= 1:
            raise ValueError(f"a demand is positive: {self}")

    @property
    def packets_per_second(self) -> float:
        """Mean packets per second."""
        return self.rate_bps / (8.0 * self.packet_bytes)


def _wire_rate(payload_bps: float, packets_per_second: float) -> float:
    return payload_bps + 8 * WIRE_OVERHEAD_BYTES * packets_per_second


VOICE_RATE, VIDEO_RATE = 24e3, 1e6
"""Bits per second of coded media: Opus, and the video beside it."""

_VOICE_PACKETS, _VIDEO_PAYLOAD = 50.0, 1100
VOICE_WIRE_RATE = _wire_rate(VOICE_RATE, _VOICE_PACKETS)
VIDEO_WIRE_RATE = _wire_rate(VIDEO_RATE, VIDEO_RATE / (8 * _VIDEO_PAYLOAD))
"""The same on the wire, headers included."""

_DEMANDS = {
    # Opus 24 kbit/s in 20 ms packets
    MediaType.AUDIO: Demand(rate_bps=VOICE_WIRE_RATE, packet_bytes=60 + WIRE_OVERHEAD_BYTES, max_hops=3),
    # Opus plus 1 Mbit/s of video in 1,100-byte payloads; video goes down to about 120 kbit/s
    MediaType.AUDIO_VIDEO: Demand(
        rate_bps=VOICE_WIRE_RATE + VIDEO_WIRE_RATE, packet_bytes=850, max_hops=3, lowest=0.15
    ),
    MediaType.DATA: Demand(rate_bps=256e3, packet_bytes=1200, max_hops=5, lowest=0.1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AicProfile:
    """The AIC codec as a profile: what it saves of coded media, and what it costs. Headers are never compressed.

    Attributes:
        name: Short name.
        voice_saving: Share of the bits of voice saved, in [0, 1).
        video_saving: Share of the bits of video saved, in [0, 1).
        delay: Algorithmic delay added one way, seconds.
        quality_cost: What the codec takes from the MOS of the call, on the scale of its media.
        cpu: Seconds of one core per second of call, at each end; NaN where it takes an accelerator or nobody measured.
    """

    name: str
    voice_saving: float
    video_saving: float
    delay: float
    quality_cost: float
    cpu: float = math.nan

    def __post_init__(self) -> None:
        if not 0 <= self.voice_saving < 1 or not 0 <= self.video_saving < 1:
            raise ValueError(f"an AIC codec saves shares in [0, 1): {self}")
        if self.delay < 0 or self.quality_cost < 0:
            raise ValueError(f"an AIC codec neither gains time nor quality: {self}")

    def saves(self, media: MediaType) -> bool:
        """Whether calls of `media` have anything that it saves."""
        return self.saved_bps(media) > 0.0

    def saved_bps(self, media: MediaType) -> float:
        """Bits per second that it takes off a call of `media` at full rate, one direction.

        >>> PROFILES["lyra"].saved_bps(MediaType.AUDIO)
        18000.0
        """
        voice = self.voice_saving * VOICE_RATE if media is not MediaType.DATA else 0.0
        return voice + (self.video_saving * VIDEO_RATE if media is MediaType.AUDIO_VIDEO else 0.0)

    def compressed(self, media: MediaType) -> Demand:
        """What a call of `media` puts on each link with AIC: as many packets, of fewer bytes.

        >>> PROFILES["lyra"].compressed(MediaType.AUDIO).rate_bps
        26000.0
        """
        plain = _DEMANDS[media]
        rate = plain.rate_bps - self.saved_bps(media)
        return replace(plain, rate_bps=rate, packet_bytes=plain.packet_bytes * rate / plain.rate_bps)


PROFILES = {
    profile.name: profile
    for profile in (
        AicProfile(name="brief", voice_saving=0.8, video_saving=0.8, delay=0.020, quality_cost=0.0),
        AicProfile(name="lyra", voice_saving=0.75, video_saving=0.0, delay=0.020, quality_cost=0.3, cpu=0.0285),
        AicProfile(name="gfvc", voice_saving=0.0, video_saving=0.9, delay=0.100, quality_cost=0.3),
        AicProfile(name="neural_video", voice_saving=0.0, video_saving=0.2, delay=0.100, quality_cost=0.0),
    )
}
"""AIC codecs by name, each with its evidence.

`brief`: the brief's 80 %, an assumption; it names no costs, so one frame of 20 ms is all that is charged.

`lyra`: Lyra V2 at 6 kbit/s instead of Opus at 24, judged equal to Opus at 13 by its makers (Google Open Source Blog,
2022-09-30); 20 ms of algorithmic delay, .57 ms of one core per 20 ms frame on a Pixel 6. Opus at 13 kbit/s is .3 MOS
below flawless wide band by ITU-T G.107.1. With headers that saves 41 % of the wire, not 75.

`gfvc`: generative face video coding, an order of magnitude below engineered codecs by claims of vendors and
researchers, for talking heads only and on an accelerator; 100 ms, and .3 MOS for faces that are not quite the
speaker's, are ours.

`neural_video`: learned codecs of any picture, 10 to 30 % below VVC at the same quality, not in real time on phones.
"""


def demand(media: MediaType) -> Demand:
    """What `media` asks of each link.

    >>> demand(MediaType.AUDIO).rate_bps
    44000.0
    """
    return _DEMANDS[media]
