"""What a node says of a route that it was on: how it ended, and how it went."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, Protocol


class Outcome(StrEnum):
    """How one route of a call ended."""

    COMPLETED = "completed"
    DROPPED = "dropped"
    TIMEOUT = "timeout"


class Account(Protocol):
    """What a node states of a route; `Statement` is one, an agent's signed receipt another. See there."""

    @property
    def call(self) -> Any:
        """Which call."""

    @property
    def attempt(self) -> int:
        """Which of its routes."""

    @property
    def path(self) -> tuple[Any, ...]:
        """The route's nodes, caller first."""

    @property
    def signer(self) -> Any:
        """One of them."""

    @property
    def outcome(self) -> Outcome:
        """How it ended."""

    @property
    def mos(self) -> float:
        """Mean opinion score."""

    @property
    def poor(self) -> bool:
        """Whether relays are to blame for its quality."""

    @property
    def loss(self) -> float:
        """Probability."""

    @property
    def delay(self) -> float:
        """One-way, seconds."""

    @property
    def jitter(self) -> float:
        """Seconds."""

    @property
    def carried(self) -> int:
        """Media bytes."""

    @property
    def at(self) -> float:
        """When the route ended, seconds."""


class Statement(NamedTuple):
    """How one route of a call went, in the words of one node of its path.

    Attributes:
        call: Which call.
        attempt: Which of its routes.
        path: The route's nodes, caller first.
        signer: One of them.
        outcome: How it ended.
        mos: Mean opinion score, 1 when there were no media.
        poor: Whether relays are to blame for its quality (`trust.conduct.misconduct`), or it failed.
        loss: Probability.
        delay: One-way, seconds.
        jitter: Seconds.
        carried: Media bytes that came to the signer where it is an end, that it passed on both ways where it relays, as
            far as it had counted them.
        at: When the route ended, seconds of the docket's clock.
    """

    call: Any
    attempt: int
    path: tuple[Any, ...]
    signer: Any
    outcome: Outcome
    mos: float = 1.0
    poor: bool = False
    loss: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    carried: int = 0
    at: float = 0.0
