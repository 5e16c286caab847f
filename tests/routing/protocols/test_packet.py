"""Packets: what is written is read, nothing else is, and every byte on the wire is somebody's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols import packet
from meshsim.routing.protocols.packet import Message, bundle, decode, encode, is_newer, tally, wire_bytes

messages = st.builds(
    Message,
    kind=st.integers(0, 255),
    origin=st.integers(0, 2**32 - 1),
    sequence=st.integers(0, 65_535),
    validity=st.integers(0, 255).map(packet.read_time),
    ttl=st.integers(0, 255),
    hops=st.integers(0, 255),
    body=st.binary(max_size=60),
)


@given(said=st.lists(messages, max_size=6))
def test_what_is_written_is_read(said: list[Message]) -> None:
    assert decode(encode(said)) == tuple(said)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_remote_error(data: bytes) -> None:
    try:
        found = decode(data)
    except RemoteProtocolError:
        return
    assert len(encode(found)) == len(data)


@given(said=st.lists(messages, min_size=1, max_size=3), data=st.data())
def test_a_packet_cut_short_is_refused(said: list[Message], data: st.DataObject) -> None:
    whole = encode(said)
    with pytest.raises(RemoteProtocolError):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(seconds=st.floats(0.07, 3900.0))
def test_a_time_is_rounded_up_by_less_than_a_sixteenth(seconds: float) -> None:
    read = packet.read_time(packet.write_time(seconds))
    assert seconds <= read * (1 + 1e-12)
    assert read <= seconds * (1 + 1 / 16)


@given(start=st.integers(0, 65_535), gap=st.integers(1, 32_767))
def test_sequence_numbers_are_in_order_over_the_wrap_around(start: int, gap: int) -> None:
    later = (start + gap) % 65_536
    assert is_newer(later, start)
    assert not is_newer(start, later)


@given(said=st.lists(messages, max_size=8))
def test_the_bytes_of_a_packet_are_shared_out_in_full(said: list[Message]) -> None:
    whole = encode(said)
    shares = tally(whole)
    assert [kind for kind, _ in shares] == [message.kind for message in said]
    assert sum(size for _, size in shares) == (wire_bytes(len(whole)) if said else 0)


@given(said=st.lists(messages, max_size=60))
def test_bundles_keep_order_and_fit_a_frame(said: list[Message]) -> None:
    packets = bundle(said)
    assert [message for one in packets for message in decode(one)] == said
    assert all(len(one) <= packet.PACKET_BYTES for one in packets)


def test_a_message_longer_than_a_frame_goes_alone_and_pays_for_its_fragments() -> None:
    long = Message(1, 2, 3, 1.0, 1, 0, bytes(3000))
    alone, rest = bundle([long, long._replace(body=b"")])
    assert wire_bytes(len(alone)) == len(alone) + 8 + 3 * 20
    assert len(decode(rest)) == 1
