"""Which set-ups of calls an agent takes at all, whatever room it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.signing import is_signed
from meshsim.mesh.time import to_nanoseconds

if TYPE_CHECKING:
    from meshsim.agent.core import Core
    from meshsim.agent.messages import CallSetup
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant

SEEN_SETUPS = 4096


class Admission:
    """Lets every set-up in once.

    Args:
        core: The agent's common ground.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seen: dict[tuple[CallId, int], None] = {}

    def admits(self, setup: CallSetup, source: NodeId, now: Instant, *, own: bool) -> bool:
        """Whether a set-up holds that came from `source`; if not, why not is counted.

        Args:
            setup: As signed by its first node.
            source: The neighbour that sent it.
            now: The time.
            own: Whether it is of a call that this node has placed.
        """
        fault = self._fault(setup, source, now, own=own)
        if fault:
            self._core.reject(fault)
            return False
        self._seen[setup.call, setup.attempt] = None
        if len(self._seen) > SEEN_SETUPS:
            del self._seen[next(iter(self._seen))]
        return True

    def _fault(self, setup: CallSetup, source: NodeId, now: Instant, *, own: bool) -> str:
        """Why a set-up is not taken; "" if it is good. Nobody is answered who may have forged it."""
        node = self._core.node
        lifetime = setup.expires_ns - to_nanoseconds(now.unix)
        if len(set(setup.path)) != len(setup.path):
            return "looped"
        if node not in setup.path[1:] or setup.path[setup.path.index(node) - 1] != source:
            return "off_path"
        if not 0 < lifetime <= 2 * to_nanoseconds(self._core.config.statement_lifetime):
            return "expired"
        if (setup.call, setup.attempt) in self._seen or own:
            return "replayed"  # an own call's set-ups come from here alone
        return "" if is_signed(setup, setup.path[0], self._core.verifier) else "forged"
