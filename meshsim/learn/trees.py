"""Gradient-boosted trees, the scorer's rival from a library (LightGBM), in the same artefact; `boosting` grows them.

Trees see a table with a row for each path: its own columns, and the least, the greatest and the sum of its hops' and
of its relays' columns. The table is made inside the head, so that an artefact of trees has the inputs and outputs
of any other; its encoder hands the nodes' columns on. What calls measure is predicted as a correction of what is
believed, so trees that found nothing say what beliefs say.

Letters as in `gnn`: N nodes, P candidates, S hops; T trees, K what they predict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from meshsim.learn.gnn import Prediction, RouteScorer, Scale, add_up, believed
from meshsim.mesh import quality
from meshsim.routing import features as columns
from meshsim.routing import lint

if TYPE_CHECKING:
    from lightgbm import Booster
    from numpy.typing import NDArray

MEASURED = 5
"""The first outputs of the trees: `logit_ok`, and by how much `log_rtt`, `log_jitter`, `logit_loss` and `mos` exceed
what is believed."""

SIDES = (-1.0, 1.0) * 3
"""Signs of the outputs behind them: lower and upper quantiles, of which `Prediction.spread` tells the distances."""

OUTPUTS = MEASURED + len(SIDES)
LEAST_SPREAD = 0.01
MOST_LOGIT = 30.0
TREES = "ai.onnx.ml"
"""The domain of ONNX that has trees."""

_LEAST_OR_EQUAL = 0
BELIEVED = [columns.PATH.index(name) for name in ("log_rtt", "log_jitter", "log_loss", "mos")]
REFERENCE = (math.log(quality.TARGET.rtt), math.log(quality.TARGET.jitter), math.log(quality.TARGET.loss), 4.0)
"""Columns of what is believed of a path, and what they are told about."""


class Ensemble(NamedTuple):
    """T trees as ONNX's TreeEnsemble has them: M inner nodes, L leaves, all trees one after another.

    Attributes:
        roots: (T,) int64, the first inner node of each tree.
        feature: (M,) int64, the column that is asked.
        split: (M,) float32, up to which the answer is yes.
        yes, no: (M,) int64, the inner node that follows, or the leaf.
        yes_leaf, no_leaf: (M,) int64, 1 where that is a leaf.
        target: (L,) int64, which of the outputs the leaf adds to.
        weight: (L,) float32, what it adds.
    """

    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    split: NDArray[np.float32]
    yes: NDArray[np.int64]
    no: NDArray[np.int64]
    yes_leaf: NDArray[np.int64]
    no_leaf: NDArray[np.int64]
    target: NDArray[np.int64]
    weight: NDArray[np.float32]


class _Growing:
    """Trees of LightGBM's `dump_model`, written down one after another as an `Ensemble`."""

    def __init__(self) -> None:
        self.roots: list[int] = []
        self.inner: list[list[float]] = []
        self.leaves: list[tuple[int, float]] = []

    def add(self, tree: dict[str, Any], target: int) -> None:
        """One tree that adds to `target`; one of a single leaf asks something that changes nothing."""
        root = tree["tree_structure"]
        if "split_feature" not in root:
            root = {"split_feature": 0, "threshold": 0.0, "left_child": root, "right_child": root}
        self.roots.append(self._inner(root, target))

    def _inner(self, node: dict[str, Any], target: int) -> int:
        at = len(self.inner)
        self.inner.append([])
        yes, yes_leaf = self._child(node["left_child"], target)
        no, no_leaf = self._child(node["right_child"], target)
        self.inner[at] = [node["split_feature"], node["threshold"], yes, no, yes_leaf, no_leaf]
        return at

    def _child(self, node: dict[str, Any], target: int) -> tuple[int, int]:
        if "split_feature" in node:
            return self._inner(node, target), 0
        self.leaves.append((target, node["leaf_value"]))
        return len(self.leaves) - 1, 1

    def ensemble(self) -> Ensemble:
        """All of them."""
        inner = np.array(self.inner).reshape(-1, 6)
        leaves = np.array(self.leaves).reshape(-1, 2)
        feature, yes, no, yes_leaf, no_leaf = (inner[:, k].astype(np.int64) for k in (0, 2, 3, 4, 5))
        return Ensemble(
            roots=np.array(self.roots, dtype=np.int64),
            feature=feature,
            split=_rounded_down(inner[:, 1]),
            yes=yes,
            no=no,
            yes_leaf=yes_leaf,
            no_leaf=no_leaf,
            target=leaves[:, 0].astype(np.int64),
            weight=leaves[:, 1].astype(np.float32),
        )


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The greatest single-precision numbers not above: a single x is up to the one just when it is up to the other."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)


