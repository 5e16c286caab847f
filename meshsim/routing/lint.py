"""What an ONNX model of a scorer may consist of: known operators, sizes left open, and nothing of where it was made.

The package `onnx` reads it (extra `learn`); nodes that only run scorers have none and need none.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

OPSETS = {"": 18, "ai.onnx.ml": 5}
"""The version of each operator set that models are written for; from 16 on, ScatterElements can add."""

OPERATORS = frozenset(
    """
    Abs Add Cast Clip Concat Constant ConstantOfShape Div Equal Exp Expand Gather Gemm Greater Identity
    LayerNormalization Log MatMul Max Mul Neg NonZero Pow ReduceLogSumExp ReduceMean Reshape ScatterElements ScatterND
    Shape Sigmoid Slice Softplus Split Sqrt Squeeze Sub Tanh Transpose TreeEnsemble Unsqueeze Where
    """.split()  # noqa: SIM905 - forty names read better so
)
"""Arithmetic, gathering and scattering of rows, and trees: nothing that branches, loops or draws."""

MOST_CONSTANT = 2**19
"""Bytes of the largest constant of a model."""

PRODUCER = "meshsim"


def can_lint() -> bool:
    """Whether what reads ONNX models is installed."""
    return importlib.util.find_spec("onnx") is not None


def faults(model: bytes) -> tuple[str, ...]:
    """All that `model` has and should not have, in words; nothing if it is as it should be.

    Raises:
        ModuleNotFoundError: Without the package `onnx`.
    """
    import onnx  # noqa: PLC0415 - not needed by nodes
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with it

    try:
        graph = onnx.load_from_string(model)
        onnx.checker.check_model(graph)
    except (DecodeError, onnx.checker.ValidationError) as error:
        return (f"no valid ONNX model: {str(error).splitlines()[0]}",)
    return tuple(dict.fromkeys([*_foreign(graph), *_sizes(graph), *_stored(graph), *_traces(graph)]))


def _foreign(model: Any) -> Iterator[str]:
    for one in model.opset_import:
        if OPSETS.get(one.domain) != one.version:
            yield f"operator set {one.domain or 'ai.onnx'} {one.version}, expected one of {_known()}"
    for one in model.functions:
        yield f"function {one.name} of its own, expected none"
    for node in model.graph.node:
        if node.op_type not in OPERATORS or node.domain not in OPSETS:
            yield f"operator {node.domain or 'ai.onnx'}.{node.op_type}, which no scorer needs"


def _known() -> str:
    return ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in OPSETS.items())


def _sizes(model: Any) -> Iterator[str]:
    for one in (*model.graph.input, *model.graph.output):
        first = one.type.tensor_type.shape.dim[:1]
        if not first or not first[0].dim_param:
            yield f"{one.name} has a fixed number of rows, expected any"


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _stored(model: Any) -> Iterator[str]:
    import onnx  # noqa: PLC0415 - as above

    if model.graph.sparse_initializer:
        yield "sparse constants, expected none"
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield f"constant {tensor.name} lies in another file, expected all in one"
        if tensor.ByteSize() > MOST_CONSTANT:
            yield f"constant {tensor.name} has {tensor.ByteSize()} bytes, expected at most {MOST_CONSTANT}"


def _traces(model: Any) -> Iterator[str]:
    if (model.producer_name, model.producer_version, model.domain) != (PRODUCER, "", ""):
        told = f"{model.producer_name!r}, {model.producer_version!r}, {model.domain!r}"
        yield f"made by {told}, expected {PRODUCER!r} and no version or domain"
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    for part in (model, graph, *graph.node, *values, *graph.initializer):
        if part.doc_string or part.metadata_props:
            yield f"a comment or metadata on {getattr(part, 'name', '') or 'the model'}, expected none"
