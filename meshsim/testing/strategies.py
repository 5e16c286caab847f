"""Hypothesis strategies: views of small networks, requests on them, and the same view with its nodes renumbered."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.view import LinkBelief, NetworkView, NodeBelief
from meshsim.routing.request import RouteRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request and the view it is asked on."""

    view: NetworkView
    request: RouteRequest


def _nodes(count: int, draw: np.random.Generator) -> NodeBelief:
    low, mean, high = np.sort(draw.uniform(0.0, 100.0, (3, count)), axis=0)
    return NodeBelief(
        ids=tuple(NodeId(draw.bytes(32)) for _ in range(count)),
        role=draw.integers(0, 4, count).astype(np.int8),
        nat=draw.integers(0, 4, count).astype(np.int8),
        latitude=draw.uniform(-60.0, 70.0, count),
        longitude=draw.uniform(-180.0, 180.0, count),
        aic=draw.random(count) < 0.7,  # noqa: PLR2004 - most nodes have it
        online=draw.random(count) < 0.9,  # noqa: PLR2004 - most nodes are there
        load=draw.uniform(0.0, 1.1, count),
        max_calls=draw.integers(0, 20, count).astype(np.int32),
        capacity=draw.uniform(1e6, 1e8, count),
        reputation=mean,
        reputation_low=low,
        reputation_high=high,
        evidence=draw.exponential(20.0, count),
        age=draw.exponential(30.0, count),
    )


def _links(count: int, density: float, draw: np.random.Generator) -> LinkBelief:
    src, dst = np.nonzero((draw.random((count, count)) < density) & ~np.eye(count, dtype=np.bool_))
    size = len(src)
    return LinkBelief(
        src=src.astype(np.int32),
        dst=dst.astype(np.int32),
        delay=draw.uniform(0.001, 0.300, size),
        jitter=draw.exponential(0.003, size),
        loss=draw.beta(0.3, 20.0, size),
        rate=draw.uniform(0.0, 2e7, size),
        age=draw.exponential(30.0, size),
        observed=draw.random(size) < 0.9,  # noqa: PLR2004 - most links were measured
    )


def _view(count: int, seed: int, density: float, *, with_fresh: bool) -> NetworkView:
    draw = np.random.default_rng(seed)
    nodes, links = _nodes(count, draw), _links(count, density, draw)
    fresh = _links(count, 0.2, draw) if with_fresh else None
    return NetworkView(version=seed % 1000, owner=-1, at=0.0, nodes=nodes, links=links, fresh=fresh)


def network_views(*, least: int = 2, most: int = 12) -> st.SearchStrategy[NetworkView]:
    """Views of `least` to `most` nodes, from empty to dense, with and without fresh links; no two delays are equal."""
    return st.builds(
        _view,
        st.integers(least, most),
        st.integers(0, 2**32 - 1),
        st.sampled_from([0.0, 0.15, 0.4, 0.8]),
        with_fresh=st.booleans(),
    )


@st.composite
def cases(draw: st.DrawFn, *, aic: Sequence[AicPolicy] = tuple(AicPolicy)) -> Case:
    """A view and a request between two of its nodes, sometimes with a second destination."""
    view = draw(network_views())
    ends = draw(st.permutations(range(len(view.nodes))))
    names = [view.nodes.ids[i] for i in ends[: draw(st.integers(2, 3))]]
    request = RouteRequest(
        source=names[0],
        destinations=tuple(names[1:]),
        media=draw(st.sampled_from(list(MediaType))),
        aic=draw(st.sampled_from(list(aic))),
    )
    return Case(view=view, request=request)


def relabelled(view: NetworkView, order: Sequence[int]) -> NetworkView:
    """The same belief with its nodes renumbered: new node i is old node `order[i]`.

    Args:
        view: N nodes.
        order: A permutation of 0..N - 1.
    """
    old = np.asarray(order, dtype=np.int64)
    new = np.argsort(old).astype(np.int32)
    moved = {f.name: getattr(view.nodes, f.name)[old] for f in fields(NodeBelief) if f.name != "ids"}
    return replace(
        view,
        owner=view.owner if view.owner < 0 else int(new[view.owner]),
        nodes=NodeBelief(ids=tuple(view.nodes.ids[i] for i in old), **moved),
        links=_renumbered(view.links, new),
        fresh=None if view.fresh is None else _renumbered(view.fresh, new),
    )


def _renumbered(links: LinkBelief, new: NDArray[np.int32]) -> LinkBelief:
    src, dst = new[links.src], new[links.dst]
    order = np.lexsort((dst, src))
    rest = {f.name: getattr(links, f.name)[order] for f in fields(LinkBelief) if f.name not in {"src", "dst"}}
    return LinkBelief(src=src[order], dst=dst[order], **rest)
