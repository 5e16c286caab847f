"""Media on the wire: RTP packets with a send time, the port that carries them over DTLS, the relay's table.

Media ride the DTLS transport of the data channels as SRTP (aiortc negotiates an SRTP profile on every DTLS handshake,
RFC 5764), so a relay decrypts, looks up and encrypts again: no codec, track or receiver. RTP and RTCP share transport
and callback (RFC 5761); `node.rtcp.is_rtcp` tells them apart. Private parts of aiortc are touched here, in
`certificate` and in `sockets`, and nowhere else.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from meshsim.mesh.errors import RemoteProtocolError

if TYPE_CHECKING:
    from aiortc import RTCDtlsTransport

    from meshsim.mesh.ids import CallId

OPUS_PAYLOAD_TYPE = 111
OPUS_CLOCK_RATE = 48_000
"""RTP timestamp units per second of every Opus stream (RFC 7587)."""
VP8_PAYLOAD_TYPE = 96
VIDEO_CLOCK_RATE = 90_000
"""RTP timestamp units per second of every VP8 stream (RFC 7741)."""

_HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HHBqxxx")  # profile 0xBEDE, 3 words: one element of 8 bytes, padding (RFC 8285)
_FIRST_BYTE = 0x90  # version 2, extension present
_MARKER = 0x80
_VIDEO_BIT = 1 << 31
_ONE_BYTE_PROFILE = 0xBEDE
_EXTENSION_WORDS = 3
_SEND_TIME_ELEMENT = (1 << 4) | 7  # id 1, length 8
_PREFIX_BYTES = _HEADER.size + _EXTENSION.size
_SENT_AT = _HEADER.size + 5

LinkKey = TypeVar("LinkKey", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpPacket:
    """One RTP packet that carries its send time.

    Attributes:
        ssrc: Flow label, 32 bits.
        sequence: 16 bits, wraps.
        timestamp: Media clock, 32 bits, wraps.
        sent: Send time, monotonic nanoseconds of the sender's host.
        payload: One encoded frame.
        payload_type: 7 bits.
        marker: Whether this packet ends a picture.
    """

    ssrc: int
    sequence: int
    timestamp: int
    sent: int
    payload: bytes
    payload_type: int = OPUS_PAYLOAD_TYPE
    marker: bool = False

    def encode(self) -> bytes:
        """The packet as bytes: fixed header, one header extension with the send time, payload."""
        kind = self.payload_type | (_MARKER if self.marker else 0)
        head = _HEADER.pack(_FIRST_BYTE, kind, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc)
        return head + _EXTENSION.pack(_ONE_BYTE_PROFILE, _EXTENSION_WORDS, _SEND_TIME_ELEMENT, self.sent) + self.payload

    @classmethod
    def decode(cls, data: bytes) -> RtpPacket:
        """The packet in `data`.

        Raises:
            RemoteProtocolError: If `data` is no RTP packet of this form.

        >>> RtpPacket.decode(RtpPacket(ssrc=7, sequence=1, timestamp=960, sent=5, payload=b"x").encode()).sent
        5
        """
        if len(data) <= _PREFIX_BYTES:
            raise RemoteProtocolError(f"RTP packet of {len(data)} bytes is too short")
        first, kind, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        profile, words, element, sent = _EXTENSION.unpack_from(data, _HEADER.size)
        if (first, profile, words, element) != (_FIRST_BYTE, _ONE_BYTE_PROFILE, _EXTENSION_WORDS, _SEND_TIME_ELEMENT):
            raise RemoteProtocolError("RTP packet without the send time extension")
        return cls(
            ssrc=ssrc,
            sequence=sequence,
            timestamp=timestamp,
            sent=sent,
            payload=data[_PREFIX_BYTES:],
            payload_type=kind & 0x7F,
            marker=bool(kind & _MARKER),
        )


def flow_label(call: CallId, sender: bytes) -> int:
    """The SSRC of the flow that `sender` sends in `call`: a 32-bit hash, so every hop can compute it."""
    return int.from_bytes(hashlib.blake2b(call + sender, digest_size=4).digest(), "big")


def video_ssrc(label: int) -> int:
    """The SSRC of the video beside the voice of route `label`: its highest bit turned over.

    >>> hex(video_ssrc(0x1234ABCD)), video_ssrc(video_ssrc(7))
    ('0x9234abcd', 7)
    """
    return label ^ _VIDEO_BIT


def route_ssrc(packet: bytes, ssrc: int) -> bytes:
    """`packet` under another SSRC: the same sequence number, timestamp and payload on another route.

    >>> packet = RtpPacket(ssrc=7, sequence=1, timestamp=0, sent=0, payload=b"x").encode()
    >>> RtpPacket.decode(route_ssrc(packet, 9)).ssrc
    9
    """
    return packet[:8] + ssrc.to_bytes(4, "big") + packet[12:]


def read_ssrc(packet: bytes) -> int:
    """The SSRC of an RTP packet, without parsing the rest.

    Raises:
        RemoteProtocolError: If the packet is shorter than an RTP header.
    """
    if len(packet) < _HEADER.size:
        raise RemoteProtocolError(f"RTP packet of {len(packet)} bytes is too short")
    return int.from_bytes(packet[8:12], "big")


def read_place(packet: bytes) -> tuple[int, int]:
    """The sequence number of an RTP packet, and when it was sent (monotonic nanoseconds of its sender).

    Raises:
        RemoteProtocolError: If it is too short to say when.
    """
    if len(packet) <= _PREFIX_BYTES:
        raise RemoteProtocolError(f"RTP packet of {len(packet)} bytes is too short")
    return int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[_SENT_AT : _SENT_AT + 8], "big", signed=True)


def stamp(packet: bytes, sent: int) -> bytes:
    """`packet` as it is sent now, at `sent` (monotonic nanoseconds), and not when it was made."""
    return packet[:_SENT_AT] + sent.to_bytes(8, "big", signed=True) + packet[_SENT_AT + 8 :]


class MediaPort:
    """Sends and receives RTP over one peer's DTLS transport, without senders, receivers or codecs.

    Args:
        dtls: The transport under the data channels.
        on_rtp: Called with every decrypted RTP or RTCP packet.
    """

    def __init__(self, dtls: RTCDtlsTransport, on_rtp: Callable[[bytes], None]) -> None:
        self._dtls = dtls
        self._on_rtp = on_rtp
        # aiortc would route packets to RTCRtpReceivers; there are none, so these two hooks are all there is
        dtls._handle_rtp_data = self._receive_rtp  # type: ignore[method-assign]  # noqa: SLF001 - the purpose of this file
        dtls._handle_rtcp_data = self._receive_rtcp  # type: ignore[method-assign]  # noqa: SLF001 - the purpose of this file

    def send(self, packet: bytes) -> bool:
        """Encrypts and sends one RTP or RTCP packet at once; False when the transport is not connected."""
        if self._dtls.state != "connected":
            return False
        try:
            _finish(self._dtls._send_rtp(packet))  # noqa: SLF001 - the purpose of this file
        except ConnectionError:
            return False
        return True

    @property
    def profile(self) -> str:
        """Name of the SRTP profile the DTLS handshake chose, or "" before it."""
        ssl = self._dtls._ssl  # noqa: SLF001 - the purpose of this file
        return "" if ssl is None else ssl.get_selected_srtp_profile().decode()

    async def _receive_rtp(self, data: bytes, arrival_time_ms: int) -> None:  # noqa: ARG002 - aiortc's signature
        self._on_rtp(data)

    async def _receive_rtcp(self, data: bytes) -> None:
        self._on_rtp(data)


def _finish(step: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine that never waits. A task per media packet would cost more than its encryption."""
    try:
        step.send(None)
    except StopIteration:
        return
    step.close()
    raise RuntimeError("aiortc's _send_rtp waited: this version cannot send media synchronously")