def raw(booster: Booster, table: NDArray[np.float32]) -> NDArray[np.float64]:
    """The sum of a booster's leaves for each of P rows; (P, F) -> (P,)."""
    return np.asarray(booster.predict(table, raw_score=True, num_threads=1), dtype=np.float64)


@dataclass(frozen=True)
class Boosted:
    """LightGBM's boosters, one for each of `OUTPUTS`."""

    boosters: tuple[Booster, ...]

    def predict(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """What they say of P rows, (P, K), by LightGBM itself."""
        return np.stack([raw(booster, table) for booster in self.boosters], axis=1).astype(np.float32)

    @cached_property
    def ensemble(self) -> Ensemble:
        """All trees of all boosters."""
        growing = _Growing()
        for target, booster in enumerate(self.boosters):
            for tree in booster.dump_model()["tree_info"]:
                growing.add(tree, target)
        return growing.ensemble()


class _Ask(torch.autograd.Function):
    """What `Boosted` says of a table: LightGBM's own arithmetic in torch, one TreeEnsemble in ONNX."""

    @staticmethod
    def forward(_: Any, table: Tensor, boosted: Boosted) -> Tensor:
        """(P, F) -> (P, K)."""
        return torch.from_numpy(boosted.predict(table.detach().numpy()))

    @staticmethod
    def symbolic(graph: Any, table: Any, boosted: Boosted) -> Any:
        """The node of the ONNX graph."""
        trees = boosted.ensemble
        modes = torch.full((len(trees.feature),), _LEAST_OR_EQUAL, dtype=torch.uint8)
        said = graph.op(
            f"{TREES}::TreeEnsemble",
            table,
            n_targets_i=OUTPUTS,
            tree_roots_i=trees.roots.tolist(),
            nodes_featureids_i=trees.feature.tolist(),
            nodes_splits_t=torch.from_numpy(trees.split),
            nodes_modes_t=modes,
            nodes_truenodeids_i=trees.yes.tolist(),
            nodes_falsenodeids_i=trees.no.tolist(),
            nodes_trueleafs_i=trees.yes_leaf.tolist(),
            nodes_falseleafs_i=trees.no_leaf.tolist(),
            leaf_targetids_i=trees.target.tolist(),
            leaf_weights_t=torch.from_numpy(trees.weight),
        )
        said.setType(table.type().with_sizes([None, OUTPUTS]))
        return said


def asked(table: Tensor, boosted: Boosted) -> Tensor:
    """What the trees say of a table; (P, F) -> (P, K)."""
    return torch.as_tensor(_Ask.apply(table, boosted))  # type: ignore[no-untyped-call]


class _Extreme(torch.autograd.Function):
    """`scatter_reduce`, which the TorchScript exporter wraps in branches whose shapes are wrong."""

    @staticmethod
    def forward(_: Any, start: Tensor, index: Tensor, rows: Tensor, which: str) -> Tensor:
        """(P, F), (K, F), (K, F) -> (P, F); `which` is "min" or "max"."""
        return start.scatter_reduce(0, index, rows, f"a{which}")

    @staticmethod
    def symbolic(graph: Any, start: Any, index: Any, rows: Any, which: str) -> Any:
        """The node of the ONNX graph."""
        return graph.op("ScatterElements", start, index, rows, axis_i=0, reduction_s=which).setType(start.type())


def _reduced(rows: Tensor, index: Tensor, paths: int) -> Tensor:
    """Least, greatest and sum of the rows of each path, 0 where it has none; (K, F) and (K,) -> (P, 3 F)."""
    wide = index[:, None].expand(-1, rows.shape[1])  # (K, F)
    some = (add_up(torch.ones_like(rows[:, :1]), index, paths) > 0.0).to(rows.dtype)  # (P, 1)
    ends = [
        some * _Extreme.apply(rows.new_full((paths, rows.shape[1]), start), wide, rows, which)  # type: ignore[no-untyped-call]
        for start, which in ((columns.LIMIT, "min"), (-columns.LIMIT, "max"))
    ]  # (P, F) each
    return torch.cat([*ends, add_up(rows, index, paths)], dim=1)  # (P, 3 F)


def table_of(node: Tensor, hop: Tensor, hop_dst: Tensor, hop_path: Tensor, path: Tensor) -> Tensor:
    """The trees' table: (N, Fn), (S, Fh), (S,), (S,), (P, Fp) -> (P, Fp + 3 Fh + 3 Fn)."""
    onward = torch.nonzero(hop_path[1:] == hop_path[:-1])[:, 0]  # (relays,), hops that lead to one
    relays, paths = node[hop_dst[onward]], path.shape[0]  # (relays, Fn)
    return torch.cat([path, _reduced(hop, hop_path, paths), _reduced(relays, hop_path[onward], paths)], dim=1)


class Encoder(nn.Module):
    """Hands the nodes' columns on; exported as `encoder.onnx`."""

    def __init__(self) -> None:
        super().__init__()
        self.node_scale = Scale(len(columns.NODE))
        self.link_scale = Scale(len(columns.HOP))

    def forward(self, node: Tensor, link: Tensor, link_src: Tensor, link_dst: Tensor) -> Tensor:  # noqa: ARG002 - every encoder has them
        """(N, Fn), (E, Fl), (E,), (E,) -> (N, Fn)."""
        return node.clone()


class Head(nn.Module):
    """Scores the candidates of one call, or of many; exported as `head.onnx`."""

    reference: Tensor
    opsets = MappingProxyType({TREES: lint.OPSETS[TREES]})

    def __init__(self, boosted: Boosted) -> None:
        super().__init__()
        self.boosted = boosted
        self.hop_scale = Scale(len(columns.HOP))
        self.path_scale = Scale(len(columns.PATH))
        self.register_buffer("reference", torch.tensor(REFERENCE))

    def forward(
        self,
        embedding: Tensor,
        hop: Tensor,
        hop_src: Tensor,  # noqa: ARG002 - every head has it
        hop_dst: Tensor,
        hop_path: Tensor,
        path: Tensor,
    ) -> Prediction:
        """(N, Fn), (S, Fh), (S,), (S,), (S,), (P, Fp) -> five of (P,), (P, 6), (P,), (S, 3)."""
        told = asked(table_of(embedding, hop, hop_dst, hop_path, path), self.boosted)  # (P, K)
        said = told[:, 1:MEASURED] + path[:, BELIEVED] + self.reference  # (P, 4)
        unusual = add_up(self.hop_scale.excess(hop)[:, None], hop_path, path.shape[0])[:, 0]  # (P,)
        part = believed(hop)  # (S, 3)
        return Prediction(
            logit_ok=told[:, 0].clamp(-MOST_LOGIT, MOST_LOGIT),
            log_rtt=said[:, 0],
            log_jitter=said[:, 1],
            logit_loss=said[:, 2],
            mos=said[:, 3],
            spread=(told[:, MEASURED:] * told.new_tensor(SIDES)).clamp(min=LEAST_SPREAD),
            strange=self.path_scale.excess(path) + unusual,
            part=torch.stack([part[:, 0], part[:, 1] ** 2, part[:, 2]], dim=1),
        )


class TreeScorer(nn.Module):
    """Trees with the two sides of any scorer."""

    def __init__(self, boosted: Boosted) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.head = Head(boosted)


Scorer = RouteScorer | TreeScorer
"""What is calibrated, exported and served."""
