"""AODV: routes on demand, numbers that only grow, and errors that reach those who use a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.protocols import Aodv, AodvConfig
from meshsim.testing import ProtocolContract

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol


HURRIED = AodvConfig(requests=100)
"""The contract asks for all pairs at once and has a second for it."""


class TestAodv(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return Aodv(address, stream=stream, forwards=forwards, now=now, config=HURRIED)
