"""B.A.T.M.A.N. IV: qualities of links and of paths, and windows of sequence numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.protocols import Batman, BatmanConfig
from meshsim.testing import ProtocolContract

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import RoutingProtocol


SELDOM = BatmanConfig(interval=2.0)
"""Half the floods, half the time that the contract takes."""


class TestBatman(ProtocolContract):
    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        return Batman(address, stream=stream, forwards=forwards, now=now, config=SELDOM)
