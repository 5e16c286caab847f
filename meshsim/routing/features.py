"""The one place where beliefs become numbers for a policy: the same code in training, in simulation and on a node.

What is believed of hops and paths is `routing.belief`'s to say, and how it becomes columns `routing.columns`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.media import MediaType
from meshsim.routing.belief import (
    UNKNOWN_AGE,
    UNKNOWN_JITTER,
    UNKNOWN_LOSS,
    PathBelief,
    believed_hops,
    believed_of,
    compose,
    predicted_links,
    sound,
)
from meshsim.routing.columns import (
    CAPACITY_REFERENCE,
    DELAY_REFERENCE,
    HOP,
    JITTER_REFERENCE,
    LIMIT,
    LOSS_REFERENCE,
    NODE,
    PATH,
    RATE_REFERENCE,
    VERSION,
    Asked,
    hop_table,
    link_columns,
    node_columns,
    path_table,
)
from meshsim.routing.graph import Graph, graph_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meshsim.mesh.view import LinkBelief, NetworkView
    from meshsim.routing.candidates import Candidates
    from meshsim.routing.request import RouteRequest

    _Lazy = NDArray[np.float32] | Callable[[], NDArray[np.float32]]

__all__ = [
    "CAPACITY_REFERENCE",
    "DELAY_REFERENCE",
    "HOP",
    "JITTER_REFERENCE",
    "LIMIT",
    "LOSS_REFERENCE",
    "NODE",
    "PATH",
    "RATE_REFERENCE",
    "UNKNOWN_AGE",
    "UNKNOWN_JITTER",
    "UNKNOWN_LOSS",
    "VERSION",
    "Asked",
    "Features",
    "Intervals",
    "PathBelief",
    "Scores",
    "believed_hops",
    "believed_of",
    "build",
    "described",
    "link_columns",
    "node_columns",
    "predicted_links",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Where measures of P paths will lie in nine calls of ten; every array is (P, 2) float64: lower and upper end.

    Attributes:
        rtt: Round-trip seconds.
        jitter: Seconds.
        loss: Probability.
    """

    rtt: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]


class Features:
    """All that a policy may look at: one view, one request, P candidate paths with S = sum H hops.

    The tables `hop` and `path` and `sound` may be given as functions, called when somebody looks: hand-made policies
    do not.

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
        sound: (P,) bool, nothing that is believed of the path's hops and relays is impossible (a number that is none, a
            negative delay, a probability beyond one, bounds of a reputation that exclude it).
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
        sound: NDArray[np.bool_] | Callable[[], NDArray[np.bool_]] | None = None,
    ) -> None:
        self.graph, self.version = graph, version
        self.hop_src, self.hop_dst, self.hop_path = hop_src, hop_dst, hop_path
        self.belief, self.media, self.hops, self.flow = belief, media, hops, flow
        self._hop, self._path, self._sound = hop, path, sound

    @cached_property
    def hop(self) -> NDArray[np.float32]:
        """(S, len(HOP)) float32, made when first looked at."""
        return self._hop() if callable(self._hop) else self._hop

    @cached_property
    def path(self) -> NDArray[np.float32]:
        """(P, len(PATH)) float32, made when first looked at."""
        return self._path() if callable(self._path) else self._path

    @cached_property
    def sound(self) -> NDArray[np.bool_]:
        """(P,) bool, found out when first looked at; all are where nobody said."""
        if self._sound is None:
            return np.ones(len(self), dtype=np.bool_)
        return self._sound() if callable(self._sound) else self._sound

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
        intervals: Where the measures will lie in nine calls of ten; None if not claimed.
        doubt: In [0, 1], by how much the confidence in a path is to be lowered since its features are unlike those
            the policy knows, or make no sense; None if it never doubts.
    """

    utility: NDArray[np.float64]
    ai_score: NDArray[np.float64]
    confidence: NDArray[np.float64]
    rtt: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    mos: NDArray[np.float64]
    intervals: Intervals | None = None
    doubt: NDArray[np.float64] | None = None


def build(candidates: Candidates, request: RouteRequest, view: NetworkView) -> Features:
    """Features of `candidates` for `request` as `view` believes them.

    Args:
        candidates: P paths of at least one hop each.
        request: What is asked.
        view: What is believed.
    """
    hops = believed_hops(view, candidates.hop_src, candidates.hop_dst)
    return described(candidates, hops, view, partial(_asked, request), request.flow, request.media)


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
    belief, graph = compose(candidates, hops, view.nodes, media), graph_of(view)
    return Features(
        graph=graph,
        version=(view.owner, view.version),
        hop=partial(hop_table, graph, hops),
        hop_src=candidates.hop_src.astype(np.int64),
        hop_dst=candidates.hop_dst.astype(np.int64),
        hop_path=candidates.hop_path,
        path=partial(path_table, candidates, hops, belief, asked, view.nodes, media),
        belief=belief,
        media=media,
        hops=hops,
        flow=flow,
        sound=partial(sound, candidates, hops, view.nodes),
    )
