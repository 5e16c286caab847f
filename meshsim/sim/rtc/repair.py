"""Repair of lost packets without asking: the exclusive or of a group (FEC)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.sim.rtc.packet import Packet

T = TypeVar("T")

KEPT = 1000
"""Packets that are kept to be sent again, or to repair others with."""


class Groups:
    """A sender's groups of `size` packets of one source, each protected by one more; size 0 protects none.

    Args:
        size: Packets of a group.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._open: list[Packet] = []

    def add(self, packet: Packet) -> tuple[Packet, ...]:
        """A packet is sent: the group that is complete with it, else nothing."""
        if not self._size:
            return ()
        self._open.append(packet)
        if len(self._open) < self._size:
            return ()
        group, self._open = tuple(self._open), []
        return group


class Repairer(Generic[T]):
    """A receiver's side of groups: it finds what can be restored. Packets are of any kind, told apart by number.

    >>> repairer = Repairer[str]()
    >>> repairer.took(1), repairer.took(3), repairer.group({1: "a", 2: "b", 3: "c"})
    (None, None, 'b')
    """

    def __init__(self) -> None:
        self._here: dict[int, None] = {}
        self._waiting: dict[int, dict[int, T]] = {}
        self._groups = 0

    def took(self, seq: int) -> T | None:
        """A packet is here: another that can be restored with it, if there is one."""
        self._here[seq] = None
        if len(self._here) > KEPT:
            del self._here[next(iter(self._here))]
        for number, lacking in self._waiting.items():
            if seq in lacking:
                del lacking[seq]
                return self._last(number, lacking)
        return None

    def group(self, members: Mapping[int, T]) -> T | None:
        """A repair packet is here, which protects `members`: the one that it restores, if just one is not here."""
        lacking = {seq: packet for seq, packet in members.items() if seq not in self._here}
        if not lacking:
            return None
        self._groups += 1
        self._waiting[self._groups] = lacking
        self._waiting.pop(self._groups - KEPT, None)
        return self._last(self._groups, lacking)

    def _last(self, number: int, lacking: dict[int, T]) -> T | None:
        if len(lacking) > 1:
            return None
        del self._waiting[number]
        return next(iter(lacking.values()), None)
