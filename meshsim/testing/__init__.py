"""For people who write plug-ins: hypothesis strategies and the contract tests that a new part has to pass.

Needs `hypothesis` (and `networkx` for the path tests), which come with `pip install 'meshsim[dev]'`.
"""

from __future__ import annotations

from meshsim.testing.policies import PolicyContract
from meshsim.testing.strategies import Case, cases, network_views, relabelled

__all__ = ["Case", "PolicyContract", "cases", "network_views", "relabelled"]
