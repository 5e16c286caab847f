"""The one place where beliefs become numbers for a policy: the same code in training, in simulation and on a node.

Columns are scale-free (logarithms about a reference, probabilities, shares) and carry no identity; every value is
finite. Node and link columns do not depend on the request, so an encoding of a view serves all calls. Path columns
do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh import geo, quality
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.view import LinkBelief
from meshsim.routing.graph import Graph, Memo, find_key, graph_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.view import NetworkView, NodeBelief
    from meshsim.routing.candidates import Candidates
    from meshsim.routing.request import RouteRequest

    _Column = NDArray[np.float64] | NDArray[np.bool_]
    _Lazy = NDArray[np.float32] | Callable[[], NDArray[np.float32]]

VERSION = 1
"""Grows when a column changes its meaning; an artefact made for another version is refused."""

NODE = (
    "relay",
    "super_node",
    "nat",
    "aic",
    "online",
    "load",
    "log_max_calls",
    "log_capacity",
    "reputation",
    "reputation_low",
    "reputation_high",
    "log_evidence",
    "log_age",
)
"""Columns of `Features.node`: `nat` is the type over 3, capacity is about 10 Mbit/s, reputations are over 100, age in
seconds."""

HOP = ("log_delay", "log_stretch", "log_jitter", "loss", "log_loss", "log_rate", "log_age", "observed")
"""Columns of `Features.link` and `Features.hop`. Delay is about 50 ms one way, jitter about 2 ms, rate about 1
Mbit/s, `log_loss` about 1 %; `loss` is -ln(1 - loss), which adds up along a path; `log_stretch` is the delay over
what the distance predicts."""

PATH = (
    "log_rtt",
    "log_jitter",
    "loss",
    "log_loss",
    "worst_loss",
    "mos",
    "believed_good",
    "log_headroom",
    "hops",
    "direct",
    "min_reputation",
    "min_reputation_low",
    "min_evidence",
    "max_load",
    "log_oldest_hop",
    "log_oldest_relay",
    "observed",
    "aic",
    "aic_wanted",
    "audio",
    "audio_video",
    "data",
)
"""Columns of `Features.path`: rtt, jitter and loss as bounds of `quality.TARGET` (0 = at the bound of voice) and the
`mos` of a voice, whatever the call carries; `believed_good` goes by the call's own target; headroom is the spare rate
over the demand; `observed` is the share of hops that were measured; a direct path has reputations and evidence of 0."""

DELAY_REFERENCE = 0.050
JITTER_REFERENCE = 0.002
LOSS_REFERENCE = 0.01
RATE_REFERENCE = 1e6
CAPACITY_REFERENCE = 10e6

UNKNOWN_JITTER = 0.002
UNKNOWN_LOSS = 0.005
UNKNOWN_AGE = 1e4
"""What is assumed of a link nobody has measured; its delay is predicted from the distance, its rate from the access
links."""

_LEAST_DELAY, _LEAST_JITTER, _LEAST_LOSS, _LEAST_RATE = 1e-4, 1e-5, 1e-5, 1e3
_MOST_LOSS = 0.999

LIMIT = 20.0
"""Every value of every column lies in [-LIMIT, LIMIT]."""


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


class Features:
    """All that a policy may look at: one view, one request, P candidate paths with S = sum H hops.

    The tables `hop` and `path` may be given as functions, called when somebody looks: hand-made policies do not.

    Attributes:
        graph: The shared belief; what is cached per view is keyed by its identity.
        version: (owner, version) of the view.
        hop: (S, len(HOP)) float32, fresh beliefs first, then the view's, then predictions.
        hop_src, hop_dst: (S,) int64 node indices.
        hop_path: (S,) int64, the path of each hop.
        path: (P, len(PATH)) float32.
        belief: The paths in SI units.
        media: What calls carry: one for all paths, or (P,) int64 places in `MediaType`.
        hops: The hops in SI units, if they are at hand.
        flow: What tells the call from others, of all paths or (P,) int64; 0 where nobody knows.
    """

    def __init__(  # noqa: PLR0913 - what a policy sees is one thing
        self,
        *,
        graph: Graph,
        version: tuple[int, int],
        hop: _Lazy,
        hop_src: NDArray[np.int64],
        hop_dst: NDArray[np.int64],
        hop_path: NDArray[np.int64],
        path: _Lazy,
        belief: PathBelief,
        media: MediaType | NDArray[np.int64],
        hops: LinkBelief | None = None,
        flow: int | NDArray[np.int64] = 0,
    ) -> None:
        self.graph, self.version = graph, version
        self.hop_src, self.hop_dst, self.hop_path = hop_src, hop_dst, hop_path
        self.belief, self.media, self.hops, self.flow = belief, media, hops, flow
        self._hop, self._path = hop, path

    @cached_property
    def hop(self) -> NDArray[np.float32]:
        """(S, len(HOP)) float32, made when first looked at."""
        return self._hop() if callable(self._hop) else self._hop

    @cached_property
    def path(self) -> NDArray[np.float32]:
        """(P, len(PATH)) float32, made when first looked at."""
        return self._path() if callable(self._path) else self._path

    def __len__(self) -> int:
        return len(self.belief.rtt)

    @property
    def node(self) -> NDArray[np.float32]:
        """(N, len(NODE)) float32."""
        return node_columns(self.graph)

    @property
    def link(self) -> NDArray[np.float32]:
        """(E, len(HOP)) float32."""
        return link_columns(self.graph)

    @cached_property
    def link_src(self) -> NDArray[np.int64]:
        """(E,) int64 source nodes."""
        return self.graph.links.src.astype(np.int64)

    @cached_property
    def link_dst(self) -> NDArray[np.int64]:
        """(E,) int64 destination nodes."""
        return self.graph.links.dst.astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a policy says of P paths; every array is (P,) float64.

    Attributes:
        utility: Higher is better; always finite.
        ai_score: 0..100, 100 times the calibrated probability of meeting the quality target; NaN if not claimed.
        confidence: Calibrated probability of being within 0.2 MOS of the best; NaN if not claimed. It is for a choice,
            so a policy leaves it NaN and the engine fills it in, among the feasible.
        rtt: Predicted round-trip seconds.
        jitter: Predicted seconds.
        loss: Predicted probability.
        mos: Predicted MOS.
    """

    utility: NDArray[np.float64]
    ai_score: NDArray[np.float64]
    confidence: NDArray[np.float64]
    rtt: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    mos: NDArray[np.float64]


