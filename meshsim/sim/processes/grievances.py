"""Reports of abuse in earnest: callers whose calls a relay spoilt accuse the relay that is likely to blame."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshsim.mesh.seeds import SeedTree
from meshsim.trust.abuse import Category, Report

if TYPE_CHECKING:
    from collections.abc import Collection

    from meshsim.trust.docket import Sharing


class Grievance(NamedTuple):
    """A report, and what speaks for it besides the reporter's word.

    Attributes:
        report: Who accuses whom.
        guilt: How likely the subject is to blame, by what was known when the call was over, in [0, 1].
    """

    report: Report
    guilt: float


class Grievances:
    """What callers have to complain of, until the desk asks.

    Whether a caller reports at all is one draw for each call, so that further calls shift none.

    Args:
        share: Of the callers with a spoilt call who report it, in [0, 1].
        liars: Who reports nothing in earnest.
        seed: Of the episode.
        guilt: Who of several relays is likely to blame; evenly shared without it, and one is accused at random.
    """

    def __init__(self, share: float, liars: Collection[int], seed: int, guilt: Sharing | None = None) -> None:
        self._share, self._liars, self._guilt = share, frozenset(liars), guilt
        self._seeds = SeedTree(seed)
        self._waiting: list[Grievance] = []

    def suffer(self, call: int, path: tuple[int, ...], t: float) -> None:
        """A call over these nodes was spoilt, and its caller has heard by `t` seconds."""
        speaks, picks = self._seeds.stream("report", call).uniform(0, 2).tolist()
        if speaks >= self._share or path[0] in self._liars:
            return
        relays = path[1:-1]
        if not relays:
            return
        shares = self._guilt.shares(relays, True, t) if self._guilt else (1.0 / len(relays),) * len(relays)
        likely = [place for place, share in enumerate(shares) if share == max(shares)]
        accused = likely[int(picks * len(likely))]
        report = Report(reporter=path[0], subject=relays[accused], category=Category.TAMPERING, t=t, call=call)
        self._waiting.append(Grievance(report, min(shares[accused], 1.0)))

    def renew(self, node: int) -> None:
        """A node has come back under a new name: what waits by or of the old one is dropped."""
        self._waiting = [one for one in self._waiting if node not in (one.report.reporter, one.report.subject)]

    def due(self) -> list[Grievance]:
        """What has come up since this was asked last."""
        waiting, self._waiting = self._waiting, []
        return waiting
