"""The least believed delay, whatever else is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.policies.base import POLICIES, believed_scores

if TYPE_CHECKING:
    from meshsim.routing.features import Features, Scores


@POLICIES.register("shortest")
class Shortest:
    """Least believed RTT; known as `shortest` and as `delay`.

    Attributes:
        name: Which of the two it was asked for by.
    """

    def __init__(self, name: str = "shortest") -> None:
        self.name = name

    def score(self, features: Features) -> Scores:
        """Minus the believed RTT, seconds."""
        return believed_scores(features, -features.belief.rtt)


@POLICIES.register("delay")
def delay() -> Shortest:
    """`Shortest` under the name that comparisons of metrics use."""
    return Shortest("delay")
