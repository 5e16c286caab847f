"""From a question to an answer to show: runs, experiments, figures, reports, the demo. Nothing below imports this.

Names load when first used: a worker process that only simulates loads no pandas, matplotlib or torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"Result": "run", "list_experiments": "experiment", "run_experiment": "experiment"}

__all__ = [  # noqa: PLE0604 - the keys are strings
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"meshsim.lab.{_HOMES[name]}"), name)
