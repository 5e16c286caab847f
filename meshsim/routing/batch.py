"""Many requests on one shared belief at once: what `candidates` and `features` do for one, in the same few operations.

A batch is C requests with one destination each, of at most three hops, of one AIC policy, barring the same nodes, all
open to newcomers or none, and excluding nobody. Each may know links better than all others do, its own (`Fresh`).
Paths of all requests stand one after the other; candidates are proposed, described and refused by the same rules as
one by one, so that the decisions are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.media import MediaType
from meshsim.mesh.view import LinkBelief
from meshsim.routing import features
from meshsim.routing.candidates import MOST_ENUMERATED, Candidates
from meshsim.routing.graph import Graph, find_key, graph_of, ragged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.view import NetworkView
    from meshsim.routing.request import RouteRequest

    _Ints = NDArray[np.int64]
    _Floats = NDArray[np.float64]

_NONE = -1
"""Where a path has no such relay."""


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """What each of C callers knows better than the shared belief: K links in all.

    Attributes:
        request: (K,) int64, whose they are, ascending.
        links: K links, those of a request sorted by (src, dst).
    """

    request: NDArray[np.int64]
    links: LinkBelief

    def of(self, request: int) -> LinkBelief:
        """The links of one request."""
        start, stop = np.searchsorted(self.request, (request, request + 1))
        return LinkBelief(**{name: getattr(self.links, name)[start:stop] for name in LinkBelief.__slots__})

    def without(self, left_out: NDArray[np.bool_]) -> Fresh:
        """The same for the requests that are not `left_out` (C,), numbered anew."""
        rows = ~left_out[self.request]
        number = np.cumsum(~left_out) - 1
        kept = {name: getattr(self.links, name)[rows] for name in LinkBelief.__slots__}
        return Fresh(request=number[self.request[rows]], links=LinkBelief(**kept))


@dataclass(frozen=True, kw_only=True)
class Batch:
    """C requests as arrays of shape (C,).

    Attributes:
        requests: As they were asked.
        source: int64 node indices.
        target: int64 node indices.
        hops: int64, most links of a path.
    """

    requests: tuple[RouteRequest, ...]
    source: _Ints
    target: _Ints
    hops: _Ints

    def __len__(self) -> int:
        return len(self.requests)

    @cached_property
    def rate(self) -> _Floats:
        """Bits per second that each call asks for."""
        return np.array([request.demand.rate_bps for request in self.requests])

    @cached_property
    def flow(self) -> _Ints:
        """What tells each call from others."""
        return np.array([request.flow for request in self.requests], dtype=np.int64)

    @cached_property
    def media(self) -> _Ints:
        """Place of each call's medium in `MediaType`."""
        place = {media: i for i, media in enumerate(MediaType)}
        return np.array([place[request.media] for request in self.requests], dtype=np.int64)


def batch_of(requests: Sequence[RouteRequest], view: NetworkView) -> Batch:
    """The arrays of `requests`, whose ends the view knows."""
    index = view.index
    return Batch(
        requests=tuple(requests),
        source=np.array([index[request.source] for request in requests], dtype=np.int64),
        target=np.array([index[request.destinations[0]] for request in requests], dtype=np.int64),
        hops=np.array([request.hop_limit for request in requests], dtype=np.int64),
    )


def batchable(requests: Sequence[RouteRequest], view: NetworkView, fresh: Fresh | None) -> NDArray[np.bool_]:
    """(C,) which requests can be ranked together; the others are ranked one by one."""
    index, first = view.index, requests[0]
    able = np.array(
        [
            not view.confined
            and len(request.destinations) == 1
            and not request.exclude
            and not request.insists
            and request.hop_limit <= MOST_ENUMERATED
            and request.aic is first.aic
            and request.barred == first.barred
            and request.newcomers == first.newcomers
            and request.source in index
            and request.destinations[0] in index
            and request.destinations[0] != request.source
            for request in requests
        ],
        dtype=np.bool_,
    )
    if fresh is not None:  # what others send a caller of links that are not its own changes more than its first hop
        source = np.array([index.get(request.source, _NONE) for request in requests], dtype=np.int64)
        able[fresh.request[fresh.links.src != source[fresh.request]]] = False
    return able


# --- candidates -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ends:
    """Ways out of the sources, or into the targets, over relays; those of request c start at `indptr[c]`."""

    request: _Ints
    node: _Ints
    delay: _Floats
    indptr: _Ints


def k_shortest_many(
    batch: Batch, view: NetworkView, k: int, relay_ok: NDArray[np.bool_], fresh: Fresh | None
) -> tuple[Candidates, _Ints]:
    """For each request the direct path and the k - 1 of least believed delay, as `candidates.k_shortest` finds them.

    Returns:
        All paths, and (C + 1,) where those of each request start.
    """
    graph = graph_of(view)
    outward, inward = _outward(graph, batch, relay_ok, fresh), _inward(graph, batch, relay_ok)
    request, one, two, delay = _joined(graph, batch, outward, inward)
    rank = graph.rank_array
    order = np.lexsort((rank[np.where(two < 0, batch.target[request], two)], rank[one], delay, request))
    start = np.searchsorted(request[order], np.arange(len(batch)))
    best = order[np.arange(len(order)) - start[request[order]] < k - 1]
    return _laid(batch, request[best], one[best], two[best])


