"""The contract of a topology source, as tests: subclass `TopologyContract` and give the generator.

class TestStar(TopologyContract):
    draw = staticmethod(star)
    sizes = ({"places": 5}, {"places": 40})
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import networkx as nx
import numpy as np

from meshsim.testing.streams import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from meshsim.mesh.topology import Topology

SEEDS = (0, 1, 7)
_ARRAYS = ("latitude", "longitude", "src", "dst", "length", "delay", "jitter", "loss", "rate")


class TopologyContract:
    """What every topology source promises.

    Attributes:
        draw: The generator: a function of a seed and, by keyword, of its parameters.
        sizes: Parameters to draw it with.
        drawn: Whether other seeds give other graphs.
    """

    draw: ClassVar[Callable[..., Topology]]
    sizes: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    drawn: ClassVar[bool] = True

    def graphs(self) -> Iterator[Topology]:
        """Every size with every seed."""
        for size in self.sizes:
            for seed in SEEDS:
                yield self.draw(seed, **size)

    def test_it_takes_a_seed_and_its_parameters_by_keyword_with_defaults(self) -> None:
        """A scenario may leave every parameter out."""
        first, *others = inspect.signature(self.draw).parameters.values()
        assert first.name == "seed"
        assert all(one.kind in (one.KEYWORD_ONLY, one.VAR_KEYWORD) for one in others)
        assert all(one.default is not one.empty for one in others if one.kind is one.KEYWORD_ONLY)

    def test_the_same_seed_gives_the_same_arrays(self) -> None:
        """Nothing is drawn but from the seed."""
        for first, again in zip(self.graphs(), self.graphs(), strict=True):
            assert first.names == again.names
            for name in _ARRAYS:
                np.testing.assert_array_equal(getattr(first, name), getattr(again, name))

    def test_other_seeds_give_other_graphs_where_it_draws(self) -> None:
        """The seed is not ignored."""
        for size in self.sizes:
            one, other = (self.draw(seed, **size) for seed in (1, 2))
            same = len(one) == len(other) and bool((one.latitude == other.latitude).all())
            assert same is not self.drawn

    def test_every_place_can_reach_every_other(self) -> None:
        """Calls have a way."""
        assert all(nx.is_strongly_connected(graph.to_networkx()) for graph in self.graphs())

    def test_links_are_sorted_lead_elsewhere_and_have_a_length(self) -> None:
        """What routes are computed from is sound."""
        for graph in self.graphs():
            pairs = np.stack([graph.src, graph.dst], axis=1)
            assert (np.unique(pairs, axis=0) == pairs).all()
            assert (graph.src != graph.dst).all()
            assert np.isfinite(graph.length).all()
            assert (graph.length >= 0.0).all()
            assert (np.abs(graph.latitude) <= 90.0).all()  # noqa: PLR2004 - the poles

    def test_its_draws_come_from_streams_of_its_own(self) -> None:
        """No other part of a scenario is drawn otherwise because of it."""
        with listening() as draws:
            list(self.graphs())
        assert all(name.startswith("topology/") for name, _ in draws), draws
