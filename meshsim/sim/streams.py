"""Media in a simulated mesh of agents: what the nodes of a route opened, what that loads, and what arrives.

Media flow when every node from caller to callee has opened the route; the world says what they are like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.agent import OpenMedia
    from meshsim.mesh.ids import NodeId
    from meshsim.sim.compression import Compression
    from meshsim.sim.resources import Paths
    from meshsim.sim.world import World


@dataclass(slots=True)
class Route:
    """One route's media.

    Attributes:
        next: Node index towards the callee of every node that has it open; -1 at the callee.
        path: Node indices, once all have opened it.
        flow: Number of the world's flow, -1 before.
        laid: The path laid onto the world's resources.
        call: Number of its call in the plan.
        rate: Of either direction, bits per second, where nothing adapts.
        arrived: Bytes that came to the caller, and to the callee.
        passed: Share of packets that its milking relays pass on, multiplied up; the world knows all other misbehaviour.
    """

    next: dict[int, int] = field(default_factory=dict)
    path: tuple[int, ...] = ()
    flow: int = -1
    laid: Paths | None = None
    call: int = -1
    rate: float = 0.0
    arrived: tuple[float, float] = (0.0, 0.0)
    passed: float = 1.0


class MediaFlows:
    """All media of an episode.

    Args:
        world: What they load.
        compression: What AIC takes off them.
    """

    def __init__(self, world: World, compression: Compression) -> None:
        self._world, self._aic = world, compression
        self._milking = {villain.node for villain in world.villains if villain.does("milking")}
        self._routes: dict[int, Route] = {}

    def open(self, node: int, effect: OpenMedia, index: Mapping[NodeId, int], call: int, t: float) -> None:
        """A node opens a route; when the caller does, which is last, the world carries it.

        Args:
            node: Which node.
            effect: What its agent wants.
            index: Row of each node.
            call: Number of the call in the plan.
            t: Now, seconds.
        """
        route = self._routes.setdefault(effect.label, Route())
        route.next[node] = -1 if effect.downstream is None else index[effect.downstream]
        if node in self._milking:
            route.passed *= 1.0 - effect.drop
        if effect.upstream is None:
            path = _follow(route.next, node)
            if path:
                asked = self._aic.demand(call, effect.media, path)
                route.path, route.call = path, call
                route.rate = asked.rate_bps
                route.laid = self._world.lay([path], asked)
                route.flow = self._world.open(route.laid, asked.lowest)
                self._aic.begin(call, effect.media, path, t, effect.label)

    def close(self, node: int, label: int, t: float) -> None:
        """A node closes a route at `t` seconds; the world carries it until the caller does."""
        route = self._routes.get(label)
        if route is None or route.next.pop(node, None) is None:
            return
        if route.path and node == route.path[0]:
            self._world.close_flow(route.flow)
            self._aic.end(route.call, t, label)
            route.flow = -1
        if not route.next:
            del self._routes[label]

    def opened_by(self, node: int) -> list[int]:
        """Labels of the routes that `node` has open."""
        return [label for label, route in self._routes.items() if node in route.next]

    def is_open(self, node: int, label: int) -> bool:
        """Whether `node` has a route open."""
        return label in self._routes and node in self._routes[label].next

    def flow(self, label: int) -> int | None:
        """Number of the world's flow of a route, if it has one."""
        route = self._routes.get(label)
        return None if route is None or route.flow < 0 else route.flow

    def ends(self, label: int) -> tuple[int, ...]:
        """The ends that have a route open."""
        route = self._routes[label]
        ends = (route.path[0], route.path[-1]) if route.path else ()
        return tuple(node for node in ends if node in route.next)

    def count(self, label: int, span: float, loss: float) -> dict[int, int]:
        """What each node that has a route open has carried by now; relays are taken to pass on what the ends receive.

        Args:
            label: Of the route.
            span: Seconds since it was counted last.
            loss: Share of the media that were lost since.

        Returns:
            Bytes by node: received by the ends, passed on both ways by relays.
        """
        route = self._routes[label]
        there, back = self._world.flow_share(route.flow) if route.flow >= 0 else (0.0, 0.0)
        whole = route.rate / 8.0 * span * (1.0 - loss)
        at_caller, at_callee = route.arrived[0] + whole * back, route.arrived[1] + whole * there
        route.arrived = at_caller, at_callee
        counts = dict.fromkeys(route.path, int(at_caller + at_callee))
        counts |= {route.path[0]: int(at_caller), route.path[-1]: int(at_callee)} if route.path else {}
        return {node: carried for node, carried in counts.items() if node in route.next}

    def truth(self, label: int) -> tuple[float, float, float]:
        """RTT, jitter (seconds) and loss of a route now, worse direction; all is lost if a node does not pass on."""
        route = self._routes[label]
        if route.laid is None:
            return math.nan, 0.0, 1.0
        truth = self._world.measure(route.laid)
        if not truth.connected[0] or any(node not in route.next for node in route.path):
            return math.nan, 0.0, 1.0
        loss = float(truth.loss[0])
        if route.passed < 1.0:
            loss = 1.0 - (1.0 - loss) * route.passed
        return float(truth.rtt[0]), float(truth.jitter[0]), loss


def _follow(following: Mapping[int, int], first: int) -> tuple[int, ...]:
    """The nodes from `first` to the callee; empty if one of them has not opened the route."""
    path = [first]
    while following[path[-1]] >= 0:
        if following[path[-1]] not in following:
            return ()
        path.append(following[path[-1]])
    return tuple(path)
