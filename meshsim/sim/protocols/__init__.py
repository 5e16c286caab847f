"""Routing protocols in the simulator: real nodes, real messages, real next hops.

`mesh` runs a node of the protocol in every overlay node, over its planned links; `following` sends calls where the next
hops lead; `convergence` watches whether they lead anywhere; `board` ties them to the life of calls, which is that of
`sim.calls`.
"""

from __future__ import annotations

from meshsim.sim.protocols.board import ProtocolBoard

__all__ = ["ProtocolBoard"]
