"""Repair of lost packets: asking for them again (NACK), and the exclusive or of a group (FEC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.sim.rtc.packet import Packet

T = TypeVar("T")

MOST_TRIES = 10
"""Times that one packet is asked for."""

MARGIN = 0.010
"""Seconds over a round trip after which a packet is asked for again."""

KEPT = 1000
"""Packets that are kept to be sent again, or to repair others with."""


@dataclass(slots=True)
class Missing:
    """A packet that did not come.

    Attributes:
        deadline: When it is of no use any more, seconds.
        ask_at: When it is asked for next.
        tries: How often it was asked for.
    """

    deadline: float
    ask_at: float
    tries: int = 0


class Nacks:
    """What one end lacks of one source, and when it asks for it.

    A packet is asked for as soon as a later one came, then once in a round trip, as long as the answer can be back
    before its deadline.

    >>> nacks = Nacks()
    >>> nacks.take(7, 0.0, 1.0), nacks.take(10, 0.1, 1.0)
    (False, False)
    >>> nacks.due(0.1, 0.2), nacks.due(0.2, 0.2), nacks.due(0.9, 0.2)
    ((8, 9), (), ())
    """

    def __init__(self) -> None:
        self._highest = -1
        self._missing: dict[int, Missing] = {}

    def __len__(self) -> int:
        return len(self._missing)

    def take(self, seq: int, now: float, deadline: float) -> bool:
        """A packet came: whether it had been missing.

        Args:
            seq: Its number, counted on beyond 16 bits.
            now: Seconds.
            deadline: Until when packets that are missing before it are of use.
        """
        if self._highest >= 0:
            for lost in range(self._highest + 1, seq):
                self._missing[lost] = Missing(deadline, now)
        self._highest = max(self._highest, seq)
        return self._missing.pop(seq, None) is not None

    def clear(self) -> None:
        """Nothing that is missing is of use any more."""
        self._missing.clear()

    def due(self, now: float, rtt: float) -> tuple[int, ...]:
        """Numbers to ask for now, ascending; those for which it is too late are given up.

        Args:
            now: Seconds.
            rtt: Until an answer comes, seconds.
        """
        asked = []
        for seq, missing in list(self._missing.items()):
            if now + rtt > missing.deadline or missing.tries >= MOST_TRIES:
                del self._missing[seq]
            elif missing.ask_at <= now:
                missing.tries += 1
                missing.ask_at = now + rtt + MARGIN
                asked.append(seq)
        return tuple(sorted(asked))


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
