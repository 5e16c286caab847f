"""The compiler of the kernel, with types kept; and a stamp of all the texts that it compiles."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numba

import meshsim.links as links_package
from meshsim.links import compiled

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

F = TypeVar("F", bound="Callable[..., object]")


def jit(function: F) -> F:
    """`function`, compiled with its caller: it has no cache of its own, so that none can be stale."""
    return cast("F", numba.njit(function))


def link_step(function: F) -> F:
    """A function of `meshsim.links`, compiled with all that it calls."""
    return compiled(function, cast("Callable[[FunctionType], object]", numba.njit))


def cached(function: F) -> F:
    """`function`, compiled once per machine and version of the texts: for the doors that Python enters by.

    numba keys its cache by the file that a function stands in, not by the files of what it calls. A door must therefore
    use `stamp()` as a free variable, which numba takes into the key.
    """
    return cast("F", numba.njit(cache=True)(function))


def stamp() -> int:
    """A number that changes with any text of the kernel or of `meshsim.links`."""
    digest = hashlib.blake2b(digest_size=7)
    for folder in (Path(__file__).parent, Path(links_package.__file__).parent):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return int.from_bytes(digest.digest(), "little")
