"""Examples as tensors: the views of a batch become one disjoint graph, and all their calls share its encoding.

Letters as in `gnn`: N nodes, E links, P candidates, S hops; C calls.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.learn.dataset import Dataset, EncoderInput, Example

LEAST_LOSS = 1e-4
"""Label losses are cut here before their log-odds are taken: below it nobody hears a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some views and all calls placed on them.

    Attributes:
        node, link, link_src, link_dst: Input of the encoder: (N, Fn), (E, Fl), (E,), (E,).
        hop, hop_src, hop_dst, hop_path, path: Input of the head: (S, Fh), three of (S,), (P, Fp).
        call: (P,) int64, the call of each candidate.
        feasible, ok, connected: (P,) bool.
        log_rtt, log_jitter, logit_loss, mos: (P,) float32 labels; they mean nothing where not connected.
        sizes: (3,) int64: nodes, candidates, calls; what the next batch's indices are shifted by.
    """

    node: Tensor
    link: Tensor
    link_src: Tensor
    link_dst: Tensor
    hop: Tensor
    hop_src: Tensor
    hop_dst: Tensor
    hop_path: Tensor
    path: Tensor
    call: Tensor
    feasible: Tensor
    ok: Tensor
    connected: Tensor
    log_rtt: Tensor
    log_jitter: Tensor
    logit_loss: Tensor
    mos: Tensor
    sizes: Tensor

    @property
    def calls(self) -> int:
        """C, the number of calls."""
        return int(self.sizes[2])

    def to(self, device: str) -> Batch:
        """The same on another device; `sizes` stays where it is read."""
        if device == "cpu":
            return self
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self) if field.name != "sizes"}
        return Batch(**moved, sizes=self.sizes)


_SHIFTED = {"link_src": 0, "link_dst": 0, "hop_src": 0, "hop_dst": 0, "hop_path": 1, "call": 2}
"""Index columns, and the entry of `sizes` by which they shift when batches are joined."""


def join(batches: Sequence[Batch]) -> Batch:
    """One batch of all views of `batches`; their graphs stay apart."""
    sizes = torch.stack([batch.sizes for batch in batches])  # (B, 3)
    shift = torch.cumsum(sizes, 0) - sizes  # (B, 3)
    joined: dict[str, Tensor] = {}
    for field in fields(Batch):
        parts = [getattr(batch, field.name) for batch in batches]
        if field.name in _SHIFTED:
            parts = [part + shift[i, _SHIFTED[field.name]] for i, part in enumerate(parts)]
        joined[field.name] = torch.cat(parts)
    joined["sizes"] = sizes.sum(0)
    return Batch(**joined)


def batch_of(view: EncoderInput, examples: Sequence[Example]) -> Batch:
    """The calls `examples`, all placed on `view`, as one batch."""
    paths = np.cumsum([0, *(len(example) for example in examples)])
    labels = [example.labels for example in examples]
    built = [example.features for example in examples]

    def floats(arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays).astype(np.float32))

    def whole(arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays))

    loss = np.concatenate([np.clip(label.loss, LEAST_LOSS, 1 - LEAST_LOSS) for label in labels])
    return Batch(
        node=torch.from_numpy(view.node),
        link=torch.from_numpy(view.link),
        link_src=torch.from_numpy(view.link_src),
        link_dst=torch.from_numpy(view.link_dst),
        hop=floats([one.hop for one in built]),
        hop_src=whole([one.hop_src for one in built]),
        hop_dst=whole([one.hop_dst for one in built]),
        hop_path=whole([one.hop_path + paths[i] for i, one in enumerate(built)]),
        path=floats([one.path for one in built]),
        call=torch.from_numpy(np.repeat(np.arange(len(examples)), np.diff(paths))),
        feasible=whole([example.feasible for example in examples]),
        ok=whole([label.ok for label in labels]),
        connected=whole([label.connected for label in labels]),
        log_rtt=floats([_log(label.rtt) for label in labels]),
        log_jitter=floats([_log(label.jitter) for label in labels]),
        logit_loss=torch.from_numpy(np.log(loss / (1 - loss)).astype(np.float32)),
        mos=floats([label.mos for label in labels]),
        sizes=torch.tensor([len(view.node), paths[-1], len(examples)]),
    )


def _log(seconds: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(np.nan_to_num(seconds, nan=1.0), 1e-6)))


def batches_of(dataset: Dataset) -> list[Batch]:
    """One batch per view, in the order of `Dataset.by_view`."""
    return [batch_of(dataset.views[group[0].view], group) for group in dataset.by_view()]
