from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import IDLE, LinkParameters, step
from meshsim.mesh.errors import LocalProtocolError, RemoteProtocolError
from meshsim.mesh.seeds import SeedTree
from meshsim.node.emulation import (
    EmulatedLink,
    EmulatorClient,
    EmulatorConfig,
    Precision,
    emulated_sdp,
    emulator_process,
    read_candidates,
)
from meshsim.node.emulator import HEADER_BYTES, DirectedPipe, open_socket, receive_stamped, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FAST = LinkParameters(rate_bps=1e9, propagation=0.02)


def both_ways(parameters: LinkParameters, a: str = "a", b: str = "b") -> tuple[EmulatedLink, ...]:
    return EmulatedLink(a, b, parameters), EmulatedLink(b, a, parameters)


class Node:
    """A plain UDP socket in the place of a node."""

    def __init__(self) -> None:
        self.sock = open_socket("127.0.0.1")
        self.address: tuple[str, int] = self.sock.getsockname()

    async def receive(self) -> tuple[bytes, tuple[str, int], float]:
        """The next datagram, its sender, and when the kernel took it in (monotonic seconds)."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self.sock, readable.set)
        try:
            async with asyncio.timeout(5.0):
                await readable.wait()
        finally:
            loop.remove_reader(self.sock)
        data, sender, age = receive_stamped(self.sock)
        return data, sender, time.monotonic() - age


@asynccontextmanager
async def two_nodes(client: EmulatorClient) -> AsyncIterator[tuple[Node, Node, tuple[str, int], tuple[str, int]]]:
    """Nodes a and b, the address of b in a's eyes and that of a in b's eyes."""
    a, b = Node(), Node()
    yield a, b, await client.map("b", "a", b.address), await client.map("a", "b", a.address)
    a.sock.close()
    b.sock.close()


def test_a_pipe_is_the_links_own_step_function_with_its_own_draws() -> None:
    parameters = LinkParameters(rate_bps=1e6, propagation=0.01, jitter=0.005, loss=0.2, burst=3.0, queue_bytes=5000)
    pipe = DirectedPipe(EmulatedLink("a", "b", parameters), seed=5)
    state, coefficients = IDLE, parameters.coefficients()
    draws = SeedTree(5).stream("emulator/a>b").uniform(0, 4000)
    fates = []
    for number in range(2000):
        now, size = number * 0.004, 300 + number % 900
        passage = step(now, size + HEADER_BYTES, draws[2 * number], draws[2 * number + 1], state, coefficients)
        state = passage.state
        assert pipe.offer(now, size) == (passage.arrival if passage.delivered else None)
        fates.append("lost" if passage.lost else "delivered" if passage.delivered else "queue")
    counts = pipe.counts()
    assert counts.received == 2000
    assert (counts.dropped_loss, counts.dropped_queue, counts.waiting) == tuple(
        fates.count(fate) for fate in ("lost", "queue", "delivered")
    )
    assert counts.dropped_loss > 0
    assert counts.dropped_queue > 0


def test_each_direction_has_its_own_losses_and_a_new_link_shifts_nobodys() -> None:
    parameters = LinkParameters(rate_bps=1e9, propagation=0.0, loss=0.3)

    def fates(src: str, dst: str) -> list[bool]:
        pipe = DirectedPipe(EmulatedLink(src, dst, parameters), seed=1)
        return [pipe.offer(float(number), 100) is None for number in range(200)]

    assert fates("a", "b") == fates("a", "b") != fates("b", "a")


SDP = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nm=application 5000 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 127.0.0.1\r\n"
    "a=candidate:7 1 udp 2130706431 127.0.0.1 5000 typ host\r\n"
    "a=candidate:8 1 udp 1 10.0.0.1 5001 typ srflx raddr 127.0.0.1 rport 5000\r\na=end-of-candidates\r\n"
)


@given(st.integers(1, 65535))
def test_an_emulated_sdp_names_the_emulator_and_nobody_else(port: int) -> None:
    rewritten = emulated_sdp(SDP, ("127.0.0.9", port))
    assert read_candidates(rewritten) == (("127.0.0.9", port),)
    assert "127.0.0.1" not in rewritten
    assert "10.0.0.1" not in rewritten
    assert f"m=application {port} UDP/DTLS/SCTP" in rewritten


def test_an_sdp_without_an_address_cannot_be_emulated() -> None:
    with pytest.raises(RemoteProtocolError, match="candidate"):
        emulated_sdp("v=0\r\n", ("127.0.0.1", 1))


async def test_datagrams_take_the_time_of_their_link_and_come_from_the_alias() -> None:
    slow = LinkParameters(rate_bps=1e9, propagation=0.05)
    links = (EmulatedLink("a", "b", FAST), EmulatedLink("b", "a", slow))
    async with emulator_process(EmulatorConfig(links=links)) as client, two_nodes(client) as (a, b, to_b, to_a):
        for node, other, to, comes_from, delay in ((a, b, to_b, to_a, 0.02), (b, a, to_a, to_b, 0.05)):
            took = []
            for number in range(20):
                sent = time.monotonic()
                node.sock.sendto(bytes([number]), to)
                data, sender, arrived = await other.receive()
                took.append(arrived - sent)
                assert (data, sender) == (bytes([number]), comes_from)
            assert delay - 0.001 < min(took) < delay + 0.005
        precision = await client.precision()
        assert precision.samples == 40


async def test_every_datagram_is_forwarded_or_accounted_for() -> None:
    lossy = LinkParameters(rate_bps=1e9, propagation=0.001, loss=0.3)
    config = EmulatorConfig(links=both_ways(lossy), seed=3)
    async with emulator_process(config) as client, two_nodes(client) as (a, b, to_b, _):
        for number in range(200):
            a.sock.sendto(number.to_bytes(2, "big"), to_b)
            if number % 50 == 0:
                await client.counters()  # more at once would overflow the emulator's socket
        while (counts := (await client.counters())["a", "b"]).waiting:
            continue
        arrived = [int.from_bytes((await b.receive())[0], "big") for _ in range(counts.forwarded)]
        expected = DirectedPipe(config.links[0], seed=3)
        survivors = [number for number in range(200) if expected.offer(float(number), 2) is not None]
        assert arrived == survivors
        assert counts.forwarded + counts.dropped_loss == 200
        assert counts.received_bytes == 400
        assert (await client.counters())["b", "a"].received == 0


async def test_a_link_can_be_changed_under_traffic_and_a_full_queue_drops() -> None:
    async with (
        emulator_process(EmulatorConfig(links=both_ways(FAST))) as client,
        two_nodes(client) as (a, b, to_b, _),
    ):
        narrow = LinkParameters(rate_bps=1e5, propagation=0.0, queue_bytes=1000)
        await client.set_link("a", "b", narrow)
        for _ in range(20):
            a.sock.sendto(bytes(472), to_b)  # 500 bytes with headers: 40 ms each, two fit
        assert (await client.counters())["a", "b"].dropped_queue >= 17
        await client.set_link("a", "b", LinkParameters(rate_bps=1e9, propagation=0.0, loss=1.0))
        a.sock.sendto(b"x", to_b)
        assert (await client.counters())["a", "b"].dropped_loss == 1
        assert (await b.receive())[0] == bytes(472)


async def test_the_emulator_measures_its_own_error() -> None:
    async with emulator_process(EmulatorConfig()) as client:
        precision = await client.calibrate(packets=50, delay=0.01)
        assert (precision.samples, precision.lost) == (50, 0)
        assert 0.0 < precision.median <= precision.p99 <= precision.worst
        assert await client.counters() == {}


def test_a_run_is_invalid_when_the_error_exceeds_the_bound() -> None:
    precision = Precision(samples=100, median=0.0001, p99=0.0019, worst=0.01)
    assert precision.holds()
    assert not precision.holds(0.001)
    assert not Precision(samples=0, median=0.0, p99=0.0, worst=0.0).holds()


async def test_a_pair_without_a_link_cannot_be_mapped() -> None:
    async with emulator_process(EmulatorConfig(links=both_ways(FAST)[:1])) as client:
        with pytest.raises(LocalProtocolError, match="no link a -> c"):
            await client.map("a", "c", ("127.0.0.1", 9))
        with pytest.raises(LocalProtocolError, match="no link b -> a"):
            await client.map("a", "b", ("127.0.0.1", 9))


async def test_the_same_address_has_the_same_alias_and_another_has_its_own() -> None:
    async with emulator_process(EmulatorConfig(links=both_ways(FAST))) as client:
        first = await client.map("a", "b", ("127.0.0.1", 9))
        assert await client.map("a", "b", ("127.0.0.1", 9)) == first
        assert await client.map("a", "b", ("127.0.0.1", 10)) != first


async def test_nonsense_on_the_control_socket_ends_only_that_connection() -> None:
    async with emulator_process(EmulatorConfig(links=both_ways(FAST))) as client:
        host, port = client.address
        for nonsense in (b"\x00\x00\x00\x01\xff", b"\xff\xff\xff\xff", b"\x00\x00"):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(nonsense)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        assert set(await client.counters()) == {("a", "b"), ("b", "a")}


async def test_the_emulator_stops_when_asked() -> None:
    async with emulator_process(EmulatorConfig()) as client:
        await client.stop()
        with pytest.raises(LocalProtocolError, match="has ended"):
            await client.counters()


async def test_the_emulator_can_run_in_a_thread_of_its_own() -> None:
    address: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def ready(at: tuple[str, int]) -> None:
        loop.call_soon_threadsafe(address.put_nowait, at)

    running = loop.run_in_executor(None, lambda: run(EmulatorConfig(links=both_ways(FAST)), ready=ready))
    client = await EmulatorClient.connect(*await address.get())
    async with two_nodes(client) as (a, b, to_b, to_a):
        a.sock.sendto(b"x", to_b)
        assert (await b.receive())[:2] == (b"x", to_a)
        assert (await client.counters())["a", "b"].forwarded == 1
    calibrated = await client.calibrate(packets=5, delay=0.001)
    assert calibrated.samples == 5
    await client.stop()
    await client.close()
    async with asyncio.timeout(5.0):
        await running


def test_the_emulator_ends_with_its_parent() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "meshsim.node.emulator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    output, _ = process.communicate(msgspec.json.encode(EmulatorConfig()) + b"\n", timeout=20)
    assert process.returncode == 0
    host, port = msgspec.json.decode(output)
    with pytest.raises(ConnectionRefusedError), socket.create_connection((host, port)):
        pass
