"""What misbehaving nodes say of routes in the modelled plane: the lies of `agent.adversary.lies`, on statements.

Calls that never were have negative numbers, identities that nobody has are numbers from N on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.adversary.lies import INVENTORS, LIARS, Lie, calls_due, made_up, tell, words
from meshsim.mesh.seeds import SeedTree
from meshsim.trust.statement import Outcome, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshsim.sim.attacks.cast import Villain

_NUMBERS = 1 << 32
"""Made-up calls that one node can tell apart."""


class Words:
    """The lies about routes in an episode.

    Args:
        villains: Who misbehaves.
        seed: Of the episode.
    """

    def __init__(self, villains: Sequence[Villain], seed: int) -> None:
        self._seeds = SeedTree(seed)
        self._liars = {v.node: v for v in villains if set(LIARS).intersection(v.kinds)}
        self._inventors = [v for v in villains if set(INVENTORS).intersection(v.kinds)]
        self._made: dict[tuple[int, str], int] = {}

    def __bool__(self) -> bool:
        return bool(self._liars or self._inventors)

    def distort(self, statements: list[Statement], now: float) -> list[Statement]:
        """What the signers of `statements`, which are true, really state; some say nothing."""
        if not self._liars:
            return statements
        told = (self._word(statement, now) for statement in statements)
        return [statement for statement in told if statement is not None]

    def _word(self, statement: Statement, now: float) -> Statement | None:
        liar = self._liars.get(statement.signer)
        if liar is None or now not in liar.window:
            return statement
        draw = self._seeds.stream("attack.word", liar.node).at(statement.call)
        said = tell(liar.kinds, liar.mind, statement.path[1:-1], draw)
        if said is Lie.SILENCE:
            return None
        return statement._replace(**words(said, Statement._fields)) if said is not Lie.TRUTH else statement

    def invent(self, now: float) -> list[Statement]:
        """The statements on calls that were made up since this was asked last."""
        return [
            statement
            for villain in self._inventors
            for number, path in self._paths(villain, now)
            for statement in _praises(villain.node * _NUMBERS + number, path, now)
        ]

    def _paths(self, villain: Villain, now: float) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Number and route of each call that a node has made up."""
        seconds = min(now, villain.window.until) - villain.window.since
        friends, stream = sorted(villain.mind.friends), self._seeds.stream("attack.invent", villain.node)
        for place, kind in enumerate(kind for kind in villain.kinds if kind in INVENTORS):
            identities = villain.made_up_for(kind)
            due = calls_due(kind, villain.rate * villain.strength, len(identities), seconds)
            first = self._made.get((villain.node, kind), 0)
            draws = stream.uniform(first, max(0, due - first)).tolist()
            for number, draw in enumerate(draws, first):
                own = number * _WAYS + place * 2
                path = made_up(kind, villain.node, friends, identities, draw)
                if path:
                    yield own, path
                if kind == "sybil" and villain.tricked and number % len(identities) < len(villain.tricked):
                    yield own + 1, _tricked(villain, identities, number, draw)
            self._made[villain.node, kind] = max(due, first)


_WAYS = 2 * len(INVENTORS)


def _tricked(villain: Villain, identities: tuple[int, ...], number: int, draw: float) -> tuple[int, ...]:
    """A call over an attack edge: an honest node was served well by a made-up one, so that it says so."""
    honest = villain.tricked[number % len(identities)]
    served = identities[int(draw * len(identities))]
    return (honest, served, villain.node)


def _praises(number: int, path: tuple[int, ...], now: float) -> list[Statement]:
    """What both ends of a made-up call state, and its relay, which bears them out."""
    praise = words(Lie.PRAISE, Statement._fields)
    blank = Statement(call=-1 - number, attempt=0, path=path, signer=path[0], outcome=Outcome.COMPLETED, at=now)
    return [blank._replace(signer=signer, **praise) for signer in path]
