"""What is believed of hops and paths, in SI units: measurements where there are any, else what coordinates predict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh import geo, quality
from meshsim.mesh.view import LinkBelief, Nat, Role
from meshsim.routing.graph import find_key, graph_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.media import MediaType
    from meshsim.mesh.view import NetworkView, NodeBelief
    from meshsim.routing.candidates import Candidates

UNKNOWN_JITTER = 0.002
UNKNOWN_LOSS = 0.005
UNKNOWN_AGE = 1e4
"""What is assumed of a link nobody has measured; its delay is predicted from the distance, its rate from the access
links."""

LIGHT_SLACK = 0.001
"""Seconds by which a delay may undercut light: places are told by their owners, and 300 km off is no lie. Claims of
others are held to more (`testimony.FASTEST`): those need not be believed, while this is wrong for sure."""

_MOST_REPUTATION = 100.0 + 1e-6
"""Room for the rounding of single precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathBelief:
    """What composing the believed hops says of P paths; every array has shape (P,).

    Attributes:
        rtt: float64 seconds, twice the one-way delay.
        jitter: float64 seconds.
        loss: float64 probability.
        rate: float64 spare bits per second of the narrowest hop.
        mos: float64, by the model of what the call carries, in [1, 4.5].
        hops: int64 number of links.
        min_reputation: float64, 0..100, the worst relay's; 100 for a direct path.
        max_load: float64, share of the call capacity in use at the busiest relay; 0 for a direct path.
        oldest: float64, seconds since the longest-unheard relay was heard of; 0 for a direct path.
        distance: float64, metres between the ends.
        aic: bool, every node supports AIC.
    """

    rtt: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    rate: NDArray[np.float64]
    mos: NDArray[np.float64]
    hops: NDArray[np.int64]
    min_reputation: NDArray[np.float64]
    max_load: NDArray[np.float64]
    oldest: NDArray[np.float64]
    distance: NDArray[np.float64]
    aic: NDArray[np.bool_]


def predicted_delay(nodes: NodeBelief, src: NDArray[np.int32], dst: NDArray[np.int32]) -> NDArray[np.float64]:
    """One-way seconds that the distance between the places of K pairs of nodes makes likely; (K,) and (K,) -> (K,)."""
    return geo.predicted_rtt(_metres(nodes, src, dst)) / 2.0


def _metres(nodes: NodeBelief, src: NDArray[np.int32], dst: NDArray[np.int32]) -> NDArray[np.float64]:
    return geo.distance(nodes.latitude[src], nodes.longitude[src], nodes.latitude[dst], nodes.longitude[dst])


def predicted_links(nodes: NodeBelief, src: NDArray[np.int32], dst: NDArray[np.int32]) -> LinkBelief:
    """What to assume of K links nobody has measured: delay by distance, rate by the access links, `observed` False."""
    count = len(src)
    return LinkBelief(
        src=src,
        dst=dst,
        delay=predicted_delay(nodes, src, dst),
        jitter=np.full(count, UNKNOWN_JITTER),
        loss=np.full(count, UNKNOWN_LOSS),
        rate=np.minimum(nodes.capacity[src], nodes.capacity[dst]),
        age=np.full(count, UNKNOWN_AGE),
        observed=np.zeros(count, dtype=np.bool_),
    )


_VALUES = ("delay", "jitter", "loss", "rate", "age", "observed")


def believed_hops(view: NetworkView, src: NDArray[np.int32], dst: NDArray[np.int32]) -> LinkBelief:
    """What is believed of the links from `src` to `dst`, in that order: `fresh` first, then `links`, then a prediction.

    Args:
        view: What is believed.
        src: (K,) int32 node indices.
        dst: (K,) int32 node indices.
    """
    if view.fresh is None:
        return believed_of(view, src, dst)
    count = len(view.nodes)
    key = view.fresh.src.astype(np.int64) * count + view.fresh.dst
    return believed_of(view, src, dst, view.fresh, find_key(key, src.astype(np.int64) * count + dst))


def believed_of(
    view: NetworkView,
    src: NDArray[np.int32],
    dst: NDArray[np.int32],
    fresh: LinkBelief | None = None,
    better: NDArray[np.int64] | None = None,
) -> LinkBelief:
    """The same with the rows of `fresh` found already: `better` (K,) is -1 where there is none."""
    graph = graph_of(view)
    row = graph.find(src, dst)
    believed = LinkBelief(src=src, dst=dst, **{name: _taken(getattr(view.links, name), row) for name in _VALUES})
    missing = row < 0
    if fresh is not None and better is not None:
        _put(believed, (better >= 0).nonzero()[0], fresh, better)
        missing &= better < 0
    if missing.any():
        rows = missing.nonzero()[0]
        guess = predicted_links(view.nodes, src[rows], dst[rows])
        _put(believed, rows, guess, np.cumsum(missing) - 1)
    return believed


