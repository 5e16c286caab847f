"""The packet engine: networks of links and flows, packet by packet, compiled."""

from __future__ import annotations

from meshsim.sim.kernel.kernel import FlowCounters, Kernel, run_network

__all__ = ["FlowCounters", "Kernel", "run_network"]
