"""The engine embedded everywhere: a view and a request in, a route and its reasons out.

`candidates` proposes paths, `constraints` refuses with reasons, `features` turns beliefs into numbers, `policies`
score, `engine` puts them together. Needs the base packages only: no clock, no socket, no simulator.
"""

from __future__ import annotations

from meshsim.routing.engine import Ranking, RoutingEngine
from meshsim.routing.request import Prediction, RouteDecision, RouteRequest

__all__ = ["Prediction", "Ranking", "RouteDecision", "RouteRequest", "RoutingEngine"]
