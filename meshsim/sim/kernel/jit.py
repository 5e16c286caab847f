"""The compiler of the kernel, with types kept, and a cache that knows all the texts that are compiled."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numba

from meshsim import links

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType

F = TypeVar("F", bound="Callable[..., object]")


_compile = cast("Callable[[FunctionType], object]", numba.njit(_nrt=False))  # type: ignore[call-overload] # numba has no type for it
# Without numba's counting of references: nothing compiled here makes an array, and with it every call would count each
# array of the state up and down, which took two thirds of the time.


def jit(function: F) -> F:
    """`function`, compiled with its caller: it has no cache of its own, so that none can be stale."""
    return cast("F", _compile(cast("FunctionType", function)))


def link_step(function: F) -> F:
    """A function of `meshsim.links`, compiled with all that it calls."""
    return links.compiled(function, _compile)


def cached(function: F) -> F:
    """`function`, compiled once per machine and version of the texts: for the doors that Python enters by.

    numba names and dates its cache by the file that a function stands in, not by the files of what it calls; so the
    version of them all goes into the name.
    """
    function.__qualname__ = f"{function.__qualname__}_{_version()}"
    return cast("F", numba.njit(cache=True)(function))


_PLAIN = ("__init__", "build", "kernel", "network", "results")
"""Modules of which nothing is compiled."""


@functools.cache
def _version() -> str:
    """Changes with any text that may be compiled, here or in `meshsim.links`."""
    digest = hashlib.blake2b(digest_size=8)
    for folder in (Path(__file__).parent, Path(links.__file__).parent):
        for path in sorted(folder.glob("*.py")):
            if path.stem not in _PLAIN:
                digest.update(path.read_bytes())
    return digest.hexdigest()
