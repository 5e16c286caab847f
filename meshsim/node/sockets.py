"""The sockets under a peer connection: on which addresses, and every datagram counted where it meets the kernel.

aioice is told which local addresses to use (it skips loopback), and its socket protocol is replaced by one that counts.
Both hold only while a link gathers candidates; without one aioice behaves as ever.
"""

from __future__ import annotations

import contextvars
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from aioice import ice

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from meshsim.node.traffic import Traffic

_gathering: contextvars.ContextVar[tuple[tuple[str, ...], Traffic] | None] = contextvars.ContextVar(
    "meshsim_gathering", default=None
)
"""Set while a link gathers candidates: its addresses and counters. Without it aioice behaves as ever."""


@contextmanager
def gather_on(addresses: tuple[str, ...], traffic: Traffic) -> Iterator[None]:
    """Candidates gathered meanwhile are on `addresses` only, and their datagrams count in `traffic`."""
    token = _gathering.set((addresses, traffic))
    try:
        yield
    finally:
        _gathering.reset(token)


_host_addresses = ice.get_host_addresses


def _addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:  # noqa: FBT001 - aioice's signature
    gathering = _gathering.get()
    return _host_addresses(use_ipv4, use_ipv6) if gathering is None else list(gathering[0])


class _CountedTransport:
    """A datagram transport that counts what the kernel took."""

    def __init__(self, transport: asyncio.DatagramTransport, traffic: Traffic) -> None:
        self._transport = transport
        self._traffic = traffic
        self.refused = 0

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        """Sends a datagram; `refused` grows while it is sent if the kernel did not take it."""
        refused = self.refused
        self._transport.sendto(data, address)
        if self.refused == refused:
            self._traffic.count_sent(len(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _CountedProtocol(ice.StunProtocol):
    """aioice's socket protocol with counters, if a link is gathering."""

    _counted: _CountedTransport | None = None
    _traffic: Traffic | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        gathering = _gathering.get()
        if gathering is not None:
            self._traffic = gathering[1]
            self._counted = _CountedTransport(cast("asyncio.DatagramTransport", transport), self._traffic)
            transport = cast("asyncio.DatagramTransport", self._counted)
        super().connection_made(transport)

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if self._traffic is not None:
            self._traffic.count_received(len(data))
        super().datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        if self._counted is not None:
            self._counted.refused += 1
        super().error_received(exc)


ice.get_host_addresses = _addresses
ice.StunProtocol = _CountedProtocol  # type: ignore[misc]  # aioice looks the class up by this name
