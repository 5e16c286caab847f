"""Every protocol keeps the contract, with its own periods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.protocols import LinkState, Olsr
from meshsim.testing import ProtocolContract

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol


class TestLinkState(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return LinkState(address, stream=stream, forwards=forwards, now=now)


class TestOlsr(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return Olsr(address, stream=stream, forwards=forwards, now=now)
