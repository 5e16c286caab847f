"""A named set of exchangeable parts: policies, reputation models, topologies, misbehaviours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from meshsim.mesh.errors import ConfigError, nearest

T = TypeVar("T")


def group_of(kind: str) -> str:
    """The group of entry points that adds parts of a kind from outside.

    >>> group_of("routing policy")
    'meshsim.routing_policy'
    """
    return f"meshsim.{kind.replace(' ', '_')}"


class Registry(Generic[T]):
    """Parts by name; unknown names are refused with the known ones.

    Entry points add parts from outside, in the group that `group_of` names. One that cannot be loaded is told to who
    asks for it by name, and is no part to others.

    >>> shapes = Registry("shape")
    >>> shapes.add("square", 4)
    >>> shapes["square"]
    4
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}
        self._broken: dict[str, str] = {}
        self._discovered = False

    def add(self, name: str, part: T) -> None:
        """Makes `part` known as `name`.

        Raises:
            ConfigError: If the name is taken by another part.
        """
        if self._parts.get(name, part) is not part:
            raise ConfigError(f"{self.kind} {name!r} exists already")
        self._parts[name] = part

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""

        def keep(part: T) -> T:
            self.add(name, part)
            return part

        return keep

    def __getitem__(self, name: str) -> T:
        if name not in self._parts:
            self._discover()
        if name in self._broken and name not in self._parts:
            raise ConfigError(f"{self.kind} {name!r} cannot be loaded: {self._broken[name]}")
        if name not in self._parts:
            raise ConfigError(f"unknown {self.kind} {name!r}", allowed=list(self), nearest=nearest(name, self))
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._parts:
            self._discover()
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(sorted(self._parts))

    def __len__(self) -> int:
        self._discover()
        return len(self._parts)

    def _discover(self) -> None:
        if self._discovered:
            return
        from importlib.metadata import entry_points  # noqa: PLC0415 - 40 ms that most programs never need

        self._discovered = True
        for point in entry_points(group=group_of(self.kind)):
            try:
                self._parts.setdefault(point.name, point.load())
            except Exception as error:  # noqa: BLE001 - whatever a stranger's module raises; who asks for it is told
                self._broken[point.name] = f"{point.value}: {type(error).__name__}: {error}"
