"""What makes two runs the same run: configuration, seed, model, and the code that simulates."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

SIMULATING = ("mesh", "links", "scenario", "identity", "trust", "measure", "routing", "agent", "sim")
"""Packages whose code decides what comes out of an episode."""

NUMERIC = ("numba", "numpy", "onnxruntime", "onnx", "scipy", "simpy")
"""Libraries of which the same holds; absent ones count as absent."""

_KEY_BYTES = 16


def key_of(said: Mapping[str, Any]) -> str:
    """The key of a run: a hash of what it is, in canonical JSON.

    >>> key_of({"seed": 1, "policy": "direct"}) == key_of({"policy": "direct", "seed": 1})
    True
    """
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).hexdigest()


@functools.cache
def code_fingerprint() -> str:
    """Hash of all code and data of the packages that simulate, and of the versions of what they compute with."""
    digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    for package in SIMULATING:
        for path, content in _sources(files("meshsim") / package, package):
            digest.update(f"{path}\0{len(content)}\0".encode())
            digest.update(content)
    for name in NUMERIC:
        digest.update(f"{name} {_version(name)}\n".encode())
    return digest.hexdigest()


def _sources(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _sources(entry, path)
        elif not entry.name.endswith((".pyc", ".so", ".nbc", ".nbi")):
            yield path, entry.read_bytes()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
