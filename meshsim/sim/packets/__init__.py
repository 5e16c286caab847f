"""The packet engine to read: the same networks as the compiled kernel, on SimPy's clock, in plain Python.

`run_core` takes what `kernel.run_network` takes and returns the same, packet by packet. How a link treats a packet is
said once, in `meshsim.links`, whose functions are called here as they stand; the rules that the two engines share are
listed in `kernel.network`.
"""

from __future__ import annotations

from meshsim.sim.packets.core import run_core

__all__ = ["run_core"]
