"""Generators of the package hold the contract that those of others are held to."""

from __future__ import annotations

from meshsim.scenario.topologies import GENERATORS
from meshsim.testing import TopologyContract


class TestGrid(TopologyContract):
    draw = staticmethod(GENERATORS["grid"])
    sizes = ({}, {"rows": 1, "columns": 2})
    drawn = False


class TestWaxman(TopologyContract):
    draw = staticmethod(GENERATORS["waxman"])
    sizes = ({}, {"places": 5, "alpha": 0.01})


class TestBarabasiAlbert(TopologyContract):
    draw = staticmethod(GENERATORS["barabasi_albert"])


class TestHierarchical(TopologyContract):
    draw = staticmethod(GENERATORS["hierarchical"])


class TestNetworkx(TopologyContract):
    draw = staticmethod(GENERATORS["networkx"])
    sizes = ({}, {"name": "random_regular_graph", "d": 3, "n": 10})
