"""Emulated links for real datagrams, in a process of their own: `python -m meshsim.node.emulator`.

For each node that another one may see stands an alias: a UDP socket of the emulator. What node a sends to b's alias
goes through `links.step` with the parameters of a -> b and leaves, in its time, from the alias that b knows as a:
neither node ever learns the other's real address.
"""

from __future__ import annotations

import array
import contextlib
import functools
import heapq
import itertools
import os
import selectors
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from meshsim.links import IDLE, LinkParameters, step
from meshsim.mesh.errors import ConfigError, MeshSimError
from meshsim.mesh.seeds import SeedTree
from meshsim.node.emulation import (
    FRAME_BYTES,
    LENGTH_BYTES,
    Address,
    Calibrate,
    Counted,
    Done,
    EmulatedLink,
    EmulatorConfig,
    Failed,
    LinkCounts,
    MapAddress,
    Mapped,
    Precision,
    ReadCounts,
    ReadPrecision,
    Reply,
    Request,
    SetLinks,
    frame,
    reply_encoder,
    request_decoder,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.node.traffic import DirectedLink

HEADER_BYTES = 28
"""IPv4 and UDP headers: part of a datagram's size on the emulated wire."""

_SPIN = 150e-6  # a sleeping process wakes up late by about this much, so the last stretch is polled
_IDLE_WAIT = 0.5
_NICENESS = -10  # where the system allows it: busy nodes beside it must not shift its departures
_BUFFER_BYTES = 1 << 22
_ALIASES_PER_LINK = 128
_LATENESS_KEPT = 1 << 14
_DRAWS = 1024
_TIMESTAMP_OPTION = 35  # SO_TIMESTAMPNS of Linux; Python has no name for it
_TIMESPEC = struct.Struct("@qq")
_OLDEST_STAMP = 0.1
_CALIBRATION = "calibration "
"""How the names of the emulator's own links begin."""
_CALIBRATION_GAP = 0.001
_CALIBRATION_GRACE = 0.05


class DirectedPipe:
    """One directed link: its parameters, its state, its draws and its counts.

    Args:
        link: The names of its ends and its parameters.
        seed: Of the run; draw n of a link belongs to its n-th datagram.
    """

    def __init__(self, link: EmulatedLink, seed: int) -> None:
        self.src, self.dst = link.src, link.dst
        self.received = self.received_bytes = self.forwarded = 0
        self.dropped_loss = self.dropped_queue = self.refused = self.waiting = 0
        self._stream = SeedTree(seed).stream(f"emulator/{link.src}>{link.dst}")
        self._draws = self._stream.uniform(0, _DRAWS)
        self._state = IDLE
        self.set_parameters(link.parameters)

    def set_parameters(self, parameters: LinkParameters) -> None:
        """Changes how the next datagrams are treated; those under way keep their time."""
        self._coefficients = parameters.coefficients()

    def offer(self, now: float, size: int) -> float | None:
        """When a datagram of `size` bytes that came in at `now` leaves, or None if it is dropped."""
        at = 2 * self.received % _DRAWS
        if at == 0:
            self._draws = self._stream.uniform(2 * self.received, _DRAWS)
        self.received += 1
        self.received_bytes += size
        passage = step(now, size + HEADER_BYTES, self._draws[at], self._draws[at + 1], self._state, self._coefficients)
        self._state = passage.state
        if passage.delivered:
            self.waiting += 1
            return float(passage.arrival)
        if passage.lost:
            self.dropped_loss += 1
        else:
            self.dropped_queue += 1
        return None

    def counts(self) -> LinkCounts:
        """What became of its datagrams."""
        return LinkCounts(
            src=self.src,
            dst=self.dst,
            received=self.received,
            received_bytes=self.received_bytes,
            forwarded=self.forwarded,
            dropped_loss=self.dropped_loss,
            dropped_queue=self.dropped_queue,
            refused=self.refused,
            waiting=self.waiting,
        )


class Alias:
    """A socket that stands for one address of node `owner` in the eyes of node `viewer`."""

    __slots__ = ("address", "owner", "sock", "viewer")

    def __init__(self, owner: str, viewer: str, address: Address, host: str) -> None:
        self.owner = owner
        self.viewer = viewer
        self.address = address
        self.sock = open_socket(host)


def open_socket(host: str) -> socket.socket:
    """A UDP socket that stamps what it receives with the kernel's time, where the system can."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMP_OPTION, 1)
    sock.setblocking(False)
    sock.bind((host, 0))
    return sock


def receive_stamped(sock: socket.socket) -> tuple[bytes, Address, float]:
    """The next datagram, its sender, and how many seconds ago the kernel took it in."""
    data, ancillary, _, address = sock.recvmsg(65535, 64)
    age = 0.0
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMP_OPTION:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            age = time.time() - (seconds + nanoseconds * 1e-9)
    return data, address, min(max(age, 0.0), _OLDEST_STAMP)


class Emulator:
    """All links between all nodes, moved by one loop.

    Args:
        config: Links, seed and addresses.
    """

    def __init__(self, config: EmulatorConfig) -> None:
        self._config = config
        self._selector = selectors.SelectSelector()
        self._pipes: dict[DirectedLink, DirectedPipe] = {}
        self._aliases: dict[DirectedLink, dict[Address, Alias]] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._lateness = array.array("d")
        self._stopped = False
        for link in config.links:
            self._set_link(link)
        self._listener = socket.create_server((config.host, config.port))
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    @property
    def address(self) -> Address:
        """Host and TCP port of the control socket."""
        host, port = self._listener.getsockname()
        return host, port

    def stop_with(self, stream: int) -> None:
        """Ends the emulator when the file descriptor `stream` reaches its end: with the parent process."""
        self._selector.register(stream, selectors.EVENT_READ, self.stop)

    def stop(self) -> None:
        """Leaves `run` after the present step."""
        self._stopped = True

    def run(self) -> None:
        """Moves datagrams until stopped."""
        while not self._stopped:
            now = time.monotonic()
            wait = self._agenda[0][0] - now - _SPIN if self._agenda else _IDLE_WAIT
            for key, _ in self._selector.select(max(wait, 0.0)):
                key.data()
            self._depart_due()
        self._close()

    def _depart_due(self) -> None:
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            heapq.heappop(self._agenda)[2]()

    def _schedule(self, due: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (due, next(self._order), action))

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    # datagrams

    def _set_link(self, link: EmulatedLink) -> None:
        pipe = self._pipes.get((link.src, link.dst))
        if pipe is None:
            self._pipes[link.src, link.dst] = DirectedPipe(link, self._config.seed)
        else:
            pipe.set_parameters(link.parameters)

    def _alias(self, owner: str, viewer: str, address: Address) -> Alias:
        """The alias of `address`, made when first asked for; of very many the oldest is given up."""
        known = self._aliases.setdefault((owner, viewer), {})
        if address not in known:
            if len(known) == _ALIASES_PER_LINK:
                self._drop(known.pop(next(iter(known))).sock)
            alias = known[address] = Alias(owner, viewer, address, self._config.host)
            self._selector.register(alias.sock, selectors.EVENT_READ, functools.partial(self._take, alias))
        return known[address]

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        sock.close()

    def _drain(self) -> None:
        """Takes all that was sent before now, so that counts asked for after a send include it."""
        for alias in [alias for known in self._aliases.values() for alias in known.values()]:
            self._take(alias)

    def _take(self, alias: Alias) -> None:
        """Takes what a node sent to the alias of another one."""
        pipe = self._pipes[alias.viewer, alias.owner]
        while True:
            try:
                data, sender, age = receive_stamped(alias.sock)
            except BlockingIOError:
                return
            due = pipe.offer(time.monotonic() - age, len(data))
            if due is not None:
                back = self._alias(alias.viewer, alias.owner, sender)
                self._schedule(due, functools.partial(self._depart, pipe, back, data, alias.address, due))

    def _depart(self, pipe: DirectedPipe, back: Alias, data: bytes, address: Address, due: float) -> None:
        pipe.waiting -= 1
        try:
            back.sock.sendto(data, address)
        except OSError:
            pipe.refused += 1
            return
        pipe.forwarded += 1
        if len(self._lateness) == _LATENESS_KEPT:
            self._lateness = self._lateness[_LATENESS_KEPT // 2 :]
        self._lateness.append(time.monotonic() - due)

    # control

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(1.0)
        session = _Session(connection)
        self._selector.register(connection, selectors.EVENT_READ, functools.partial(self._serve, session))

    def _serve(self, session: _Session) -> None:
        try:
            for request in session.read():
                self._answer(session, request)
        except (OSError, EOFError, ConfigError, ValueError):  # a client that is gone or talks nonsense is let go
            self._drop(session.sock)

    def _answer(self, session: _Session, request: Request) -> None:
        try:
            reply = self._perform(session, request)
        except MeshSimError as error:
            reply = Failed(str(error))
        if reply is not None:
            session.reply(reply)

    def _perform(self, session: _Session, request: Request) -> Reply | None:
        match request:
            case MapAddress(src, dst, address):
                return Mapped(self._map(src, dst, address))
            case SetLinks(links):
                for link in links:
                    self._set_link(link)
                return Done()
            case ReadCounts():
                self._drain()
                return Counted(
                    tuple(pipe.counts() for pipe in self._pipes.values() if not pipe.src.startswith(_CALIBRATION))
                )
            case ReadPrecision():
                return _precision(np.abs(np.asarray(self._lateness)), 0)
            case Calibrate(packets, delay, links):
                self._calibrate(session, packets, delay, max(1, links))
                return None
            case _:
                self.stop()
                return Done()

    def _map(self, src: str, dst: str, address: Address) -> Address:
        for link in ((src, dst), (dst, src)):
            if link not in self._pipes:
                raise ConfigError(f"no link {link[0]} -> {link[1]}", allowed=[f"{a} -> {b}" for a, b in self._pipes])
        host, port = self._alias(src, dst, address).sock.getsockname()
        return host, port

    # calibration

    def _calibrate(self, session: _Session, packets: int, delay: float, links: int) -> None:
        """Sends datagrams over links of its own, as nodes would; the reply comes when the last one is due."""
        errors: list[float] = []
        pairs = [self._own_link(k, delay, errors) for k in range(links)]
        start = time.monotonic()
        for shot in range(packets):
            sender, address, _ = pairs[shot % links]
            self._schedule(start + shot * _CALIBRATION_GAP, functools.partial(_shoot, sender, address))

        def finish() -> None:
            for sender, _, receiver in pairs:
                sender.close()
                self._drop(receiver)
            self._forget(_CALIBRATION)
            self._lateness = array.array("d")
            session.reply(_precision(np.abs(np.asarray(errors)), packets - len(errors)))

        self._schedule(start + packets * _CALIBRATION_GAP + delay + _CALIBRATION_GRACE, finish)

    def _forget(self, prefix: str) -> None:
        """Gives up all links of nodes whose names begin like this."""
        for ends in [ends for ends in self._aliases if ends[0].startswith(prefix)]:
            for alias in self._aliases.pop(ends).values():
                self._drop(alias.sock)
        self._pipes = {ends: pipe for ends, pipe in self._pipes.items() if not ends[0].startswith(prefix)}

    def _own_link(self, number: int, delay: float, errors: list[float]) -> tuple[socket.socket, Address, socket.socket]:
        """A link for the self-test: the socket that sends, where it sends to, and the socket that notes its errors."""
        source, target = f"{_CALIBRATION}source {number}", f"{_CALIBRATION}target {number}"
        for link in ((source, target), (target, source)):
            self._set_link(EmulatedLink(*link, LinkParameters(rate_bps=1e9, propagation=delay)))
        sender, receiver = open_socket(self._config.host), open_socket(self._config.host)
        alias = self._alias(target, source, receiver.getsockname())
        self._selector.register(receiver, selectors.EVENT_READ, functools.partial(_note, receiver, delay, errors))
        return sender, alias.sock.getsockname(), receiver


def _shoot(sender: socket.socket, address: Address) -> None:
    sender.sendto(struct.pack("!d", time.time()), address)


def _note(receiver: socket.socket, delay: float, errors: list[float]) -> None:
    data, _, age = receive_stamped(receiver)
    errors.append(time.time() - age - struct.unpack("!d", data)[0] - delay)


def _precision(errors: np.ndarray[tuple[int], np.dtype[np.float64]], lost: int) -> Precision:
    if not len(errors):
        return Precision(samples=0, lost=lost, median=0.0, p99=0.0, worst=0.0)
    return Precision(
        samples=len(errors),
        lost=lost,
        median=float(np.median(errors)),
        p99=float(np.quantile(errors, 0.99)),
        worst=float(errors.max()),
    )


class _Session:
    """One client of the control socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()

    def read(self) -> list[Request]:
        """The requests complete so far.

        Raises:
            EOFError: When the client is gone, or sends what is no request.
        """
        chunk = self.sock.recv(65536)
        if not chunk:
            raise EOFError
        self._buffer += chunk
        requests = []
        while (size := self._frame_size()) is not None:
            body = bytes(self._buffer[LENGTH_BYTES : LENGTH_BYTES + size])
            del self._buffer[: LENGTH_BYTES + size]
            requests.append(request_decoder.decode(body))
        return requests

    def _frame_size(self) -> int | None:
        """Bytes of the first request, once it is complete."""
        size = int.from_bytes(self._buffer[:LENGTH_BYTES], "big")
        if size > FRAME_BYTES:
            raise EOFError
        complete = len(self._buffer) >= LENGTH_BYTES + size
        return size if complete and len(self._buffer) >= LENGTH_BYTES else None

    def reply(self, reply: Reply) -> None:
        """Sends a reply; a client that does not take it is noticed at the next read."""
        try:
            self.sock.sendall(frame(reply_encoder.encode(reply)))
        except OSError:
            return


def run(config: EmulatorConfig, *, ready: Callable[[Address], None] | None = None, lifeline: int | None = None) -> None:
    """Runs an emulator until a client stops it.

    Args:
        config: Links, seed and addresses.
        ready: Told the control socket's address.
        lifeline: A file descriptor at whose end the emulator ends too.
    """
    emulator = Emulator(config)
    if lifeline is not None:
        emulator.stop_with(lifeline)
    if ready is not None:
        ready(emulator.address)
    emulator.run()


def main() -> None:
    """Reads the configuration (a line of JSON) from standard input, writes the control address, serves to the end."""
    config = msgspec.json.decode(sys.stdin.buffer.readline(), type=EmulatorConfig)
    with contextlib.suppress(PermissionError):
        os.nice(_NICENESS)

    def announce(address: Address) -> None:
        sys.stdout.write(msgspec.json.encode(address).decode() + "\n")
        sys.stdout.flush()

    run(config, ready=announce, lifeline=sys.stdin.fileno())


if __name__ == "__main__":
    main()
