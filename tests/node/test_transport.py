from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from meshsim.agent import Channel
from meshsim.mesh.errors import RemoteProtocolError
from meshsim.node.emulation import read_candidates
from meshsim.node.traffic import Traffic
from meshsim.node.transport import LinkConfig, LinkHandlers, PeerLink, keep_addresses

if TYPE_CHECKING:
    from meshsim.node.handshake import Handshake

Pair = Callable[..., Awaitable[tuple[PeerLink, PeerLink]]]


class Inbox:
    """Collects what a link calls."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[Channel, bytes]] = asyncio.Queue()
        self.media: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.handlers = LinkHandlers(
            on_message=lambda channel, data: self.messages.put_nowait((channel, data)),
            on_media=self.media.put_nowait,
            on_closed=lambda _: self.closed.set(),
        )


async def close(*links: PeerLink) -> None:
    for link in links:
        await link.close()


async def test_messages_arrive_on_the_channel_they_were_sent_on(pair: Pair) -> None:
    inbox = Inbox()
    a, b = await pair((LinkHandlers(), inbox.handlers))
    async with asyncio.timeout(5.0):
        for channel in Channel:
            assert a.send(channel, channel.encode())
            assert await inbox.messages.get() == (channel, channel.encode())
    await close(a, b)


async def test_a_long_message_arrives_whole(pair: Pair) -> None:
    inbox = Inbox()
    a, b = await pair((LinkHandlers(), inbox.handlers))
    data = bytes(range(255, -1, -1)) * 200
    a.send(Channel.CONTROL, data)
    async with asyncio.timeout(5.0):
        assert await inbox.messages.get() == (Channel.CONTROL, data)
    await close(a, b)


async def test_a_link_on_loopback_opens_in_half_a_second(pair: Pair) -> None:
    times = []
    for _ in range(3):
        started = time.monotonic()
        links = await pair()
        times.append(time.monotonic() - started)
        await close(*links)
    assert min(times) < 0.5


async def test_a_link_of_data_channels_carries_rtp_as_srtp(pair: Pair) -> None:
    inbox = Inbox()
    a, b = await pair((LinkHandlers(), inbox.handlers))
    packet = bytes([0x80, 111]) + bytes(10) + b"voice"
    assert a.srtp_profile.startswith("SRTP_")
    assert a.send_media(packet)
    async with asyncio.timeout(5.0):
        assert await inbox.media.get() == packet
    await close(a, b)


async def test_both_ends_count_the_same_datagrams(pair: Pair) -> None:
    inbox, traffic = Inbox(), (Traffic(), Traffic())
    a, b = await pair((LinkHandlers(), inbox.handlers), traffic=traffic)
    for number in range(20):
        a.send(Channel.REALTIME, bytes([number]))
        a.send_media(bytes([0x80, 111, 0, number]) + bytes(20))  # SRTP drops a sequence number seen before
    async with asyncio.timeout(5.0):
        for _ in range(20):
            await inbox.messages.get()
            await inbox.media.get()
    await close(a, b)
    assert traffic[0].sent == traffic[1].received > 40
    assert traffic[0].sent_bytes == traffic[1].received_bytes
    # b may still answer what it received while a is gone already
    assert 0 <= traffic[1].sent - traffic[0].received <= 4


async def test_a_closed_link_leaves_no_task_and_tells_both_ends(pair: Pair) -> None:
    inboxes = Inbox(), Inbox()
    before = asyncio.all_tasks()
    a, b = await pair((inboxes[0].handlers, inboxes[1].handlers))
    await a.close()
    async with asyncio.timeout(5.0):
        await inboxes[1].closed.wait()
    await b.close()
    assert inboxes[0].closed.is_set()
    assert (a.closed, b.closed) == (True, True)
    assert asyncio.all_tasks() == before


async def test_a_closed_link_takes_nothing(pair: Pair) -> None:
    a, b = await pair()
    await close(a, b)
    assert not a.send(Channel.CONTROL, b"x")
    assert not a.send_media(bytes([0x80, 111]) + bytes(20))


async def test_a_channel_with_too_much_unsent_refuses_more(pair: Pair) -> None:
    a, b = await pair(configs=(LinkConfig(buffer_bytes=10_000), LinkConfig()))
    taken = [a.send(Channel.DATA, bytes(6000)) for _ in range(4)]
    assert taken[0]
    assert not taken[-1]
    await close(a, b)


async def test_what_a_handler_refuses_is_counted_and_the_link_lives_on(pair: Pair) -> None:
    inbox = Inbox()

    def refuse(channel: Channel, data: bytes) -> None:
        if data == b"bad":
            raise RemoteProtocolError("bad")
        inbox.handlers.on_message(channel, data)

    def refuse_media(packet: bytes) -> None:
        raise RemoteProtocolError("bad")

    a, b = await pair((LinkHandlers(), LinkHandlers(on_message=refuse, on_media=refuse_media)))
    a.send(Channel.CONTROL, b"bad")
    a.send_media(bytes([0x80, 111]) + bytes(20))
    a.send(Channel.CONTROL, b"good")
    async with asyncio.timeout(5.0):
        assert await inbox.messages.get() == (Channel.CONTROL, b"good")
    assert b.malformed == 2
    await close(a, b)


async def test_a_peer_that_never_answers_is_a_connection_error_and_leaves_nothing(handshake: Handshake) -> None:
    before = asyncio.all_tasks()

    async def silence(sdp: str) -> str:
        await asyncio.Event().wait()
        return sdp

    with pytest.raises(ConnectionError, match="in time"):
        await PeerLink.dial(silence, handshake, config=LinkConfig(connect_timeout=0.1))
    assert asyncio.all_tasks() == before


async def test_an_answer_from_nowhere_is_a_connection_error_and_leaves_nothing(handshake: Handshake) -> None:
    before = asyncio.all_tasks()
    answers: asyncio.Queue[str] = asyncio.Queue()

    async def lose(sdp: str) -> None:
        answers.put_nowait(sdp)

    async def accept(offer: str) -> None:
        with pytest.raises(ConnectionError):
            await PeerLink.accept(offer, lose, handshake, config=LinkConfig(connect_timeout=0.3))

    async def exchange(sdp: str) -> str:
        accepting = asyncio.create_task(accept(sdp))
        answer = await answers.get()
        await accepting
        return answer

    with pytest.raises(ConnectionError):
        await PeerLink.dial(exchange, handshake, config=LinkConfig(connect_timeout=0.5))
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("sdp", ["", "v=0\r\n", "garbage", "v=0\r\nm=application x UDP\r\n"])
async def test_an_unusable_offer_is_the_peers_fault(sdp: str, handshake: Handshake) -> None:
    async def reply(answer: str) -> None: ...

    before = asyncio.all_tasks()
    with pytest.raises((RemoteProtocolError, ConnectionError)):
        await PeerLink.accept(sdp, reply, handshake, config=LinkConfig(connect_timeout=0.2))
    assert asyncio.all_tasks() == before


async def test_a_damaged_offer_never_raises_anything_else(pair: Pair, handshake: Handshake) -> None:
    seen: list[str] = []

    async def note(sdp: str) -> str:
        seen.append(sdp)
        return sdp

    async def reply(answer: str) -> None: ...

    await close(*await pair(configs=(LinkConfig(), LinkConfig(rewrite=note))))
    lines = seen[0].splitlines(keepends=True)
    damaged = ["".join(lines[:at] + lines[at + 1 :]) for at in range(len(lines))]
    damaged += [
        "".join([*lines[:at], lines[at][: len(lines[at]) // 2] + "\r\n", *lines[at + 1 :]]) for at in range(len(lines))
    ]
    refused = 0
    for sdp in damaged:
        try:
            await PeerLink.accept(sdp, reply, handshake, config=LinkConfig(connect_timeout=0.02))
        except RemoteProtocolError:
            refused += 1
        except ConnectionError:
            continue
    assert 0 < refused < len(damaged)


async def test_only_the_configured_addresses_are_announced(pair: Pair) -> None:
    seen: list[str] = []

    async def note(sdp: str) -> str:
        seen.append(sdp)
        return sdp

    links = await pair(configs=(LinkConfig(rewrite=note), LinkConfig(rewrite=note)))
    await close(*links)
    assert {host for sdp in seen for host, _ in read_candidates(sdp)} == {"127.0.0.1"}


def test_candidates_that_are_names_or_not_udp_are_dropped() -> None:
    lines = [
        "a=candidate:1 1 udp 9 10.0.0.1 5 typ host",
        "a=candidate:1 1 udp 9 3e5c.local 5 typ host",
        "a=candidate:1 1 tcp 9 10.0.0.1 5 typ host",
        "a=candidate:short",
        "a=candidate:4 1 udp 1 10.0.0.1 http typ host",
        "a=candidate:5 1 udp 1 10.0.0.1 65536 typ host",
        "a=candidate:6 1 udp 1 10.0.0.1 000000000080 typ host",
        "a=mid:0",
    ]
    assert keep_addresses("\r\n".join(lines) + "\r\n") == "\r\n".join([lines[0], lines[-1]]) + "\r\n"
