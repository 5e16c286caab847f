"""The engine embedded everywhere: a view and a request in, a route and its reasons out."""

from __future__ import annotations

from meshsim.routing.request import Prediction, RouteDecision, RouteRequest

__all__ = ["Prediction", "RouteDecision", "RouteRequest"]