def _ends(batch: Batch, request: _Ints, node: _Ints, delay: _Floats, relay_ok: NDArray[np.bool_]) -> _Ends:
    """Those ways that lead over relays, sorted by request."""
    kept = relay_ok[node] & (node != batch.source[request]) & (node != batch.target[request]) & (delay < np.inf)
    request, node, delay = request[kept], node[kept], delay[kept]
    return _Ends(request, node, delay, np.searchsorted(request, np.arange(len(batch) + 1)))


def _outward(graph: Graph, batch: Batch, relay_ok: NDArray[np.bool_], fresh: Fresh | None) -> _Ends:
    start = graph.starts_out
    request, row = ragged(start[batch.source], start[batch.source + 1])
    node, delay = graph.links.dst[row].astype(np.int64), graph.links.delay[row]
    if fresh is not None and len(fresh.links):
        n, links = len(graph.nodes), fresh.links
        better = find_key(fresh.request * n + links.dst, request * n + node)
        delay = np.where(better >= 0, links.delay[better], delay)
        new = (graph.find(links.src, links.dst) < 0).nonzero()[0]
        if len(new):
            request = np.concatenate([request, fresh.request[new]])
            order = np.argsort(request, kind="stable")
            node = np.concatenate([node, links.dst[new]])[order]
            delay, request = np.concatenate([delay, links.delay[new]])[order], request[order]
    return _ends(batch, request, node, delay, relay_ok)


def _inward(graph: Graph, batch: Batch, relay_ok: NDArray[np.bool_]) -> _Ends:
    rows, start = graph.inward
    request, place = ragged(start[batch.target], start[batch.target + 1])
    row = rows[place]
    return _ends(batch, request, graph.links.src[row].astype(np.int64), graph.links.delay[row], relay_ok)


def _joined(graph: Graph, batch: Batch, outward: _Ends, inward: _Ends) -> tuple[_Ints, _Ints, _Ints, _Floats]:
    """Request, first relay, second relay or -1, and delay of all paths over one relay or two."""
    first, last = ragged(inward.indptr[outward.request], inward.indptr[outward.request + 1])
    request, one, two = outward.request[first], outward.node[first], inward.node[last]
    meet = one == two
    row = find_key(graph.key, one * len(graph.nodes) + two)
    step = np.where(meet, 0.0, graph.links.delay[row]) if len(graph.links) else np.zeros(len(row))
    delay = outward.delay[first] + step + inward.delay[last]
    kept = np.where(meet, batch.hops[request] > 1, (row >= 0) & (batch.hops[request] >= MOST_ENUMERATED))
    kept &= delay < np.inf
    return request[kept], one[kept], np.where(meet, _NONE, two)[kept], delay[kept]


def _laid(batch: Batch, request: _Ints, one: _Ints, two: _Ints) -> tuple[Candidates, _Ints]:
    """The direct path of each request, then its relayed ones; rows come sorted by request."""
    count = len(batch)
    indptr = np.searchsorted(request, np.arange(count + 1)) + np.arange(count + 1)
    relayed = np.ones(count + len(request), dtype=np.bool_)
    relayed[indptr[:-1]] = False
    owner = np.repeat(np.arange(count), np.diff(indptr))
    relays = np.full((len(relayed), 2), _NONE)
    relays[relayed] = np.stack([one, two], axis=1)
    starts = np.concatenate([[0], np.cumsum(2 + (relays >= 0).sum(axis=1))])
    nodes = np.empty(starts[-1], dtype=np.int32)
    nodes[starts[:-1]], nodes[starts[1:] - 1] = batch.source[owner], batch.target[owner]
    for place in (0, 1):
        here = (relays[:, place] >= 0).nonzero()[0]
        nodes[starts[here] + 1 + place] = relays[here, place]
    return Candidates(nodes=nodes, indptr=starts), indptr


# --- features ---------------------------------------------------------------------------------------------------------


def build_many(
    candidates: Candidates, indptr: _Ints, batch: Batch, view: NetworkView, fresh: Fresh | None
) -> features.Features:
    """Features of all paths of a batch, as `features.build` makes them of one request's.

    Args:
        candidates: The paths of all requests.
        indptr: (C + 1,) where those of each request start.
        batch: What is asked.
        view: What all believe.
        fresh: What each knows better.
    """
    owner = np.repeat(np.arange(len(batch)), np.diff(indptr))
    src, dst = candidates.hop_src, candidates.hop_dst
    better = None if fresh is None else _known_better(fresh, owner[candidates.hop_path], src, dst, len(view.nodes))
    hops = features.believed_of(view, src, dst, None if fresh is None else fresh.links, better)
    asked: dict[str, Any] = {
        "rate": batch.rate[owner],
        "aic": batch.requests[0].aic,
        "media": tuple(batch.media[owner] == place for place in range(len(MediaType))),
    }
    told = partial(features.Asked, **asked)
    return features.described(candidates, hops, view, told, batch.flow[owner], batch.media[owner])


def _known_better(
    fresh: Fresh, owner: _Ints, src: NDArray[np.int32], dst: NDArray[np.int32], n: int
) -> NDArray[np.int64]:
    """Row of `fresh` for each hop, -1 where its caller knows nothing better."""
    key = (fresh.request * n + fresh.links.src) * n + fresh.links.dst
    return find_key(key, (owner * n + src) * n + dst)
