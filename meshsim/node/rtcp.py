"""RTCP that came over a link, read by aiortc's parser into the messages that `meshsim.rtc` has for both worlds.

Packets are of reduced size (RFC 5506). Reports, key frame requests and limits of rate travel from end to end; a request
for packets ends at the next node, which answers it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from aiortc import rtp

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.rtc.rtcp import Block, Fir, Nack, Pli, ReceiverReport, Remb, SenderReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshsim.rtc.rtcp import Message

MOST_MISSING = 200
"""No request asks for more packets."""
RTCP_BYTES = 1400
"""No RTCP packet is longer."""

_HEADER_BYTES, _FIR_ENTRY_BYTES = 8, 8
_PARSE_ERRORS = (ValueError, struct.error, LookupError)


def is_rtcp(packet: bytes) -> bool:
    """Whether `packet` is RTCP and not RTP, by its second byte (RFC 5761)."""
    return rtp.is_rtcp(packet)


def decode(data: bytes) -> list[Message]:
    """The messages in `data` that mean something between nodes; others are passed over.

    Raises:
        RemoteProtocolError: If it is no RTCP, or too long.

    >>> from meshsim.rtc.compound import encode
    >>> decode(encode(Pli(1, 7)) + encode(Remb(1, 300_000, (7,))))
    [Pli(ssrc=1, source=7), Remb(ssrc=1, rate=300000, sources=(7,))]
    """
    if not _HEADER_BYTES <= len(data) <= RTCP_BYTES:
        raise RemoteProtocolError(f"RTCP of {len(data)} bytes")
    try:
        return [message for packet in rtp.RtcpPacket.parse(data) for message in _read(packet)]
    except _PARSE_ERRORS as error:
        raise RemoteProtocolError(f"unreadable RTCP: {error!r}") from error


def _read(packet: rtp.AnyRtcpPacket) -> Iterator[Message]:
    match packet:
        case rtp.RtcpSrPacket(ssrc=ssrc, sender_info=info, reports=told):
            blocks = tuple(map(_block, told))
            yield SenderReport(
                ssrc, info.ntp_timestamp, info.rtp_timestamp, info.packet_count, info.octet_count, blocks
            )
        case rtp.RtcpRrPacket(ssrc=ssrc, reports=told):
            yield ReceiverReport(ssrc, tuple(map(_block, told)))
        case rtp.RtcpRtpfbPacket(fmt=rtp.RTCP_RTPFB_NACK, ssrc=ssrc, media_ssrc=source, lost=lost):
            yield Nack(ssrc, source, tuple(number % (1 << 16) for number in lost[:MOST_MISSING]))
        case rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_PLI, ssrc=ssrc, media_ssrc=source):
            yield Pli(ssrc, source)
        case rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_FIR, ssrc=ssrc, fci=fci):
            for start in range(0, len(fci) - _FIR_ENTRY_BYTES + 1, _FIR_ENTRY_BYTES):
                yield Fir(ssrc, int.from_bytes(fci[start : start + 4], "big"), fci[start + 4])
        case rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=ssrc, fci=fci):
            rate, sources = rtp.unpack_remb_fci(fci)
            yield Remb(ssrc, rate, tuple(sources))


def _block(told: rtp.RtcpReceiverInfo) -> Block:
    return Block(
        told.ssrc, told.fraction_lost, told.packets_lost, told.highest_sequence, told.jitter, told.lsr, told.dlsr
    )
