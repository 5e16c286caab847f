from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.ids import CallId
from meshsim.node.rtp import Forwarder, RtpPacket, flow_label, read_ssrc

packets = st.builds(
    RtpPacket,
    ssrc=st.integers(0, 2**32 - 1),
    sequence=st.integers(0, 2**16 - 1),
    timestamp=st.integers(0, 2**32 - 1),
    sent=st.integers(-(2**63), 2**63 - 1),
    payload=st.binary(min_size=1, max_size=300),
    payload_type=st.integers(0, 127),
)


@given(packets)
def test_a_packet_survives_the_wire(packet: RtpPacket) -> None:
    assert RtpPacket.decode(packet.encode()) == packet
    assert read_ssrc(packet.encode()) == packet.ssrc


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_a_remote_protocol_error(data: bytes) -> None:
    try:
        packet = RtpPacket.decode(data)
    except RemoteProtocolError:
        return
    assert RtpPacket.decode(packet.encode()) == packet


def test_the_wire_form_is_rtp_version_2_with_a_one_byte_extension() -> None:
    wire = RtpPacket(ssrc=1, sequence=2, timestamp=3, sent=4, payload=b"x", payload_type=111).encode()
    assert wire[0] >> 6 == 2
    assert wire[1] == 111
    assert wire[12:16] == b"\xbe\xde\x00\x03"
    assert len(wire) == 12 + 4 + 12 + 1


def test_a_header_alone_is_too_short_to_route() -> None:
    with pytest.raises(RemoteProtocolError, match="short"):
        read_ssrc(bytes(11))


def test_each_direction_of_a_call_has_its_own_label() -> None:
    call = CallId(bytes(16))
    labels = {flow_label(call, bytes([sender]) * 32) for sender in range(50)}
    assert len(labels) == 50
    assert flow_label(call, bytes(32)) == flow_label(call, bytes(32))


class Wire:
    """Remembers what was sent; links in `broken` take nothing."""

    def __init__(self, broken: str = "") -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.broken = broken

    def send(self, link: str, packet: bytes) -> bool:
        if link == self.broken:
            return False
        self.sent.append((link, packet))
        return True


def packet(ssrc: int) -> bytes:
    return RtpPacket(ssrc=ssrc, sequence=1, timestamp=0, sent=0, payload=b"voice").encode()


def test_a_relay_forwards_by_flow_and_origin_and_changes_nothing() -> None:
    wire = Wire()
    relay = Forwarder(wire.send)
    relay.add(1, "alice", "bob")
    relay.add(1, "bob", "alice")
    relay.add(2, "alice", "carol")
    for source, ssrc in (("alice", 1), ("bob", 1), ("alice", 2)):
        assert relay.forward(source, packet(ssrc))
    assert wire.sent == [("bob", packet(1)), ("alice", packet(1)), ("carol", packet(2))]
    assert relay.hops["alice", 1].bytes == len(packet(1))


def test_an_unknown_flow_goes_nowhere_and_is_counted() -> None:
    wire = Wire()
    relay = Forwarder(wire.send)
    relay.add(1, "alice", "bob")
    assert not relay.forward("mallory", packet(1))
    assert not relay.knows("mallory", packet(1))
    assert relay.knows("alice", packet(1))
    assert (relay.unknown, wire.sent) == (1, [])


def test_what_the_next_hop_cannot_take_is_counted_as_dropped() -> None:
    relay = Forwarder(Wire(broken="bob").send)
    relay.add(1, "alice", "bob")
    assert not relay.forward("alice", packet(1))
    assert (relay.hops["alice", 1].forwarded, relay.hops["alice", 1].dropped) == (0, 1)


def test_adding_a_hop_again_keeps_its_counts_unless_it_moves() -> None:
    relay = Forwarder(Wire().send)
    relay.add(1, "alice", "bob")
    relay.forward("alice", packet(1))
    relay.add(1, "alice", "bob")
    assert relay.hops["alice", 1].forwarded == 1
    relay.add(1, "alice", "carol")
    assert relay.hops["alice", 1].forwarded == 0


def test_a_removed_flow_is_forwarded_no_more() -> None:
    relay = Forwarder(Wire().send)
    relay.add(1, "alice", "bob")
    relay.add(1, "bob", "alice")
    relay.add(2, "alice", "bob")
    relay.remove(1, "bob")
    assert set(relay.hops) == {("alice", 1), ("alice", 2)}
    relay.remove(1)
    assert set(relay.hops) == {("alice", 2)}
