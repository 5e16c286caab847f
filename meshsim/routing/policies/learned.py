"""The trained scorer, run by onnxruntime: an encoder once per view, a head once per call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import MediaType
from meshsim.routing.artefact import Artefact, card_text, list_models, read_artefact, verify_model
from meshsim.routing.calibration import sigmoid
from meshsim.routing.features import Intervals, Scores, link_columns, node_columns
from meshsim.routing.graph import Graph, Memo
from meshsim.routing.policies.base import POLICIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.routing.features import Features

DEFAULT_MODEL = "route-scorer"
ENCODER_INPUTS = ("node", "link", "link_src", "link_dst")
HEAD_INPUTS = ("embedding", "hop", "hop_src", "hop_dst", "hop_path", "path")
HEAD_OUTPUTS = ("logit_ok", "log_rtt", "log_jitter", "logit_loss", "mos", "spread", "strange", "part")

_LIMIT = 30.0


@POLICIES.register("learned")
class Learned:
    """Scores paths by the calibrated probability that a call meets its target; the predicted MOS decides among equals.

    One thread and fixed kernels: the same features give the same scores, bit for bit, on the same machine.

    Args:
        model: A name found in `models/` of the checkout or in the package, or the folder of an artefact.
        signer: The operator who must have signed it; whoever did, or nobody, when None.

    Raises:
        ConfigError: If the artefact is absent, altered, made for other features, or not signed by `signer`.

    Attributes:
        artefact: What was loaded.
    """

    name = "learned"

    def __init__(self, model: str | Path = DEFAULT_MODEL, *, signer: NodeId | None = None) -> None:
        self._open(read_artefact(model, signer))

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
        """What the head says of P paths, calibrated; paths of which impossible things are believed are doubted."""
        logit_ok, log_rtt, log_jitter, logit_loss, mos, spread, strange = (
            np.nan_to_num(np.asarray(output, dtype=np.float64)) for output in self._run(features, HEAD_OUTPUTS[:-1])
        )
        calibration = self.artefact.calibration
        ai_score, mos = calibration.ai_score(logit_ok), np.clip(mos, 1.0, 4.5)
        return Scores(
            utility=calibration.order_by(ai_score, mos),
            ai_score=ai_score,
            confidence=np.full(len(ai_score), np.nan),
            rtt=_exp(log_rtt),
            jitter=_exp(log_jitter),
            loss=sigmoid(logit_loss),
            mos=mos,
            intervals=_intervals(
                log_rtt,
                log_jitter,
                logit_loss,
                calibration.widened(spread, media_places(features), features.belief.hops),
            ),
            doubt=np.where(features.sound, calibration.doubt(strange), 1.0),
        )

    def parts(self, features: Features) -> NDArray[np.float64]:
        """What each of S hops adds to its path, (S, 3): seconds of delay, variance of jitter in s^2, -ln(1 - loss)."""
        (part,) = self._run(features, HEAD_OUTPUTS[-1:])
        return np.asarray(part, dtype=np.float64)

    def _run(self, features: Features, outputs: tuple[str, ...]) -> list[NDArray[np.float32]]:
        inputs = {
            "embedding": self._embedding(features.graph),
            "hop": features.hop,
            "hop_src": features.hop_src,
            "hop_dst": features.hop_dst,
            "hop_path": features.hop_path,
            "path": features.path,
        }
        answers: list[NDArray[np.float32]] = self._head.run(list(outputs), inputs)
        return answers

    def answers(self, asked: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Raw outputs of encoder and head for raw inputs, by name, so that both can be held to what torch said.

        Raises:
            ConfigError: If they cannot be run on such inputs.
        """
        try:
            (embedding,) = self._encoder.run(["embedding"], {name: asked[name] for name in ENCODER_INPUTS})
            inputs = {**{name: asked[name] for name in HEAD_INPUTS[1:]}, "embedding": embedding}
            said = self._head.run(list(HEAD_OUTPUTS), inputs)
        except _failures() as error:
            raise ConfigError(f"scorer {self.artefact.name}: does not run: {error}") from error
        return {"embedding": embedding, **dict(zip(HEAD_OUTPUTS, said, strict=True))}

    def confidence(self, ai_score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability of being within 0.2 MOS of the best candidate, if the path is the one chosen.

        Args:
            ai_score: (K,) as `score` gave it. The lead over the runner-up tells less: where many paths are good the
                lead is small and the choice safe.
        """
        return self.artefact.calibration.confidence.at(ai_score)


def media_places(features: Features) -> NDArray[np.int64] | int:
    """Places in `MediaType` of what calls carry: one for all paths, or (P,)."""
    if isinstance(features.media, MediaType):
        return list(MediaType).index(features.media)
    return features.media


def _intervals(
    log_rtt: NDArray[np.float64],
    log_jitter: NDArray[np.float64],
    logit_loss: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> Intervals:
    ends = [
        middle[:, None] + spread[:, k : k + 2] * (-1.0, 1.0)
        for k, middle in ((0, log_rtt), (2, log_jitter), (4, logit_loss))
    ]
    return Intervals(rtt=_exp(ends[0]), jitter=_exp(ends[1]), loss=sigmoid(ends[2]))


def _exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(np.clip(x, -_LIMIT, _LIMIT))


def _failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for models and inputs that do not fit."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415 - as in `_session`

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
    return tuple(getattr(state, name) for name in names)


def _session(artefact: Artefact, model: bytes, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    """An onnxruntime session on one thread, so that sums are always taken in the same order.

    Raises:
        ConfigError: If it is no ONNX model or has other inputs or outputs.
    """
    import onnxruntime as ort  # noqa: PLC0415 - 0.1 s that only this policy pays

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _failures() as error:
        raise ConfigError(f"scorer {artefact.name}: not a usable ONNX model: {error}") from error
    given, wanted = {i.name for i in session.get_inputs()}, {o.name for o in session.get_outputs()}
    if not given <= set(inputs) or not set(outputs) <= wanted:
        raise ConfigError(f"scorer {artefact.name}: {sorted(given)} -> {sorted(wanted)}, not {inputs} -> {outputs}")
    return session


def load_model(model: str | Path = DEFAULT_MODEL, *, signer: NodeId | None = None) -> Learned:
    """The scorer `model` as a policy; `signer` is the operator who must have signed it, if anybody must.

    Raises:
        ConfigError: If the artefact is absent, altered, made for other features, or not signed by `signer`.
    """
    return Learned(model, signer=signer)


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
