"""RTCP between nodes: what one writes the other reads, and nothing else gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.node.rtcp import MOST_MISSING, RTCP_BYTES, decode, is_rtcp
from meshsim.node.rtp import RtpPacket
from meshsim.rtc.compound import encode
from meshsim.rtc.rtcp import Block, Fir, Nack, Pli, ReceiverReport, Remb, SenderReport, TransportFeedback

u32, u24, u16, u8 = (st.integers(0, 2**bits - 1) for bits in (32, 24, 16, 8))
BLOCKS = st.lists(
    st.builds(
        Block, ssrc=u32, fraction=u8, lost=st.integers(-(2**23), 2**23 - 1), highest=u32, jitter=u32, lsr=u32, dlsr=u32
    ),
    max_size=5,
).map(tuple)
EXACT = st.one_of(
    st.builds(SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, BLOCKS),
    st.builds(ReceiverReport, u32, BLOCKS),
    st.builds(Pli, u32, u32),
    st.builds(Fir, u32, u32, u8),
    st.builds(Nack, u32, u32, st.sets(st.integers(0, 400), min_size=1, max_size=60).map(sorted).map(tuple)),
    st.builds(Remb, u32, st.integers(0, 2**18 - 1), st.lists(u32, min_size=1, max_size=3).map(tuple)),
)


@given(EXACT)
def test_what_is_written_is_read_as_it_was_meant(message) -> None:
    assert decode(encode(message)) == [message]


@given(st.lists(st.builds(Pli, u32, u32) | st.builds(ReceiverReport, u32, BLOCKS), min_size=1, max_size=4))
def test_messages_in_one_packet_are_read_in_order(messages) -> None:
    assert decode(b"".join(map(encode, messages))) == messages


@given(rate=st.integers(0, 2**40))
def test_a_limit_of_rate_is_rounded_down_and_by_little(rate) -> None:
    (read,) = decode(encode(Remb(1, rate, (2,))))
    assert rate * (1 - 2**-17) - 1 <= read.rate <= rate


@given(
    st.binary(max_size=200)
    | st.binary(max_size=60).map(lambda tail: b"\x81\xc8" + tail)
    | st.builds(
        lambda kind, count, tail: bytes([0x80 | count, kind]) + (len(tail) // 4).to_bytes(2, "big") + tail,
        st.integers(200, 207),
        st.integers(0, 31),
        st.binary(min_size=4, max_size=120),
    )
)
def test_any_other_bytes_are_refused_or_mean_nothing_and_do_no_harm(data) -> None:
    try:
        for message in decode(data):
            assert isinstance(message, SenderReport | ReceiverReport | Nack | Pli | Fir | Remb)
    except RemoteProtocolError:
        pass


@pytest.mark.parametrize("size", [0, 7, RTCP_BYTES + 4])
def test_packets_too_short_or_too_long_are_refused(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"{size} bytes"):
        decode(bytes(size))


def test_no_request_asks_for_more_than_is_kept_in_mind() -> None:
    (asked,) = decode(encode(Nack(1, 2, tuple(range(17 * 250)))))
    assert len(asked.missing) == MOST_MISSING


def test_what_means_nothing_between_nodes_is_passed_over() -> None:
    assert decode(encode(TransportFeedback(1, 2, 3, 4, (5, -1)))) == []


def test_rtp_and_rtcp_are_told_apart() -> None:
    for marker in (False, True):
        assert not is_rtcp(RtpPacket(ssrc=1, sequence=2, timestamp=3, sent=4, payload=b"x", marker=marker).encode())
    assert is_rtcp(encode(Pli(1, 2)))
