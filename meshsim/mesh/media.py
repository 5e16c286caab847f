"""What a call carries and what it asks of a path: media types, demand, the AIC codec profile."""

from __future__ import annotations

from dataclasses import dataclass
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
    """The AIC codec as a constraint plus a profile: what it saves and what it costs.

    Attributes:
        enabled: Whether it is applied.
        mode: `adaptive` or `fixed`.
        target_compression_ratio: Share of media bits saved, in [0, 1); 0.8 is an assumption of the brief.
    """

    enabled: bool = False
    mode: str = "adaptive"
    target_compression_ratio: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.target_compression_ratio < 1:
            raise ValueError(f"compression ratio must be in [0, 1): {self.target_compression_ratio}")


def demand(media: MediaType) -> Demand:
    """What `media` asks of each link.

    >>> demand(MediaType.AUDIO).rate_bps
    44000.0
    """
    return _DEMANDS[media]
