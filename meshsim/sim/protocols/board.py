"""The board of an episode whose routes come from a protocol: its nodes, and the one life of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.sim.calls import Switchboard
from meshsim.sim.livecall import DETECTION
from meshsim.sim.protocols.convergence import Convergence
from meshsim.sim.protocols.following import Following
from meshsim.sim.protocols.mesh import ProtocolMesh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.routing.engine import RoutingEngine
    from meshsim.sim.environment import Environment
    from meshsim.sim.ledger import Ledger
    from meshsim.sim.overhead import Overhead
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World


class ProtocolBoard:
    """Carries calls over the next hops of a protocol.

    Args:
        env: The clock.
        world: The truth.
        ledger: Reputations; they are kept, and no protocol heeds them.
        engine: Its policy is named for the protocol.
        recorder: Where it is written.
        overhead: Where bytes are counted.

    Attributes:
        mesh: The nodes.
    """

    def __init__(
        self,
        env: Environment,
        world: World,
        ledger: Ledger,
        engine: RoutingEngine,
        recorder: Recorder,
        overhead: Overhead,
    ) -> None:
        self._overhead = overhead
        self.mesh = ProtocolMesh(env, world, overhead)
        self._convergence = Convergence(env, world, self.mesh, recorder)
        following = Following(env, world, self.mesh, recorder, DETECTION)
        self._calls = Switchboard(env, world, following, ledger, engine, recorder)

    @property
    def counts(self) -> dict[str, int]:
        """Calls by outcome."""
        return self._calls.counts

    def flow_of(self, number: int) -> int:
        """The world's flow of a call, -1 while its media do not flow."""
        return self._calls.flow_of(number)

    def schedule(self) -> None:
        """Puts nodes and calls into the queue."""
        self.mesh.start()
        self._convergence.start()
        self._calls.schedule()

    def settle(self) -> None:
        """The world has drifted."""
        self.mesh.settle()
        self._calls.settle()

    def moved(self, nodes: Sequence[int], handed: Sequence[int]) -> None:
        """The last miles of `nodes` are others, some of them are `handed` over to another place."""
        if handed:
            self.mesh.lay()
        self._calls.moved(nodes, handed)

    def leaving(self, node: int) -> None:
        """Protocols know no goodbye: hellos tell who is gone."""

    def node_down(self, node: int) -> None:
        """A node has vanished."""
        self._convergence.changed("down", node)
        self._calls.node_down(node)

    def node_up(self, node: int) -> None:
        """A node is back and starts with empty tables."""
        self._convergence.changed("up", node)
        self.mesh.restart(node)
        self._calls.node_up(node)

    def routes_cut(self) -> None:
        """Edges below have changed."""
        self._convergence.changed("cut")
        self.mesh.look()
        self._calls.routes_cut()

    def silenced(self, node: int) -> None:
        """A relay may pass nothing on any more."""
        self._calls.silenced(node)

    def replan(self, first: int) -> None:
        """Calls from number `first` on have changed."""
        self._calls.replan(first)

    def rank_anew(self) -> None:
        """Nothing is ranked ahead."""
        self._calls.rank_anew()

    def close(self) -> None:
        """The episode is over."""
        self._calls.close()
        self._convergence.close()
