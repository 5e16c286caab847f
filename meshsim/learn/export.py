"""From a fitted scorer to the two ONNX models that nodes run, and the proof that they say the same as torch.

The TorchScript exporter is used: it needs no package beyond torch and onnx. Whatever could carry a file name of the
machine that exported is stripped.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import torch

from meshsim.learn.fit import settled
from meshsim.mesh.errors import MeshSimError
from meshsim.mesh.seeds import SeedTree
from meshsim.routing import artefact, features, lint
from meshsim.routing.policies.learned import ENCODER_INPUTS, HEAD_INPUTS, HEAD_OUTPUTS
from meshsim.routing.reference import TOLERANCE, furthest, write_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from meshsim.learn.gnn import Scale
    from meshsim.learn.trees import Scorer
    from meshsim.routing.calibration import Calibration
    from meshsim.routing.reference import Values

Size = tuple[int, int, int]
"""(N, E, P): nodes and links of a view, candidates of a call."""

SIZES: tuple[Size, ...] = ((1, 0, 1), (2, 0, 1), (2, 1, 1), (3, 7, 1), (5, 4, 16), (1000, 0, 3))
"""What random sizes rarely hit: no link, one candidate, one node."""

KEPT: tuple[Size, ...] = ((2, 0, 1), (3, 7, 1), (24, 90, 16))
"""What the artefact keeps torch's answers to, so that nodes can ask again."""

ROWS = {
    "node": "N",
    "link": "E",
    "link_src": "E",
    "link_dst": "E",
    "embedding": "N",
    "hop": "S",
    "hop_src": "S",
    "hop_dst": "S",
    "hop_path": "S",
    "path": "P",
    **dict.fromkeys(HEAD_OUTPUTS, "P"),
    "part": "S",
    **dict.fromkeys(("columns", "wait", "service", "flow", "queue", "before"), "H"),
    **dict.fromkeys(("sending", "delay"), "F"),
}
"""The name of the first axis of each input and output; all are dynamic."""


def random_inputs(scorer: Scorer, n: int, e: int, p: int, generator: np.random.Generator) -> Values:
    """A random view of N nodes and E links, and P candidates of one to three hops, spread as the training data were."""
    hops = generator.integers(1, 4, p)
    s = int(hops.sum())

    def rows(scale: Scale, k: int) -> NDArray[np.float32]:
        mean, deviation = scale.mean.numpy(), scale.deviation.numpy()
        return np.asarray(mean + deviation * generator.normal(size=(k, len(mean))), dtype=np.float32)

    hop = rows(scorer.head.hop_scale, s)
    loss = features.HOP.index("loss")
    hop[:, loss] = np.abs(hop[:, loss])
    return {
        "node": rows(scorer.encoder.node_scale, n),
        "link": rows(scorer.encoder.link_scale, e),
        "link_src": generator.integers(0, n, e),
        "link_dst": generator.integers(0, n, e),
        "hop": hop,
        "hop_src": generator.integers(0, n, s),
        "hop_dst": generator.integers(0, n, s),
        "hop_path": np.repeat(np.arange(p), hops),
        "path": rows(scorer.head.path_scale, p),
    }


def _declare(graph: onnx.ModelProto, inputs: dict[str, Tensor]) -> None:
    """Puts back inputs that the exporter left out because nothing reads them (links, where no round of messages is)."""
    present = {one.name for one in graph.graph.input}
    for name, value in inputs.items():
        if name not in present:
            kind = onnx.helper.np_dtype_to_tensor_dtype(value.numpy().dtype)
            graph.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, [ROWS[name], *value.shape[1:]]))


def _stripped(model: bytes, inputs: dict[str, Tensor]) -> bytes:
    graph = onnx.load_from_string(model)
    _declare(graph, inputs)
    graph.doc_string = graph.graph.doc_string = graph.producer_version = ""
    graph.producer_name = lint.PRODUCER
    del graph.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(graph)
    serialised: bytes = graph.SerializeToString(deterministic=True)
    return serialised


