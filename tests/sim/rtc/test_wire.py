"""Bytes on the wire, read by others: aiortc's parsers, and decoders written here from the texts."""

from __future__ import annotations

import struct
from functools import reduce

from aiortc import rtp as aiortc_rtp
from hypothesis import given
from hypothesis import strategies as st

from meshsim.rtc.compound import compound, nack_pairs
from meshsim.rtc.rtcp import Block, Nack, Pli, ReceiverReport, SenderReport, TransportFeedback
from meshsim.sim.rtc.packet import FEC_BYTES, SRTCP_BYTES, SRTP_TAG_BYTES, UDP_IP_BYTES, Kind, Packet, Piece
from meshsim.sim.rtc.wire import repair_size, rtp

u32, u16 = st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)
blocks = st.builds(
    Block,
    ssrc=u32,
    fraction=st.integers(0, 255),
    lost=st.integers(-(2**23), 2**23 - 1),
    highest=u32,
    jitter=u32,
    lsr=u32,
    dlsr=u32,
)


@given(ssrc=u32, ntp=st.integers(0, 2**64 - 1), stamp=u32, told=st.lists(blocks, max_size=31).map(tuple))
def test_reports_are_read_by_aiortc_as_they_were_meant(ssrc, ntp, stamp, told) -> None:
    report = SenderReport(ssrc, ntp, stamp, 12, 3456, told)
    sent, described, asked = aiortc_rtp.RtcpPacket.parse(compound([report, Pli(ssrc, 9)], b"a@b").data)
    info = sent.sender_info
    assert (sent.ssrc, info.ntp_timestamp, info.rtp_timestamp) == (ssrc, ntp, stamp)
    assert (info.packet_count, info.octet_count) == (12, 3456)
    for theirs, ours in zip(sent.reports, told, strict=True):
        assert (theirs.ssrc, theirs.fraction_lost, theirs.packets_lost, theirs.highest_sequence) == ours[:4]
        assert (theirs.jitter, theirs.lsr, theirs.dlsr) == ours[4:]
    assert [(chunk.ssrc, chunk.items) for chunk in described.chunks] == [(ssrc, [(1, b"a@b")])]
    assert (asked.fmt, asked.ssrc, asked.media_ssrc) == (1, ssrc, 9)


@given(missing=st.sets(st.integers(0, 2**15), min_size=1, max_size=60))
def test_nacks_name_exactly_what_is_missing(missing) -> None:
    wanted = tuple(sorted(missing))
    _, _, asked = aiortc_rtp.RtcpPacket.parse(compound([ReceiverReport(1, ()), Nack(1, 2, wanted)], b"x").data)
    assert (asked.fmt, asked.media_ssrc) == (1, 2)
    assert tuple(sorted(asked.lost)) == wanted


def test_nacks_cross_the_wrap_of_sequence_numbers() -> None:
    packed = [(pid % 65536, mask) for pid, mask in nack_pairs((65534, 65536, 65560))]
    assert packed == [(65534, 0b10), (24, 0)]


def read_transport(data: bytes) -> tuple[int, int, list[int]]:
    """Number, base and arrivals (ticks of 250 us, -1 for none) by draft-holmer-...-01, section 3.1."""
    base, count, word = struct.unpack_from("!HHI", data, 12)
    place, symbols = 20, []
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", data, place)
        place += 2
        assert chunk >> 14 == 0b11  # a status vector of two-bit symbols
        symbols += [chunk >> shift & 3 for shift in range(12, -2, -2)]
    last, arrivals = (word >> 8) * 256, []
    for symbol in symbols[:count]:
        if symbol == 0:
            arrivals.append(-1)
            continue
        (delta,) = struct.unpack_from("!B" if symbol == 1 else "!h", data, place)
        place += symbol
        last += delta
        arrivals.append(last)
    assert len(data) - place < 4
    return word & 0xFF, base, arrivals


@given(
    waits=st.lists(st.one_of(st.none(), st.integers(-100, 3000)), min_size=1, max_size=80),
    base=u16,
    start=st.integers(1000, 2**31),
)
def test_transport_wide_feedback_tells_when_each_packet_came(waits, base, start) -> None:
    ticks, at = [], start
    for wait in waits:
        at += wait or 0
        ticks.append(-1 if wait is None else at)
    sent = TransportFeedback(1, 2, 300, base, tuple(ticks))
    data = compound([ReceiverReport(1, ()), sent], b"x").data
    body = data[-_last_length(data) :]
    assert (body[0] & 31, body[1]) == (15, 205)
    assert read_transport(body) == (300 % 256, base, ticks)


