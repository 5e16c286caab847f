"""For people who write plug-ins: hypothesis strategies and the contract tests that a new part has to pass.

Needs `hypothesis` (and `networkx` for the path tests), which come with `pip install 'meshsim[dev]'`.
"""

from __future__ import annotations

from meshsim.testing.adversaries import AdversaryContract
from meshsim.testing.executors import ExecutorContract
from meshsim.testing.policies import PolicyContract
from meshsim.testing.processes import ProcessContract
from meshsim.testing.protocols import ProtocolContract, Wiring, check_loops, meshes
from meshsim.testing.strategies import Case, cases, network_views, relabelled
from meshsim.testing.topologies import TopologyContract
from meshsim.testing.trust import ReputationContract

__all__ = [
    "AdversaryContract",
    "Case",
    "ExecutorContract",
    "PolicyContract",
    "ProcessContract",
    "ProtocolContract",
    "ReputationContract",
    "TopologyContract",
    "Wiring",
    "cases",
    "check_loops",
    "meshes",
    "network_views",
    "relabelled",
]
