"""The words of the field: ids, errors, units, seeds, topologies, views, media, quality. Imports no other package.

Only what needs no NumPy is imported here; arrays live in `mesh.topology`, `mesh.view`, `mesh.quality`, `mesh.geo` and
`mesh.seeds`.
"""

from __future__ import annotations

from meshsim.mesh.errors import (
    ConfigError,
    IdentityError,
    LocalProtocolError,
    MeshSimError,
    MissingExtra,
    NoRoute,
    ProtocolError,
    RemoteProtocolError,
    TraceError,
)
from meshsim.mesh.ids import AuraID, CallId, NodeId, did_key, from_did_key, node_id, short
from meshsim.mesh.media import AicPolicy, AicProfile, Demand, MediaType, demand
from meshsim.mesh.registry import Registry
from meshsim.mesh.time import Instant, to_nanoseconds, to_seconds

__all__ = [
    "AicPolicy",
    "AicProfile",
    "AuraID",
    "CallId",
    "ConfigError",
    "Demand",
    "IdentityError",
    "Instant",
    "LocalProtocolError",
    "MediaType",
    "MeshSimError",
    "MissingExtra",
    "NoRoute",
    "NodeId",
    "ProtocolError",
    "Registry",
    "RemoteProtocolError",
    "TraceError",
    "demand",
    "did_key",
    "from_did_key",
    "node_id",
    "short",
    "to_nanoseconds",
    "to_seconds",
]
