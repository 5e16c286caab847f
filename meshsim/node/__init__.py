"""Real nodes: peer connections, media, signaling, emulated links. Names load when first used: aiortc is not light."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AudioReport": "audio",
    "AudioSink": "audio",
    "AudioSource": "audio",
    "Call": "calls",
    "CallQuality": "calls",
    "CallResult": "calls",
    "Devices": "devices",
    "EmulatedLink": "emulation",
    "EmulatorClient": "emulation",
    "EmulatorConfig": "emulation",
    "Forwarder": "rtp",
    "LinkConfig": "transport",
    "LinkHandlers": "transport",
    "NeighbourHandlers": "neighbours",
    "Neighbours": "neighbours",
    "Node": "runtime",
    "NodeConfig": "config",
    "Offer": "signaling",
    "PeerLink": "transport",
    "RtpPacket": "rtp",
    "Signaling": "signaling",
    "Traffic": "traffic",
    "TrafficBook": "traffic",
    "compare_counts": "traffic",
    "dials": "signaling",
    "emulated_sdp": "emulation",
    "emulator_process": "emulation",
    "load_config": "config",
    "flow_label": "rtp",
}

__all__ = [  # noqa: PLE0604 - the keys are strings
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"meshsim.node.{_HOMES[name]}"), name)
