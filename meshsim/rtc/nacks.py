"""Asking for lost packets again (NACK, RFC 4585): what one end lacks of one source, and when it asks for it."""

from __future__ import annotations

from dataclasses import dataclass

MOST_TRIES = 10
"""Times that one packet is asked for."""

MARGIN = 0.010
"""Seconds over a round trip after which a packet is asked for again."""


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
