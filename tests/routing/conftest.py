"""A tiny but complete scorer artefact: the right inputs and outputs, weights by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from meshsim.routing import artefact, features

if TYPE_CHECKING:
    from pathlib import Path

DIMENSION = 4
HEAD_OUTPUTS = ("logit_ok", "log_rtt", "log_jitter", "logit_loss", "mos")
SPREAD, HOP_PARTS = 6, 3


def _value(name: str, *shape: str | int, integer: bool = False) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64 if integer else TensorProto.FLOAT, shape)


def _constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def _model(graph: onnx.GraphProto) -> bytes:
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9, producer_name="meshsim")
    onnx.checker.check_model(model)
    return model.SerializeToString()


def encoder() -> bytes:
    """embedding = node W + sum over incoming links of (embedding of the source + link V)."""
    draw = np.random.default_rng(1)
    node_weight = draw.normal(0, 0.3, (len(features.NODE), DIMENSION)).astype(np.float32)
    link_weight = draw.normal(0, 0.1, (len(features.HOP), DIMENSION)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["node", "W"], ["own"]),
        helper.make_node("MatMul", ["link", "V"], ["via"]),
        helper.make_node("Gather", ["own", "link_src"], ["sent"]),
        helper.make_node("Add", ["sent", "via"], ["message"]),
        helper.make_node("Unsqueeze", ["link_dst", "last"], ["row"]),
        helper.make_node("ScatterND", ["own", "row", "message"], ["summed"], reduction="add"),
        helper.make_node("Tanh", ["summed"], ["embedding"]),
    ]
    inputs = [
        _value("node", "N", len(features.NODE)),
        _value("link", "E", len(features.HOP)),
        _value("link_src", "E", integer=True),
        _value("link_dst", "E", integer=True),
    ]
    constants = [_constant("W", node_weight), _constant("V", link_weight), _constant("last", np.array([1]))]
    return _model(helper.make_graph(nodes, "encoder", inputs, [_value("embedding", "N", DIMENSION)], constants))


def head() -> bytes:
    """Each output = path features a + sum over hops of (embedding of both ends, hop features) b."""
    draw = np.random.default_rng(2)
    outputs = len(HEAD_OUTPUTS)
    path_weight = draw.normal(0, 0.1, (len(features.PATH), outputs)).astype(np.float32)
    hop_weight = draw.normal(0, 0.1, (2 * DIMENSION + len(features.HOP), outputs)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["embedding", "hop_src"], ["from"]),
        helper.make_node("Gather", ["embedding", "hop_dst"], ["to"]),
        helper.make_node("Concat", ["from", "to", "hop"], ["hops"], axis=1),
        helper.make_node("MatMul", ["hops", "B"], ["parts"]),
        helper.make_node("MatMul", ["path", "A"], ["base"]),
        helper.make_node("Unsqueeze", ["hop_path", "last"], ["row"]),
        helper.make_node("ScatterND", ["base", "row", "parts"], ["all"], reduction="add"),
        helper.make_node("Split", ["all"], [f"{name}_column" for name in HEAD_OUTPUTS], axis=1, num_outputs=outputs),
        *(helper.make_node("Squeeze", [f"{name}_column", "last"], [name]) for name in HEAD_OUTPUTS),
        helper.make_node("MatMul", ["path", "C"], ["wide"]),
        helper.make_node("Abs", ["wide"], ["spread"]),
        helper.make_node("MatMul", ["path", "D"], ["odd"]),
        helper.make_node("Abs", ["odd"], ["strange_column"]),
        helper.make_node("Squeeze", ["strange_column", "last"], ["strange"]),
        helper.make_node("MatMul", ["hop", "E"], ["signed"]),
        helper.make_node("Abs", ["signed"], ["part"]),
    ]
    inputs = [
        _value("embedding", "N", DIMENSION),
        _value("hop", "S", len(features.HOP)),
        _value("hop_src", "S", integer=True),
        _value("hop_dst", "S", integer=True),
        _value("hop_path", "S", integer=True),
        _value("path", "P", len(features.PATH)),
    ]
    constants = [_constant("A", path_weight), _constant("B", hop_weight), _constant("last", np.array([1]))]
    for name, rows, columns in (("C", features.PATH, SPREAD), ("D", features.PATH, 1), ("E", features.HOP, HOP_PARTS)):
        constants.append(_constant(name, draw.normal(0, 0.01, (len(rows), columns)).astype(np.float32)))
    given = [_value(name, "P") for name in HEAD_OUTPUTS]
    given += [_value("spread", "P", SPREAD), _value("strange", "P"), _value("part", "S", HOP_PARTS)]
    return _model(helper.make_graph(nodes, "head", inputs, given, constants))


CALIBRATION = {"platt": [1.5, 0.25], "confidence": {"ai_score": [40.0, 80.0], "values": [0.2, 0.6, 0.9]}}


def write(folder: Path) -> Path:
    """The artefact in `folder`, sealed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / artefact.ENCODER).write_bytes(encoder())
    (folder / artefact.HEAD).write_bytes(head())
    (folder / artefact.CALIBRATION).write_text(json.dumps(CALIBRATION), encoding="utf-8")
    (folder / artefact.CARD).write_text("# A scorer made by hand\n", encoding="utf-8")
    artefact.write_features(folder)
    artefact.write_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed artefact that no test changes."""
    return write(tmp_path_factory.mktemp("models") / "by-hand")


@pytest.fixture
def own_scorer(tmp_path: Path) -> Path:
    """A sealed artefact for one test to spoil."""
    return write(tmp_path / "own")