def _taken(values: NDArray[Any], row: NDArray[np.int64]) -> NDArray[Any]:
    """`values` of each `row`; anything where the row is -1, which is overwritten."""
    return values[row] if len(values) else np.zeros(len(row), dtype=values.dtype)


def _put(target: LinkBelief, rows: NDArray[np.int64], source: LinkBelief, at: NDArray[np.int64]) -> None:
    """Overwrites `rows` of `target` with the rows of `source` that stand in `at` there."""
    if not len(rows):
        return
    at = at[rows]
    for name in _VALUES:
        getattr(target, name)[rows] = getattr(source, name)[at]


def over_relays(
    candidates: Candidates, value: NDArray[np.float64], reduce: np.ufunc, neutral: float
) -> NDArray[np.float64]:
    """`reduce` of a node value (N,) over the relays of each path; (P,).

    `neutral` stands for the two ends, so it must not change the outcome, and is the value of a direct path.
    """
    padded = np.where(candidates.inner, value[candidates.nodes], neutral)
    return np.asarray(reduce.reduceat(padded, candidates.indptr[:-1]))


def compose(
    candidates: Candidates, hops: LinkBelief, nodes: NodeBelief, media: MediaType | NDArray[np.int64]
) -> PathBelief:
    """What the believed hops of P paths amount to, composed as `mesh.quality` has it.

    Args:
        candidates: The paths.
        hops: (S,) what is believed of each hop, in the order of the candidates' hops.
        nodes: What is believed of nodes.
        media: What calls carry: one for all paths, or (P,) places in `MediaType`.
    """
    start = candidates.hop_indptr[:-1]
    delay = np.add.reduceat(hops.delay, start)
    jitter = np.sqrt(np.add.reduceat(np.square(hops.jitter), start))
    loss = 1.0 - np.multiply.reduceat(1.0 - np.minimum(np.maximum(hops.loss, 0.0), 1.0), start)
    source, target = candidates.nodes[candidates.indptr[:-1]], candidates.nodes[candidates.indptr[1:] - 1]
    return PathBelief(
        rtt=2.0 * delay,
        jitter=jitter,
        loss=loss,
        rate=np.minimum.reduceat(hops.rate, start),
        mos=quality.mos(media, delay, jitter, loss),
        hops=candidates.hops,
        min_reputation=over_relays(candidates, nodes.reputation, np.minimum, 100.0),
        max_load=over_relays(candidates, nodes.load, np.maximum, 0.0),
        oldest=over_relays(candidates, nodes.age, np.maximum, 0.0),
        distance=geo.distance(
            nodes.latitude[source], nodes.longitude[source], nodes.latitude[target], nodes.longitude[target]
        ),
        aic=np.logical_and.reduceat(nodes.aic[candidates.nodes], candidates.indptr[:-1]),
    )


def sound(candidates: Candidates, hops: LinkBelief, nodes: NodeBelief) -> NDArray[np.bool_]:
    """(P,) whether all that is believed of a path's hops and nodes is possible.

    A number that is none, a negative delay, a probability beyond one, a place beyond the poles, bounds of a reputation
    that exclude it, and news that came faster than light are not.
    """
    good = np.logical_and.reduceat(_possible_hops(hops, nodes), candidates.hop_indptr[:-1])
    return np.asarray(good & np.logical_and.reduceat(_possible_nodes(nodes)[candidates.nodes], candidates.indptr[:-1]))


def _possible_hops(hops: LinkBelief, nodes: NodeBelief) -> NDArray[np.bool_]:
    possible = (hops.loss >= 0.0) & (hops.loss <= 1.0)
    for values in (hops.delay, hops.jitter, hops.rate, hops.age):
        possible &= (values >= 0.0) & (values < np.inf)
    least = geo.light_delay(_metres(nodes, hops.src, hops.dst)) - LIGHT_SLACK
    return np.asarray(possible & (hops.delay >= least))


def _possible_nodes(nodes: NodeBelief) -> NDArray[np.bool_]:
    possible = (nodes.reputation_low >= 0.0) & (nodes.reputation_low <= nodes.reputation)
    possible &= (nodes.reputation <= nodes.reputation_high) & (nodes.reputation_high <= _MOST_REPUTATION)
    for values in (nodes.load, nodes.capacity, nodes.evidence):
        possible &= (values >= 0.0) & (values < np.inf)
    possible &= (np.abs(nodes.latitude) <= 90.0) & (np.abs(nodes.longitude) <= 180.0)  # noqa: PLR2004 - degrees
    for number, most in ((nodes.role, max(Role)), (nodes.nat, max(Nat))):
        possible &= (number >= 0) & (number <= most)
    return np.asarray(possible & (nodes.max_calls >= 0) & (nodes.age >= 0.0))
