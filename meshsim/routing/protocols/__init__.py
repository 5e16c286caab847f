"""Routing protocols: stateful nodes without IO, rivals of the engine that pay for their control messages.

`base` says what a protocol is and `packet` how its messages are written; each protocol has a file, and all are known by
name in `PROTOCOLS`.
"""

from __future__ import annotations

from meshsim.routing.protocols.aodv import Aodv, AodvConfig
from meshsim.routing.protocols.babel import Babel
from meshsim.routing.protocols.babelwire import BabelConfig
from meshsim.routing.protocols.backpressure import Backpressure, BackpressureConfig
from meshsim.routing.protocols.base import (
    PROTOCOLS,
    Broadcast,
    Effect,
    RoutingProtocol,
    Tables,
    Unicast,
    make,
)
from meshsim.routing.protocols.batman import Batman, BatmanConfig
from meshsim.routing.protocols.linkstate import LinkState, LinkStateConfig
from meshsim.routing.protocols.olsr import Olsr, OlsrConfig

__all__ = [
    "PROTOCOLS",
    "Aodv",
    "AodvConfig",
    "Babel",
    "BabelConfig",
    "Backpressure",
    "BackpressureConfig",
    "Batman",
    "BatmanConfig",
    "Broadcast",
    "Effect",
    "LinkState",
    "LinkStateConfig",
    "Olsr",
    "OlsrConfig",
    "RoutingProtocol",
    "Tables",
    "Unicast",
    "make",
]
