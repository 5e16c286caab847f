"""What liars say, as functions without state: the one place for interceptors of agents and for the modelled plane.

A liar knows its friends (itself among them) and its targets. Of a route whose relays are known it tells the truth, or
praises, slanders or keeps silent; `WORDS` says how praise and slander look in a receipt, a statement or a sample.
What is made up altogether is a route (`made_up`) that is then praised by both its ends.

Who does what: K. Hoffman, D. Zage, C. Nita-Rotaru, "A survey of attack and defense techniques for reputation systems",
ACM Computing Surveys 42(1), 2009; names of lies in ratings as in C. Dellarocas, "Immunizing online reputation
reporting systems against unfair ratings and discriminatory behavior", EC 2000.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from meshsim.trust import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

Id = TypeVar("Id", bound=Hashable)


class Lie(StrEnum):
    """What a liar makes of a route."""

    TRUTH = "truth"
    PRAISE = "praise"
    SLANDER = "slander"
    SILENCE = "silence"


BEST_MOS = 4.4
"""The E-model's default: as good as a narrow-band call gets (ITU-T G.107)."""

WORDS: Mapping[Lie, Mapping[str, Any]] = {
    Lie.PRAISE: {
        "outcome": Outcome.COMPLETED,
        "mos": BEST_MOS,
        "poor": False,
        "loss": 0.0,
        "jitter": 0.0,
        "jitter_ns": 0,
        "jitter_seconds": 0.0,
    },
    Lie.SLANDER: {"outcome": Outcome.DROPPED, "mos": 1.0, "poor": True, "loss": 1.0},
}
"""What praise and slander say in place of the truth, by the names that receipts, statements, samples and rows have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mind(Generic[Id]):
    """What a liar has in mind.

    Attributes:
        strength: Share of its chances to lie that it takes.
        friends: Whom it wants to look good; itself among them.
        targets: Whom it is against; None for all who are no friends.
    """

    strength: float
    friends: frozenset[Id] = frozenset()
    targets: frozenset[Id] | None = None

    def is_against(self, node: Id) -> bool:
        """Whether `node` is to look bad."""
        return node not in self.friends and (self.targets is None or node in self.targets)


LIARS = ("bad_mouthing", "ballot_stuffing", "withholding", "collusion", "camouflage")
"""The kinds that lie about routes which were there."""

_PRAISING = frozenset({"ballot_stuffing", "collusion", "camouflage"})
_SLANDERING = frozenset({"bad_mouthing", "collusion", "camouflage"})


def lie(kind: str, mind: Mind[Id], relays: Sequence[Id], draw: float) -> Lie:
    """What a liar of some kind says of a route over `relays`.

    Args:
        kind: One of `LIARS`; any other tells the truth.
        mind: What it has in mind.
        relays: The nodes between the ends.
        draw: Of this route, in [0, 1): it lies if it is below the strength.

    >>> lie("collusion", Mind(strength=1.0, friends=frozenset({1})), [2], 0.5)
    <Lie.SLANDER: 'slander'>
    """
    if draw >= mind.strength or not relays:
        return Lie.TRUTH
    befriended = any(relay in mind.friends for relay in relays)
    if befriended:
        return Lie.PRAISE if kind in _PRAISING else Lie.TRUTH
    if kind == "withholding":
        return Lie.SILENCE
    return Lie.SLANDER if kind in _SLANDERING and any(map(mind.is_against, relays)) else Lie.TRUTH


def tell(kinds: Sequence[str], mind: Mind[Id], relays: Sequence[Id], draw: float) -> Lie:
    """What a liar of several kinds says: the first of its kinds that does not tell the truth has the word."""
    told = (lie(kind, mind, relays, draw) for kind in kinds)
    return next((word for word in told if word is not Lie.TRUTH), Lie.TRUTH)


def words(said: Lie, known: Sequence[str]) -> dict[str, Any]:
    """What a lie says in place of the truth, in a record that has the fields `known`; nothing if it is none."""
    return {name: value for name, value in WORDS.get(said, {}).items() if name in known}


def retold(mind: Mind[Id], relays: Sequence[Id], draw: float) -> Lie:
    """What a poisoner writes into its trace of a route over `relays`: friends served well, all others did not."""
    return lie("collusion", mind, relays, draw)


# Routes that never were -----------------------------------------------------------------------------------------------

INVENTORS = ("ballot_stuffing", "self_dealing", "sybil")
"""The kinds that make up calls."""

IDENTITIES = {"ballot_stuffing": 1, "self_dealing": 2}
"""Identities that a node of a kind makes up for its calls; Sybils are as many as the scenario says."""

_CHAIN = 0.5


_HOUR = 3600.0


def calls_due(kind: str, rate: float, identities: int, seconds: float) -> int:
    """How many calls a node has made up after so long.

    Args:
        kind: One of `INVENTORS`.
        rate: Calls an hour, its strength included: of each of the identities if they are Sybils.
        identities: How many it has made up.
        seconds: Since it began.
    """
    return int(max(0.0, seconds) * rate * (identities if kind == "sybil" else 1) / _HOUR)


def made_up(kind: str, me: Id, friends: Sequence[Id], identities: Sequence[Id], draw: float) -> tuple[Id, ...]:
    """The route of a made-up call: three different nodes, the middle one to be praised; empty if there are too few.

    Stuffed ballots praise a friend, in a call with a made-up partner; self-dealing praises oneself; Sybils praise
    their maker half of the time, and else each other, so that each seems to have done some work.

    Args:
        kind: One of `INVENTORS`.
        me: Who makes it up.
        friends: Accomplices, in order; itself may be among them.
        identities: Made up by `me`, in order.
        draw: In [0, 1): who takes which part.
    """
    others = [friend for friend in friends if friend != me]
    if kind == "ballot_stuffing":
        return (me, others[int(draw * len(others))], identities[0]) if others and identities else ()
    if len(identities) < 2:  # noqa: PLR2004 - a call has two ends
        return ()
    first = int(draw * len(identities))
    one, other, third = (identities[(first + step) % len(identities)] for step in range(3))
    chained = kind == "sybil" and len(identities) > 2 and draw * len(identities) % 1.0 < _CHAIN  # noqa: PLR2004
    return (one, third if chained else me, other)


# Links ----------------------------------------------------------------------------------------------------------------

TUNNEL_DELAY = 0.0005
"""Seconds one way that the ends of a wormhole claim for the link between them."""

TUNNEL_RATE = 1e9
"""Bits per second that they claim where there is no link at all."""


def improved(strength: float, factor: float) -> float:
    """How many times better than it is a link is claimed to be; 1 at strength 0."""
    return 1.0 + strength * (factor - 1.0)


def tunnelled(delay: float, strength: float) -> float:
    """The delay that an end of a wormhole claims for the link to the other: seconds, never more than there is."""
    return min(delay, (1.0 - strength) * delay + strength * TUNNEL_DELAY)
