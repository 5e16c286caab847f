"""The trained scorer, run by onnxruntime: an encoder once per view, a head once per call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.routing.artefact import Artefact, card_text, list_models, read_artefact, verify_model
from meshsim.routing.calibration import sigmoid
from meshsim.routing.features import Scores, link_columns, node_columns
from meshsim.routing.graph import Graph, Memo
from meshsim.routing.policies.base import POLICIES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from meshsim.routing.features import Features

DEFAULT_MODEL = "route-scorer"
ENCODER_INPUTS = ("node", "link", "link_src", "link_dst")
HEAD_INPUTS = ("embedding", "hop", "hop_src", "hop_dst", "hop_path", "path")
HEAD_OUTPUTS = ("logit_ok", "log_rtt", "log_jitter", "logit_loss", "mos")

_LIMIT = 30.0


@POLICIES.register("learned")
class Learned:
    """Scores paths by the calibrated probability that a call meets its target; the predicted MOS decides among equals.

    One thread and fixed kernels: the same features give the same scores, bit for bit, on the same machine.

    Args:
        model: A name found in `models/` of the checkout or in the package, or the folder of an artefact.

    Raises:
        ConfigError: If the artefact is absent, altered, or made for other features.

    Attributes:
        artefact: What was loaded.
    """

    name = "learned"

    def __init__(self, model: str | Path = DEFAULT_MODEL) -> None:
        self._open(read_artefact(model))

    def _open(self, artefact: Artefact) -> None:
        self.artefact = artefact
        self._encoder = _session(artefact, artefact.encoder, ENCODER_INPUTS, ("embedding",))
        self._head = _session(artefact, artefact.head, HEAD_INPUTS, HEAD_OUTPUTS)
        self._embedding = Memo(self._encode)

    def __getstate__(self) -> dict[str, Any]:
        return {"artefact": self.artefact}  # sessions cannot be copied or pickled; they are opened anew

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._open(state["artefact"])

    def _repr_html_(self) -> str:
        return self.artefact._repr_html_()

    def _encode(self, graph: Graph) -> NDArray[np.float32]:
        """Embedding (N, D) of a view's shared belief."""
        inputs = {
            "node": node_columns(graph),
            "link": link_columns(graph),
            "link_src": graph.links.src.astype(np.int64),
            "link_dst": graph.links.dst.astype(np.int64),
        }
        embedding: NDArray[np.float32] = self._encoder.run(["embedding"], inputs)[0]
        return embedding

    def score(self, features: Features) -> Scores:
        """What the head says of P paths, calibrated."""
        inputs = {
            "embedding": self._embedding(features.graph),
            "hop": features.hop,
            "hop_src": features.hop_src,
            "hop_dst": features.hop_dst,
            "hop_path": features.hop_path,
            "path": features.path,
        }
        outputs = self._head.run(list(HEAD_OUTPUTS), inputs)
        logit_ok, log_rtt, log_jitter, logit_loss, mos = (
            np.nan_to_num(np.asarray(output, dtype=np.float64)).reshape(len(features)) for output in outputs
        )
        return self._calibrated(logit_ok, _exp(log_rtt), _exp(log_jitter), sigmoid(logit_loss), np.clip(mos, 1.0, 4.5))

    def _calibrated(
        self,
        logit_ok: NDArray[np.float64],
        rtt: NDArray[np.float64],
        jitter: NDArray[np.float64],
        loss: NDArray[np.float64],
        mos: NDArray[np.float64],
    ) -> Scores:
        calibration = self.artefact.calibration
        ai_score = calibration.ai_score(logit_ok)
        return Scores(
            utility=calibration.order_by(ai_score, mos),
            ai_score=ai_score,
            confidence=np.full(len(ai_score), np.nan),
            rtt=rtt,
            jitter=jitter,
            loss=loss,
            mos=mos,
        )

    def confidence(self, ai_score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability of being within 0.2 MOS of the best candidate, if the path is the one chosen.

        Args:
            ai_score: (K,) as `score` gave it. The lead over the runner-up tells less: where many paths are good the
                lead is small and the choice safe.
        """
        return self.artefact.calibration.confidence.at(ai_score)


def _exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(np.clip(x, -_LIMIT, _LIMIT))


def _session(artefact: Artefact, model: bytes, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    """An onnxruntime session on one thread, so that sums are always taken in the same order.

    Raises:
        ConfigError: If it is no ONNX model or has other inputs or outputs.
    """
    import onnxruntime as ort  # noqa: PLC0415 - 0.1 s that only this policy pays
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415 - the same

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    failures = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf, state.NotImplemented)
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise ConfigError(f"scorer {artefact.name}: not a usable ONNX model: {error}") from error
    given, wanted = {i.name for i in session.get_inputs()}, {o.name for o in session.get_outputs()}
    if not given <= set(inputs) or not set(outputs) <= wanted:
        raise ConfigError(f"scorer {artefact.name}: {sorted(given)} -> {sorted(wanted)}, not {inputs} -> {outputs}")
    return session


def load_model(model: str | Path = DEFAULT_MODEL) -> Learned:
    """The scorer `model` as a policy.

    Raises:
        ConfigError: If the artefact is absent, altered, or made for other features.
    """
    return Learned(model)


__all__ = [
    "DEFAULT_MODEL",
    "HEAD_INPUTS",
    "HEAD_OUTPUTS",
    "Learned",
    "card_text",
    "list_models",
    "load_model",
    "verify_model",
]
