"""What crosses a path in a session: RTP packets and RTCP compounds, with the sizes they have on the wire."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

from meshsim.mesh.media import WIRE_OVERHEAD_BYTES

AUDIO_CLOCK, VIDEO_CLOCK = 48_000, 90_000
"""RTP timestamp units per second: of Opus (RFC 7587, section 4.1), and of video and all that repairs it."""

EXTENSION_BYTES = 8
"""Header extension with the transport-wide number: 4 bytes of header (RFC 8285), 3 of element, 1 of padding."""

RTP_BYTES, UDP_IP_BYTES = 12, 28
RTX_BYTES = 2
"""Original sequence number before a retransmitted payload (RFC 4588, section 4)."""

FEC_BYTES = 16
"""CSRC of the protected source and the FEC header with fixed offsets (RFC 8627, section 4.2.2.3)."""

DATA_BYTES = 4
"""Number of the piece before its bytes."""

SRTP_TAG_BYTES = WIRE_OVERHEAD_BYTES - RTP_BYTES - UDP_IP_BYTES
SRTCP_BYTES = 14
"""Index and tag that SRTCP adds to a compound (RFC 3711, section 3.4)."""


class Kind(IntEnum):
    """What a packet is for; its RTP payload type is `PAYLOAD_TYPE`."""

    AUDIO = 0
    VIDEO = 1
    RTX = 2
    FEC = 3
    DATA = 4
    RTCP = 5


PAYLOAD_TYPE = {Kind.AUDIO: 111, Kind.VIDEO: 96, Kind.RTX: 97, Kind.FEC: 98, Kind.DATA: 100}
"""Dynamic payload types (RFC 3551, section 3); those of audio and video are the ones browsers propose."""


class Piece(NamedTuple):
    """One packet's place in a video frame.

    Attributes:
        frame: Number of the frame, from 0, over all layers.
        part: Of the packet in the frame.
        parts: Packets of the frame.
        key: Whether the frame can be decoded by itself.
        captured: When the frame was taken, seconds.
    """

    frame: int
    part: int
    parts: int
    key: bool
    captured: float


class Packet:
    """One packet.

    Attributes:
        kind: What it is for.
        ssrc: Its source.
        seq: Sequence number, counted on beyond 16 bits.
        timestamp: RTP timestamp, counted on beyond 32 bits.
        marker: First of a talk spurt, last of a video frame.
        payload: Bytes of payload, repair headers included.
        size: Bytes on the wire: IP, UDP, RTP, payload and the tag of SRTP.
        transport: Transport-wide number, -1 without.
        body: Audio: index of the frame. Video: a `Piece`. RTX: the packet sent again. FEC: the packets protected.
            Data: number of the piece. RTCP: a `Compound`.
        sent: When it set out last, seconds.
        hop: Links of its route that it has crossed.
    """

    __slots__ = ("body", "hop", "kind", "marker", "payload", "sent", "seq", "size", "ssrc", "timestamp", "transport")

    def __init__(
        self, kind: Kind, ssrc: int, seq: int, timestamp: int, payload: int, body: Any, *, marker: bool = False
    ) -> None:
        self.kind, self.ssrc, self.seq, self.timestamp = kind, ssrc, seq, timestamp
        self.marker, self.payload, self.body = marker, payload, body
        overhead = UDP_IP_BYTES + SRTCP_BYTES if kind == Kind.RTCP else WIRE_OVERHEAD_BYTES
        self.size = overhead + payload
        self.transport, self.sent, self.hop = -1, 0.0, 0

    def number(self, transport: int) -> None:
        """Gives the packet a transport-wide number, which it carries in a header extension."""
        if self.transport < 0:
            self.size += EXTENSION_BYTES
        self.transport = transport
