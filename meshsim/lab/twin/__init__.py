"""The same scenario on real nodes: every link emulated as the simulator's world has it, and both measured."""

from __future__ import annotations

from meshsim.lab.twin.compare import Beside
from meshsim.lab.twin.lived import Lived, Measures, Second
from meshsim.lab.twin.one_call import Pair, RealCall, real_call
from meshsim.lab.twin.run import Twin, twin
from meshsim.lab.twin.world import Weather, link_parameters

__all__ = [
    "Beside",
    "Lived",
    "Measures",
    "Pair",
    "RealCall",
    "Second",
    "Twin",
    "Weather",
    "link_parameters",
    "real_call",
    "twin",
]
