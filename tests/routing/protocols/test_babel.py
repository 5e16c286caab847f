"""Babel: feasible routes only, new sequence numbers on request, retractions, and sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.protocols import Babel
from meshsim.testing import ProtocolContract

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol


class TestBabel(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return Babel(address, stream=stream, forwards=forwards, now=now)
