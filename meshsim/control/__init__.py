"""The control plane: a registry of signed node records and a rendezvous. Names load when first used.

`client` is the SDK and imports no server code; only `http` imports FastAPI.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "FileStore": "service",
    "Incoming": "client",
    "MemoryStore": "service",
    "RegistryClient": "client",
    "RegistryService": "service",
    "Store": "service",
    "create_app": "http",
    "embedded": "http",
    "serve": "http",
}

__all__ = [  # noqa: PLE0604 - the keys are strings
    *_HOMES,
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"meshsim.control.{_HOMES[name]}"), name)
