"""A simulation and research lab for mesh routing of real-time calls.

The public names are loaded when first touched, so that `import meshsim` costs nothing and an embedded engine never
meets the simulator, the learner or the lab.

>>> import meshsim as ms
>>> sorted(ms.__all__)
['Result', 'RoutingEngine', '__version__', 'load_scenario', 'run']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.lab.run import Result, run
    from meshsim.routing import RoutingEngine
    from meshsim.scenario import load as load_scenario

__version__ = "0.1.0"
__all__ = ["Result", "RoutingEngine", "__version__", "load_scenario", "run"]

_HOMES = {
    "Result": ("meshsim.lab.run", "Result"),
    "RoutingEngine": ("meshsim.routing", "RoutingEngine"),
    "load_scenario": ("meshsim.scenario", "load"),
    "run": ("meshsim.lab.run", "run"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'meshsim' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value: object = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
