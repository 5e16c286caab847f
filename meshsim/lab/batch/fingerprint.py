"""What makes two runs the same run: configuration, seed, model, and the code that simulates."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
from importlib.resources import files
from pathlib import Path
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
    """Hash of the code and data that simulate: our packages, plug-ins, and the versions of libraries.

    What plug-ins import from elsewhere is known by the version of their distribution alone.
    """
    digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    for package in SIMULATING:
        for path, content in _sources(files("meshsim") / package, package):
            digest.update(f"{path}\0{len(content)}\0".encode())
            digest.update(content)
    for name in NUMERIC:
        digest.update(f"{name} {_version(name)}\n".encode())
    for said, content in _plug_ins():
        digest.update(f"{said}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _plug_ins() -> Iterator[tuple[str, bytes]]:
    """What is registered from outside: each entry point with its distribution, and the code of its package."""
    groups = sorted(group for group in importlib.metadata.entry_points().groups if group.startswith("meshsim."))
    points = [point for group in groups for point in importlib.metadata.entry_points(group=group)]
    for point in sorted(points, key=lambda point: (point.group, point.name, point.value)):
        whose = "" if point.dist is None else f"{point.dist.name} {point.dist.version}"
        yield f"{point.group} {point.name} {point.value} {whose}", b""
    for module in sorted({point.module.partition(".")[0] for point in points}):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations:
            for folder in spec.submodule_search_locations:
                yield from _sources(Path(folder), module)
        elif spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            yield module, Path(spec.origin).read_bytes()


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
