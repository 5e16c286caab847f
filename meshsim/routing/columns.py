"""Columns that policies and the scorer see: their names, and how beliefs become them.

Columns are scale-free (logarithms about a reference, probabilities, shares) and carry no identity; every value is
finite. Node and link columns do not depend on the request, so an encoding of a view serves all calls. Path columns
do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import geo, quality
from meshsim.mesh.media import AicPolicy
from meshsim.routing.belief import over_relays, predicted_delay
from meshsim.routing.graph import Graph, Memo
from meshsim.routing.triangle import triangles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.media import MediaType
    from meshsim.mesh.view import LinkBelief, NodeBelief
    from meshsim.routing.belief import PathBelief
    from meshsim.routing.candidates import Candidates

    _Column = NDArray[np.float64] | NDArray[np.bool_]

VERSION = 2
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
    "queueing",
    "log_degree",
)
"""Columns of `Features.node`: `nat` is the type over 3, capacity is about 10 Mbit/s, reputations are over 100, age in
seconds; `queueing` is ln(1 + load / (1 - load)), the degree counts links that lead away."""

HOP = (
    "log_delay",
    "log_stretch",
    "log_jitter",
    "loss",
    "log_loss",
    "log_rate",
    "log_age",
    "observed",
    "log_jitter_ratio",
    "utilisation",
    "queueing",
    "triangulated",
    "log_above",
    "log_below",
    "log_detour_jitter",
    "detour_loss",
)
"""Columns of `Features.link` and `Features.hop`. Delay is about 50 ms one way, jitter about 2 ms, rate about 1
Mbit/s, `log_loss` about 1 %; `loss` is -ln(1 - loss), which adds up along a path; `log_stretch` is the delay over
what the distance predicts, `log_jitter_ratio` the jitter over the delay; `utilisation` u is what the spare rate leaves
of the narrower end's access, and `queueing` ln(1 + u / (1 - u)), by which waiting grows. Of a link that nobody has
measured the last five tell what its triangles do (`routing.triangle`), about the same references; of others they are
0."""

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
    "utilisation",
    "queueing",
    "stretch",
)
"""Columns of `Features.path`: rtt, jitter and loss as bounds of `quality.TARGET` (0 = at the bound of voice) and the
`mos` of a voice, whatever the call carries; `believed_good` goes by the call's own target; headroom is the spare rate
over the demand; `observed` is the share of hops that were measured; a direct path has reputations and evidence of 0;
`utilisation` is the busiest hop's, `queueing` the sum over hops, `stretch` the logarithm of the delay over what the
distance between the ends predicts."""

DELAY_REFERENCE = 0.050
JITTER_REFERENCE = 0.002
LOSS_REFERENCE = 0.01
RATE_REFERENCE = 1e6
CAPACITY_REFERENCE = 10e6

_LEAST_DELAY, _LEAST_JITTER, _LEAST_LOSS, _LEAST_RATE = 1e-4, 1e-5, 1e-5, 1e3
_MOST_LOSS = 0.999
_MOST_UTILISATION = 0.99

LIMIT = 20.0
"""Every value of every column lies in [-LIMIT, LIMIT]."""


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
        queueing(nodes.load),
        np.log1p(np.bincount(graph.links.src, minlength=len(nodes)).astype(np.float64)),
    ]
    return _table(columns, len(nodes))


def queueing(utilisation: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(1 + u / (1 - u)) = -ln(1 - u): by the queueing factor of M/M/1."""
    return -np.log1p(-np.minimum(np.maximum(utilisation, 0.0), _MOST_UTILISATION))


def _utilisation(nodes: NodeBelief, hops: LinkBelief) -> NDArray[np.float64]:
    """Share of the narrower end's access that the spare rate of a hop leaves nothing of, in [0, 1]; (K,)."""
    whole = np.maximum(np.minimum(nodes.capacity[hops.src], nodes.capacity[hops.dst]), _LEAST_RATE)
    return np.minimum(np.maximum(1.0 - hops.rate / whole, 0.0), 1.0)


def hop_table(graph: Graph, hops: LinkBelief) -> NDArray[np.float32]:
    """Columns of links or hops, (K, len(HOP)) float32."""
    nodes = graph.nodes
    expected = predicted_delay(nodes, hops.src, hops.dst)
    utilisation = _utilisation(nodes, hops)
    delay = np.maximum(hops.delay, _LEAST_DELAY)
    columns: list[_Column] = [
        _log(hops.delay, _LEAST_DELAY, DELAY_REFERENCE),
        np.log(delay / expected),
        _log(hops.jitter, _LEAST_JITTER, JITTER_REFERENCE),
        _additive_loss(hops.loss),
        _log(hops.loss, _LEAST_LOSS, LOSS_REFERENCE),
        _log(hops.rate, _LEAST_RATE, RATE_REFERENCE),
        np.log1p(np.maximum(hops.age, 0.0)),
        hops.observed,
        _log(hops.jitter, _LEAST_JITTER, delay),
        utilisation,
        queueing(utilisation),
        *_triangle_columns(graph, hops),
    ]
    return _table(columns, len(hops))


def _triangle_columns(graph: Graph, hops: LinkBelief) -> NDArray[np.float64]:
    """What triangles say of K hops, (5, K); 0 where they were measured or nobody can tell."""
    values = np.zeros((5, len(hops)))
    rows = np.flatnonzero(~hops.observed)
    if len(rows):
        said = triangles(graph, hops.src[rows], hops.dst[rows])
        values[0, rows] = ~np.isnan(said.above)
        values[1, rows] = _log(said.above, _LEAST_DELAY, DELAY_REFERENCE)
        values[2, rows] = _log(said.below, _LEAST_DELAY, DELAY_REFERENCE)
        values[3, rows] = _log(said.jitter, _LEAST_JITTER, JITTER_REFERENCE)
        values[4, rows] = _additive_loss(said.loss)
    return values


def _link_table(graph: Graph) -> NDArray[np.float32]:
    return hop_table(graph, graph.links)


node_columns = Memo(_node_table)
link_columns = Memo(_link_table)


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


def path_table(
    candidates: Candidates,
    hops: LinkBelief,
    belief: PathBelief,
    asking: Callable[[], Asked],
    nodes: NodeBelief,
    media: MediaType | NDArray[np.int64],
) -> NDArray[np.float32]:
    """Columns of P paths, (P, len(PATH)) float32.

    Args:
        candidates: The paths.
        hops: (S,) what is believed of each hop, in the order of the candidates' hops.
        belief: What they amount to.
        asking: Tells what the calls ask for.
        nodes: What is believed of nodes.
        media: What calls carry: one for all paths, or (P,) places in `MediaType`.
    """
    asked = asking()
    start = candidates.hop_indptr[:-1]
    direct = candidates.hops == 1
    relayed = ~direct
    low = over_relays(candidates, nodes.reputation_low, np.minimum, 100.0)
    evidence = np.where(direct, 0.0, over_relays(candidates, nodes.evidence, np.minimum, np.inf))
    utilisation = _utilisation(nodes, hops)
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
        np.maximum.reduceat(utilisation, start),
        np.add.reduceat(queueing(utilisation), start),
        _log(belief.rtt, 2 * _LEAST_DELAY, geo.predicted_rtt(belief.distance)),
    ]
    return _table(columns, len(candidates))
