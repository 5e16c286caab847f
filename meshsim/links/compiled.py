"""The same step functions, compiled: by a compiler handed in, so that this layer needs none."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")


def compiled(function: F, jit: Callable[[FunctionType], object]) -> F:
    """`function` compiled by `jit`, together with the plain functions that it calls.

    A compiler such as `numba.njit` takes a function's text as it stands but refuses a call to a function that is not
    compiled itself. Here each called function of `function`'s module is compiled first, and put in its place.

    Args:
        function: A step function, such as `links.step`, or a kernel built of them.
        jit: The compiler: `numba.njit`, or `numba.njit(cache=True)`.

    >>> from meshsim.links import gilbert_for
    >>> compiled(gilbert_for, lambda plain: plain)(0.2, 4.0)
    (0.0625, 0.25)
    """
    plain = cast("FunctionType", function)
    names = {name: plain.__globals__.get(name) for name in plain.__code__.co_names}
    inner = {name: compiled(callee, jit) for name, callee in names.items() if isinstance(callee, FunctionType)}
    twin = FunctionType(plain.__code__, {**plain.__globals__, **inner}, plain.__name__, plain.__defaults__)
    twin.__module__ = plain.__module__
    twin.__qualname__ = plain.__qualname__
    twin.__doc__ = plain.__doc__
    return cast("F", jit(twin))
