"""onnxruntime beside torch: the same network on the same inputs, both on one thread."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from meshsim.learn.config import Shape
from meshsim.learn.export import export_models, session_of
from meshsim.learn.fit import settled
from meshsim.learn.gnn import RouteScorer
from meshsim.routing.policies.learned import ENCODER_INPUTS, HEAD_INPUTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meshsim.routing.features import Features

ROUNDS = 3
"""Of the network that both engines run: so that its encoder has messages to pass."""


def milliseconds(work: Callable[[], object], times: int) -> NDArray[np.float64]:
    """How long each of (times,) runs of `work` takes, ms, after one that is not counted."""
    work()
    taken = np.empty(times)
    for i in range(times):
        began = time.perf_counter()
        work()
        taken[i] = time.perf_counter() - began
    return 1000.0 * taken


def beside_torch(features: Features, times: int) -> dict[str, float]:
    """Medians in ms of both engines on the same inputs, and how many times longer torch takes.

    Args:
        features: Of one call.
        times: How often each is asked.
    """
    given = {
        "node": features.node,
        "link": features.link,
        "link_src": features.link_src,
        "link_dst": features.link_dst,
        "hop": features.hop,
        "hop_src": features.hop_src,
        "hop_dst": features.hop_dst,
        "hop_path": features.hop_path,
        "path": features.path,
    }
    with settled(0, threads=1), torch.no_grad():
        network = RouteScorer(Shape(rounds=ROUNDS)).eval()
        sessions = [session_of(model) for model in export_models(network)]
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in given.items()}
        tensors["embedding"] = network.encoder(*(tensors[name] for name in ENCODER_INPUTS))
        given["embedding"] = tensors["embedding"].numpy()
        told: dict[str, float] = {}
        for name, module, session, inputs in (
            ("encoder", network.encoder, sessions[0], ENCODER_INPUTS),
            ("head", network.head, sessions[1], HEAD_INPUTS),
        ):
            asking = partial(session.run, None, {one: given[one] for one in inputs})
            eager = float(np.median(milliseconds(partial(module, *(tensors[one] for one in inputs)), times)))
            onnx = float(np.median(milliseconds(asking, times)))
            told |= {f"{name}_torch_ms": eager, f"{name}_onnxruntime_ms": onnx, f"{name}_ratio": eager / onnx}
    return told