def _table(columns: Sequence[_Column], rows: int) -> NDArray[np.float32]:
    table = np.empty((rows, len(columns)), dtype=np.float32)
    for i, column in enumerate(columns):
        table[:, i] = column
    np.nan_to_num(table, copy=False, nan=0.0, posinf=LIMIT, neginf=-LIMIT)
    return np.clip(table, -LIMIT, LIMIT, out=table)


def _log(value: NDArray[np.float64], least: float, reference: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(value, least) / reference)


def _additive_loss(loss: NDArray[np.float64]) -> NDArray[np.float64]:
    return -np.log1p(-np.clip(loss, 0.0, _MOST_LOSS))


def _node_table(graph: Graph) -> NDArray[np.float32]:
    nodes = graph.nodes
    columns: list[_Column] = [
        nodes.role > 0,
        nodes.role > 2,  # noqa: PLR2004 - Role.SUPER_NODE, as an array comparison
        nodes.nat / 3.0,
        nodes.aic,
        nodes.online,
        nodes.load,
        np.log1p(np.maximum(nodes.max_calls, 0)),
        _log(nodes.capacity, _LEAST_RATE, CAPACITY_REFERENCE),
        nodes.reputation / 100.0,
        nodes.reputation_low / 100.0,
        nodes.reputation_high / 100.0,
        np.log1p(np.maximum(nodes.evidence, 0.0)),
        np.log1p(np.maximum(nodes.age, 0.0)),
    ]
    return _table(columns, len(nodes))


def _hop_table(nodes: NodeBelief, hops: LinkBelief) -> NDArray[np.float32]:
    """Columns of links or hops, (K, len(HOP)) float32."""
    expected = _predicted_delay(nodes, hops.src, hops.dst)
    columns: list[_Column] = [
        _log(hops.delay, _LEAST_DELAY, DELAY_REFERENCE),
        np.log(np.maximum(hops.delay, _LEAST_DELAY) / expected),
        _log(hops.jitter, _LEAST_JITTER, JITTER_REFERENCE),
        _additive_loss(hops.loss),
        _log(hops.loss, _LEAST_LOSS, LOSS_REFERENCE),
        _log(hops.rate, _LEAST_RATE, RATE_REFERENCE),
        np.log1p(np.maximum(hops.age, 0.0)),
        hops.observed,
    ]
    return _table(columns, len(hops))


def _link_table(graph: Graph) -> NDArray[np.float32]:
    return _hop_table(graph.nodes, graph.links)


node_columns = Memo(_node_table)
link_columns = Memo(_link_table)


def _predicted_delay(nodes: NodeBelief, src: NDArray[np.int32], dst: NDArray[np.int32]) -> NDArray[np.float64]:
    metres = geo.distance(nodes.latitude[src], nodes.longitude[src], nodes.latitude[dst], nodes.longitude[dst])
    return geo.predicted_rtt(metres) / 2.0


