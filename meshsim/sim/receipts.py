"""What the ends of calls say of relays, and when the ledger hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.mesh.seeds import SeedTree

if TYPE_CHECKING:
    from meshsim.scenario.plan import Plan
    from meshsim.sim.environment import Environment
    from meshsim.sim.ledger import Ledger
    from meshsim.sim.livecall import LiveCall
    from meshsim.trust import EventKind


class Receipts:
    """Receipts of both ends of calls, on their way to the ledger.

    Args:
        env: The clock.
        plan: The episode.
        ledger: Who takes them in.
    """

    def __init__(self, env: Environment, plan: Plan, ledger: Ledger) -> None:
        self._env, self._ledger, self._seeds = env, ledger, SeedTree(plan.seed)
        self._period = plan.scenario.control.digest_period

    def judge(self, call: LiveCall, lived: tuple[float, float, float]) -> None:
        """Says of the relays of a call's last path what it was like: nobody can tell which of several spoilt it.

        Args:
            call: Just over.
            lived: Rtt, jitter and loss on that path.
        """
        relays, now = call.path[1:-1], self._env.now
        for node in relays:
            arrives = self._arrives(call, node)
            self._ledger.judge(node, lived, call.media, sharing=len(relays), happened=now, arrives=arrives)

    def accuse(self, call: LiveCall, node: int, kind: EventKind, *, sharing: int = 1) -> None:
        """Says that a call broke on `node`, or on one of as many as share the blame."""
        arrives = self._arrives(call, node)
        self._ledger.accuse(node, kind, sharing=sharing, happened=self._env.now, arrives=arrives)

    def _arrives(self, call: LiveCall, node: int) -> float:
        """When a receipt arrives that is sent now: it travels with one of the next digests."""
        return self._env.now + self._seeds.stream("receipt", call.number).at(node) * self._period