def _last_length(data: bytes) -> int:
    place, length = 0, 0
    while place < len(data):
        length = 4 * (struct.unpack_from("!H", data, place + 2)[0] + 1)
        place += length
    assert place == len(data)
    return length


def video(seq: int, payload: int, *, marker: bool = False, transport: int = -1) -> Packet:
    packet = Packet(Kind.VIDEO, 77, seq, 90 * seq, payload, Piece(0, 0, 1, False, 0.0), marker=marker)
    if transport >= 0:
        packet.number(transport)
    return packet


@given(seq=st.integers(0, 2**20), payload=st.integers(1, 1118), marker=st.booleans(), transport=u16)
def test_rtp_is_read_by_aiortc_and_weighs_what_the_link_was_told(seq, payload, marker, transport) -> None:
    packet = video(seq, payload, marker=marker, transport=transport)
    data = rtp(packet)
    read = aiortc_rtp.RtpPacket.parse(data)
    assert (read.ssrc, read.sequence_number, read.timestamp) == (77, seq % 65536, 90 * seq % 2**32)
    assert (read.payload_type, bool(read.marker), len(read.payload)) == (96, marker, payload)
    assert struct.unpack("!HHBH", data[12:19]) == (0xBEDE, 1, 0x31, transport)
    assert packet.size == UDP_IP_BYTES + len(data) + SRTP_TAG_BYTES


def test_a_retransmission_is_the_packet_behind_its_old_number() -> None:
    old = video(70_000, 500)
    again = Packet(Kind.RTX, 78, 5, old.timestamp, old.payload + 2, old)
    read = aiortc_rtp.RtpPacket.parse(rtp(again))
    plain = aiortc_rtp.unwrap_rtx(read, payload_type=96, ssrc=77)
    assert (plain.sequence_number, plain.payload) == (70_000 % 65536, bytes(500))


def recover(repair: bytes, others: list[bytes]) -> bytes:
    """The one missing packet of a FlexFEC row, by RFC 8627, section 6.3.2, from bytes alone."""
    csrc, body = repair[12:16], repair[16:]
    first, second, length, stamp, base, columns, rows = struct.unpack_from("!BBHIHBB", body)
    assert (first >> 6, rows, columns) == (1, 0, len(others) + 1)
    seen = {struct.unpack_from("!H", other, 2)[0] for other in others}
    (missing,) = {(base + n) % 65536 for n in range(columns)} - seen
    for other in others:
        first, second = first ^ other[0], second ^ other[1]
        length ^= len(other) - 12
        stamp ^= struct.unpack_from("!I", other, 4)[0]
    payload = int.from_bytes(body[12:], "big") ^ reduce(
        int.__xor__, (int.from_bytes(other[12:].ljust(len(body) - 12, b"\0"), "big") for other in others), 0
    )
    whole = payload.to_bytes(len(body) - 12, "big")[:length]
    return bytes([0x80 | first & 0x3F, second]) + struct.pack("!HI", missing, stamp) + csrc + whole


@given(
    sizes=st.lists(st.integers(1, 1118), min_size=1, max_size=12),
    base=st.integers(0, 2**17),
    numbered=st.booleans(),
    data=st.data(),
)
def test_flexfec_gives_back_any_one_packet_of_its_row_byte_by_byte(sizes, base, numbered, data) -> None:
    group = tuple(
        video(base + n, size, marker=n % 3 == 0, transport=7 + n if numbered else -1) for n, size in enumerate(sizes)
    )
    repair = Packet(Kind.FEC, 79, 1, 5, repair_size(group, extended=numbered), group)
    if numbered:
        repair.number(99)
    sent = [rtp(packet) for packet in group]
    lost = data.draw(st.integers(0, len(sent) - 1))
    raw = rtp(repair)
    plain = raw[:16] + raw[24:] if numbered else raw
    assert recover(plain, sent[:lost] + sent[lost + 1 :]) == sent[lost]
    assert repair.size == UDP_IP_BYTES + len(raw) + SRTP_TAG_BYTES
    assert repair.payload == FEC_BYTES + max(map(len, sent)) - 12


def test_a_compound_weighs_its_bytes_and_what_srtcp_adds() -> None:
    body = compound([ReceiverReport(1, ())], b"caller-0@meshsim")
    assert Packet(Kind.RTCP, 1, 0, 0, len(body.data), body).size == len(body.data) + UDP_IP_BYTES + SRTCP_BYTES
