"""Backpressure: data go where queues are short, and without queues along shortest paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.protocols import Backpressure
from meshsim.testing import ProtocolContract

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol


class TestBackpressure(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return Backpressure(address, stream=stream, forwards=forwards, now=now)