@dataclass(slots=True)
class Hop(Generic[LinkKey]):
    """Where one flow leaves, and what has passed.

    Attributes:
        out: The link to the next hop.
        forwarded: Packets handed to the next hop.
        dropped: Packets whose next hop could not take them.
        bytes: RTP bytes handed to the next hop.
    """

    out: LinkKey
    forwarded: int = 0
    dropped: int = 0
    bytes: int = 0


class Forwarder(Generic[LinkKey]):
    """A relay's media table: (link in, SSRC) -> link out.

    Args:
        send: Hands RTP bytes to a link; False if it cannot take them.

    >>> wire = []
    >>> relay = Forwarder(lambda link, packet: wire.append((link, packet)) or True)
    >>> relay.add(7, "alice", "bob")
    >>> relay.forward("alice", RtpPacket(ssrc=7, sequence=1, timestamp=0, sent=0, payload=b"x").encode()), len(wire)
    (True, 1)
    """

    def __init__(self, send: Callable[[LinkKey, bytes], bool]) -> None:
        self._send = send
        self.hops: dict[tuple[LinkKey, int], Hop[LinkKey]] = {}
        self.unknown = 0

    def add(self, ssrc: int, source: LinkKey, out: LinkKey) -> None:
        """From now on flow `ssrc` arriving from `source` leaves on `out`; counts of an unchanged hop are kept."""
        known = self.hops.get((source, ssrc))
        if known is None or known.out != out:
            self.hops[source, ssrc] = Hop(out)

    def remove(self, ssrc: int, source: LinkKey | None = None) -> None:
        """Forgets flow `ssrc` arriving from `source`, or from anywhere."""
        for key in [key for key in self.hops if key[1] == ssrc and source in (None, key[0])]:
            del self.hops[key]

    def forward(self, source: LinkKey, packet: bytes) -> bool:
        """Passes `packet` on, bytes unchanged; False when its flow has no entry, or the next hop cannot take it.

        Raises:
            RemoteProtocolError: If it is too short to be RTP.
        """
        hop = self.hops.get((source, read_ssrc(packet)))
        if hop is None:
            self.unknown += 1
            return False
        if not self._send(hop.out, packet):
            hop.dropped += 1
            return False
        hop.forwarded += 1
        hop.bytes += len(packet)
        return True

    def knows(self, source: LinkKey, packet: bytes) -> bool:
        """Whether `packet` from `source` belongs to a flow that is relayed here (and not one that ends here)."""
        return (source, read_ssrc(packet)) in self.hops