def predicted_links(nodes: NodeBelief, src: NDArray[np.int32], dst: NDArray[np.int32]) -> LinkBelief:
    """What to assume of K links nobody has measured: delay by distance, rate by the access links, `observed` False."""
    count = len(src)
    return LinkBelief(
        src=src,
        dst=dst,
        delay=_predicted_delay(nodes, src, dst),
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


def build(candidates: Candidates, request: RouteRequest, view: NetworkView) -> Features:
    """Features of `candidates` for `request` as `view` believes them.

    Args:
        candidates: P paths of at least one hop each.
        request: What is asked.
        view: What is believed.
    """
    hops = believed_hops(view, candidates.hop_src, candidates.hop_dst)
    return described(candidates, hops, view, partial(_asked, request), request.flow, request.media)


@dataclass(frozen=True, slots=True)
class Asked:
    """What calls ask for, for all P paths or each.

    Attributes:
        rate: Bits per second; a number or (P,).
        aic: How AIC is treated.
        media: Whether it is each of `MediaType`; bools or (P,) each.
    """

    rate: float | NDArray[np.float64]
    aic: AicPolicy
    media: tuple[bool | NDArray[np.bool_], ...]


def _asked(request: RouteRequest) -> Asked:
    return Asked(request.demand.rate_bps, request.aic, tuple(request.media is media for media in MediaType))


def described(
    candidates: Candidates,
    hops: LinkBelief,
    view: NetworkView,
    asked: Callable[[], Asked],
    flow: int | NDArray[np.int64],
    media: MediaType | NDArray[np.int64],
) -> Features:
    """Features of `candidates` whose hops are believed to be `hops`; `asked` is told when somebody looks.

    `media` is what calls carry: one for all P paths, or (P,) places in `MediaType`.
    """
    belief = _compose(candidates, hops, view.nodes, media)
    return Features(
        graph=graph_of(view),
        version=(view.owner, view.version),
        hop=partial(_hop_table, view.nodes, hops),
        hop_src=candidates.hop_src.astype(np.int64),
        hop_dst=candidates.hop_dst.astype(np.int64),
        hop_path=candidates.hop_path,
        path=partial(_path_table, candidates, hops, belief, asked, view.nodes, media),
        belief=belief,
        media=media,
        hops=hops,
        flow=flow,
    )


def _over_relays(
    candidates: Candidates, value: NDArray[np.float64], reduce: np.ufunc, neutral: float
) -> NDArray[np.float64]:
    """`reduce` of a node value (N,) over the relays of each path; (P,).

    `neutral` stands for the two ends, so it must not change the outcome, and is the value of a direct path.
    """
    padded = np.where(candidates.inner, value[candidates.nodes], neutral)
    return np.asarray(reduce.reduceat(padded, candidates.indptr[:-1]))


def _compose(
    candidates: Candidates, hops: LinkBelief, nodes: NodeBelief, media: MediaType | NDArray[np.int64]
) -> PathBelief:
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
        min_reputation=_over_relays(candidates, nodes.reputation, np.minimum, 100.0),
        max_load=_over_relays(candidates, nodes.load, np.maximum, 0.0),
        oldest=_over_relays(candidates, nodes.age, np.maximum, 0.0),
        distance=geo.distance(
            nodes.latitude[source], nodes.longitude[source], nodes.latitude[target], nodes.longitude[target]
        ),
        aic=np.logical_and.reduceat(nodes.aic[candidates.nodes], candidates.indptr[:-1]),
    )


def _path_table(
    candidates: Candidates,
    hops: LinkBelief,
    belief: PathBelief,
    asking: Callable[[], Asked],
    nodes: NodeBelief,
    media: MediaType | NDArray[np.int64],
) -> NDArray[np.float32]:
    asked = asking()
    start = candidates.hop_indptr[:-1]
    direct = candidates.hops == 1
    relayed = ~direct
    low = _over_relays(candidates, nodes.reputation_low, np.minimum, 100.0)
    evidence = np.where(direct, 0.0, _over_relays(candidates, nodes.evidence, np.minimum, np.inf))
    columns: list[_Column] = [
        _log(belief.rtt, 2 * _LEAST_DELAY, quality.TARGET.rtt),
        _log(belief.jitter, _LEAST_JITTER, quality.TARGET.jitter),
        _additive_loss(belief.loss),
        _log(belief.loss, _LEAST_LOSS, quality.TARGET.loss),
        _log(np.maximum.reduceat(hops.loss, start), _LEAST_LOSS, quality.TARGET.loss),
        quality.voice_mos(belief.rtt / 2, belief.jitter, belief.loss) - 4.0,
        ~quality.poor(belief.rtt, belief.jitter, belief.loss, media),
        _log(belief.rate, _LEAST_RATE, asked.rate),
        candidates.hops / 5.0,
        direct,
        relayed * belief.min_reputation / 100.0,
        relayed * low / 100.0,
        np.log1p(np.maximum(evidence, 0.0)),
        belief.max_load,
        np.log1p(np.maximum(np.maximum.reduceat(hops.age, start), 0.0)),
        np.log1p(np.maximum(belief.oldest, 0.0)),
        np.add.reduceat(hops.observed.astype(np.float64), start) / candidates.hops,
        belief.aic,
        np.full(len(candidates), asked.aic is not AicPolicy.OFF),
        *(np.full(len(candidates), is_this) for is_this in asked.media),
    ]
    return _table(columns, len(candidates))