def to_onnx(module: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...]) -> bytes:
    """`module` as an ONNX model whose first axes are all dynamic.

    Args:
        module: The encoder or the head.
        inputs: An example of each input, by name, in the order of `forward`.
        outputs: Names of the outputs.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        written = Path(folder) / "model.onnx"
        warnings.simplefilter("ignore")  # that this exporter is the older one; parity is measured, not assumed
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            written,
            dynamo=False,
            opset_version=lint.OPSETS[""],
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: ROWS[name]} for name in (*inputs, *outputs)},
            custom_opsets=getattr(module, "opsets", None),  # of domains beside ONNX's own
        )
        return _stripped(written.read_bytes(), inputs)


def export_models(scorer: Scorer) -> tuple[bytes, bytes]:
    """Encoder and head as ONNX models."""
    scorer.eval()
    drawn = random_inputs(scorer, 6, 11, 4, SeedTree(0).generator("export"))
    example = {name: torch.from_numpy(value) for name, value in drawn.items()}
    encoder = to_onnx(scorer.encoder, {name: example[name] for name in ENCODER_INPUTS}, ("embedding",))
    with torch.no_grad():
        example["embedding"] = scorer.encoder(*(example[name] for name in ENCODER_INPUTS))
    return encoder, to_onnx(scorer.head, {name: example[name] for name in HEAD_INPUTS}, HEAD_OUTPUTS)


def parity(
    scorer: Scorer, encoder: bytes, head: bytes, *, sizes: int = 24, most: Size = (300, 3000, 40), seed: int = 1
) -> float:
    """Largest absolute difference between torch and onnxruntime over the odd `SIZES`, the largest and random ones.

    Args:
        scorer: In torch.
        encoder: As exported.
        head: As exported.
        sizes: Number of random sizes.
        most: The largest view and the largest number of candidates; sizes are drawn evenly on a logarithmic scale.
        seed: Of sizes and values.

    Returns:
        NaN if either says what is no number.
    """
    generator = SeedTree(seed).generator("parity")
    sessions = [session_of(model) for model in (encoder, head)]
    apart = []
    with settled(seed, threads=1):
        for size in (*SIZES, (*most[:2], 1), (2, 1, most[2]), *_drawn(sizes, most, generator)):
            asked = random_inputs(scorer, *size, generator)
            apart.append(furthest(_said(scorer, asked), _answered(sessions, asked)))
    return float(np.max(apart))


def _drawn(count: int, most: Size, generator: np.random.Generator) -> Iterator[Size]:
    yield from np.exp(generator.uniform(0.0, np.log(most), (count, 3))).astype(np.int64).tolist()


def session_of(model: bytes) -> ort.InferenceSession:
    """An onnxruntime session on one thread, as nodes have it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # as nodes run it
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _said(scorer: Scorer, asked: Values) -> Values:
    tensors = {name: torch.from_numpy(value) for name, value in asked.items()}
    with torch.no_grad():
        tensors["embedding"] = scorer.encoder(*(tensors[name] for name in ENCODER_INPUTS))
        said = scorer.head(*(tensors[name] for name in HEAD_INPUTS))
    outputs = {"embedding": tensors["embedding"], **dict(zip(HEAD_OUTPUTS, said, strict=True))}
    return {name: value.numpy() for name, value in outputs.items()}


def _answered(sessions: list[ort.InferenceSession], asked: Values) -> Values:
    (embedding,) = sessions[0].run(None, {name: asked[name] for name in ENCODER_INPUTS})
    answers = sessions[1].run(None, {**{name: asked[name] for name in HEAD_INPUTS[1:]}, "embedding": embedding})
    return {"embedding": embedding, **dict(zip(HEAD_OUTPUTS, answers, strict=True))}


def reference(scorer: Scorer, seed: int = 2) -> tuple[Values, ...]:
    """What torch is asked and says on views of the sizes `KEPT`."""
    generator = SeedTree(seed).generator("reference")
    with settled(seed, threads=1):
        drawn = [random_inputs(scorer, *size, generator) for size in KEPT]
        return tuple({**asked, **_said(scorer, asked)} for asked in drawn)


def export(scorer: Scorer, calibration: Calibration, card: str, out: Path) -> float:
    """Writes the artefact to `out` and returns the largest difference from torch.

    Args:
        scorer: Fitted.
        calibration: How its outputs become probabilities.
        card: The card, Markdown.
        out: The artefact's folder; files of an older one are replaced.

    Raises:
        MeshSimError: If the exported models hold what no scorer may (`routing.lint`) or differ from torch by more than
            `TOLERANCE`; nothing is written then.
    """
    encoder, head = export_models(scorer)
    if found := (*lint.faults(encoder), *lint.faults(head)):
        raise MeshSimError(f"the exported models are not as nodes want them: {'; '.join(found)}")
    difference = parity(scorer, encoder, head)
    if not difference <= TOLERANCE:
        raise MeshSimError(f"the exported models differ from torch by {difference:g}, more than {TOLERANCE:g}")
    out.mkdir(parents=True, exist_ok=True)
    (out / artefact.ENCODER).write_bytes(encoder)
    (out / artefact.HEAD).write_bytes(head)
    written = msgspec.json.format(msgspec.json.encode(calibration), indent=2)
    (out / artefact.CALIBRATION).write_bytes(written + b"\n")
    (out / artefact.CARD).write_text(card, encoding="utf-8")
    write_reference(out, reference(scorer))
    artefact.write_features(out)
    artefact.write_manifest(out)
    return difference
