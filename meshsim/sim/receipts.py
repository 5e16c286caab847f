"""What the nodes of a route state when it is over, and when the ledger hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.ledger import NOTHING, Fact
from meshsim.trust import Outcome

if TYPE_CHECKING:
    from meshsim.scenario.plan import Plan
    from meshsim.sim.environment import Environment
    from meshsim.sim.ledger import Ledger
    from meshsim.sim.livecall import LiveCall


class Receipts:
    """Receipts on their way to the ledger; those of one route travel together.

    Args:
        env: The clock.
        plan: The episode.
        ledger: Who takes them in.
    """

    def __init__(self, env: Environment, plan: Plan, ledger: Ledger) -> None:
        self._env, self._ledger, self._seeds = env, ledger, SeedTree(plan.seed)
        self._period = plan.scenario.control.digest_period
        self._written = 0

    def complete(self, call: LiveCall, lived: tuple[float, float, float]) -> None:
        """The last route of a call ran to its end: both ends and the relays say so.

        Args:
            call: Just over.
            lived: Rtt, jitter and loss on that route.
        """
        self._send(call, Outcome.COMPLETED, lived)

    def accuse(self, call: LiveCall, outcome: Outcome) -> None:
        """The route of a call failed: both ends say so, or the caller alone if the callee never heard of it."""
        self._send(call, outcome, NOTHING)

    def _send(self, call: LiveCall, outcome: Outcome, lived: tuple[float, float, float]) -> None:
        if len(call.path) == 2:  # noqa: PLR2004 - caller and callee alone: no relay to judge
            return
        now = self._env.now
        self._written += 1
        # with one of the next digests
        arrives = now + self._seeds.stream("receipt", call.number).at(self._written) * self._period
        promised = call.claims[2:] if call.path == call.first else NOTHING
        self._ledger.hear(
            Fact(arrives, self._written, call.number, call.path, outcome, lived, promised, call.media, now)
        )
