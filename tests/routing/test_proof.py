"""What torch said is asked again: a scorer that answers otherwise, or is built of strange parts, is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import ConfigError
from meshsim.routing import features, lint
from meshsim.routing.artefact import ENCODER, HEAD, MANIFEST, read_artefact, sign_model, write_manifest
from meshsim.routing.policies import Learned
from meshsim.routing.proof import prove
from meshsim.routing.reference import REFERENCE, furthest, read_reference, write_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.routing.reference import Values

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(file.parent for file in (ROOT / "models").glob("*/manifest.json"))
OPERATOR = Ed25519Signer.from_seed(bytes([1] * 32))


def asked(seed: int) -> Values:
    draw = np.random.default_rng(seed)
    n, e, p = 5, 9, 3
    return {
        "node": draw.normal(size=(n, len(features.NODE))).astype(np.float32),
        "link": draw.normal(size=(e, len(features.HOP))).astype(np.float32),
        "link_src": draw.integers(0, n, e),
        "link_dst": draw.integers(0, n, e),
        "hop": draw.normal(size=(2 * p, len(features.HOP))).astype(np.float32),
        "hop_src": draw.integers(0, n, 2 * p),
        "hop_dst": draw.integers(0, n, 2 * p),
        "hop_path": np.repeat(np.arange(p), 2),
        "path": draw.normal(size=(p, len(features.PATH))).astype(np.float32),
    }


def seal(folder: Path, *cases: Values) -> Path:
    write_reference(folder, cases)
    write_manifest(folder)
    return folder


@pytest.fixture
def whole(own_scorer: Path) -> Path:
    """A scorer with answers to hold it to."""
    policy = Learned(own_scorer)
    return seal(own_scorer, *({**case, **policy.answers(case)} for case in (asked(1), asked(2))))


def changed(file: Path, change: Callable[[Any], None]) -> None:
    model = onnx.load_from_string(file.read_bytes())
    change(model)
    file.write_bytes(model.SerializeToString())
    write_manifest(file.parent)


def test_a_scorer_that_says_what_it_said_is_proved(whole: Path) -> None:
    proof = prove(whole)
    assert proof.apart == 0.0
    assert proof.linted
    assert proof.artefact.signer is None
    sign_model(whole, OPERATOR)
    assert prove(whole, OPERATOR.node_id).artefact.signer == OPERATOR.node_id


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.name)
def test_committed_scorers_are_proved(folder: Path) -> None:
    assert prove(folder).linted


def test_where_nothing_reads_graphs_the_proof_says_so(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    changed(whole / ENCODER, _commented)
    assert not prove(whole).linted


def test_inputs_that_do_not_fit_are_told(whole: Path) -> None:
    (case, _) = read_reference(whole / REFERENCE, ())
    case["hop_src"] = case["hop_src"] + 99
    with pytest.raises(ConfigError, match="does not run"):
        prove(seal(whole, case))


def test_the_reference_is_sealed_with_the_rest(whole: Path) -> None:
    (whole / REFERENCE).write_bytes(b"other")
    with pytest.raises(ConfigError, match=f"{REFERENCE}: differs from its checksum"):
        read_artefact(whole)


def test_a_changed_weight_is_noticed_though_the_manifest_fits(whole: Path) -> None:
    def nudge(model: Any) -> None:
        (weight,) = (one for one in model.graph.initializer if one.name == "A")
        weight.raw_data = (numpy_helper.to_array(weight) + np.float32(0.01)).tobytes()

    changed(whole / HEAD, nudge)
    read_artefact(whole)
    with pytest.raises(ConfigError, match=r"answers differ from torch by 0\.\d+, expected at most 0\.0001"):
        prove(whole)


def test_an_answer_that_is_no_number_is_noticed(whole: Path) -> None:
    cases = list(read_reference(whole / REFERENCE, ("mos",)))
    cases[0]["mos"] = np.full_like(cases[0]["mos"], np.nan)
    with pytest.raises(ConfigError, match="differ from torch by nan"):
        prove(seal(whole, *cases))


def test_without_reference_nothing_is_proved(own_scorer: Path) -> None:
    with pytest.raises(ConfigError, match="no reference outputs can be read"):
        prove(own_scorer)


def test_a_reference_that_asks_nothing_proves_nothing(whole: Path) -> None:
    with pytest.raises(ConfigError, match=r"case 0 lacks .*mos"):
        prove(seal(whole))


def test_a_reference_that_leaves_an_output_out_is_refused(whole: Path) -> None:
    (case, _) = read_reference(whole / REFERENCE, ())
    del case["logit_loss"]
    with pytest.raises(ConfigError, match="case 0 lacks logit_loss"):
        prove(seal(whole, case))


def test_what_is_no_reference_is_refused(whole: Path) -> None:
    np.save(whole / "single.npy", np.zeros(3))
    for content in (b"", b"PK\x03\x04", b"\x93NUMPY", (whole / "single.npy").read_bytes()):
        (whole / REFERENCE).write_bytes(content)
        write_manifest(whole)
        with pytest.raises(ConfigError, match="no reference outputs can be read"):
            prove(whole)


def test_other_shapes_are_infinitely_far() -> None:
    assert furthest({"mos": np.zeros(3)}, {"mos": np.zeros(2)}) == np.inf


def test_equal_cases_are_equal_bytes(whole: Path) -> None:
    before = (whole / MANIFEST).read_bytes()
    seal(whole, *read_reference(whole / REFERENCE, ()))
    assert (whole / MANIFEST).read_bytes() == before


def _fixed(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 5


def _commented(model: Any) -> None:
    model.graph.node[0].doc_string = "/home/somebody/gnn.py"


def _annotated(model: Any) -> None:
    model.metadata_props.add(key="made", value="here")


def _elsewhere(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.external_data.add(key="location", value="weights.bin")


def _huge(model: Any) -> None:
    wide = np.zeros(lint.MOST_CONSTANT // 4 + 1, dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(wide, "wide"))


def _drawing(model: Any) -> None:
    model.graph.node.append(helper.make_node("RandomNormal", [], ["noise"], shape=[1], dtype=TensorProto.FLOAT))


def _older(model: Any) -> None:
    model.opset_import[0].version = 17


def _own(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def _made_by(model: Any) -> None:
    model.producer_version = "2.13.0"


def _function(model: Any) -> None:
    identity = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(
        helper.make_function("com.example", "Same", ["x"], ["y"], [identity], [helper.make_opsetid("", 18)])
    )


def _sparse(model: Any) -> None:
    values, places = np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.int64)
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(numpy_helper.from_array(values, "few"), numpy_helper.from_array(places, "at"), [4])
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_function, "function Same of its own, expected none"),
        (_sparse, "sparse constants, expected none"),
        (_fixed, "node has a fixed number of rows, expected any"),
        (_commented, "a comment or metadata on"),
        (_annotated, "a comment or metadata on the model, expected none"),
        (_elsewhere, "lies in another file"),
        (_huge, "constant wide has 524"),
        (_drawing, "operator ai.onnx.RandomNormal, which no scorer needs"),
        (_older, "operator set ai.onnx 17, expected one of ai.onnx 18"),
        (_own, "operator set com.example 1, expected"),
        (_made_by, "'2.13.0'"),
    ],
)
def test_a_graph_of_strange_parts_is_told(own_scorer: Path, change: Callable[[Any], None], told: str) -> None:
    assert lint.faults((own_scorer / ENCODER).read_bytes()) == ()
    changed(own_scorer / ENCODER, change)
    assert told in "; ".join(lint.faults((own_scorer / ENCODER).read_bytes()))


def test_what_is_no_model_is_told() -> None:
    (told,) = lint.faults(b"no model")
    assert told.startswith("no valid ONNX model")


def test_a_strange_graph_is_refused_though_all_else_holds(whole: Path) -> None:
    changed(whole / ENCODER, _commented)
    with pytest.raises(ConfigError, match=f"{ENCODER}: a comment or metadata"):
        prove(whole)
