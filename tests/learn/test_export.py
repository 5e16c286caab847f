"""What nodes run says what was trained, at every size, and carries nothing of the machine it was made on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch

from meshsim.learn.batch import batch_of
from meshsim.learn.calibrate import calibrate
from meshsim.learn.config import Shape
from meshsim.learn.export import SIZES, export, export_models, parity
from meshsim.learn.fit import predict
from meshsim.learn.gnn import RouteScorer
from meshsim.mesh.errors import MeshSimError
from meshsim.routing.policies import Learned
from meshsim.routing.proof import prove
from meshsim.routing.reference import TOLERANCE

if TYPE_CHECKING:
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.fit import Fit


@pytest.fixture(scope="module")
def models(fitted: Fit) -> tuple[bytes, bytes]:
    return export_models(fitted.scorer)


@pytest.fixture(scope="module")
def artefact(fitted: Fit, held_out: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artefact") / "scorer"
    assert export(fitted.scorer, calibrate(fitted.scorer, held_out), "# card\n", folder) <= TOLERANCE
    return folder


def test_onnx_agrees_with_torch_on_odd_and_on_random_sizes(fitted: Fit, models: tuple[bytes, bytes]) -> None:
    assert (2, 0, 1) in SIZES
    assert parity(fitted.scorer, *models, sizes=20) <= TOLERANCE


def test_parity_would_notice_a_changed_weight(fitted: Fit, models: tuple[bytes, bytes]) -> None:
    graph = onnx.load_from_string(models[1])
    weight = next(one for one in graph.graph.initializer if one.name == "judge.0.weight")
    weight.raw_data = (onnx.numpy_helper.to_array(weight) + np.float32(0.01)).tobytes()
    assert parity(fitted.scorer, models[0], graph.SerializeToString(), sizes=1) > TOLERANCE


def test_parity_would_notice_what_is_no_number(fitted: Fit, models: tuple[bytes, bytes]) -> None:
    graph = onnx.load_from_string(models[1])
    weight = next(one for one in graph.graph.initializer if one.name == "judge.0.weight")
    weight.raw_data = np.full_like(onnx.numpy_helper.to_array(weight), np.nan).tobytes()
    assert not parity(fitted.scorer, models[0], graph.SerializeToString(), sizes=1) <= TOLERANCE


@pytest.mark.full
def test_onnx_agrees_with_torch_up_to_twenty_thousand_nodes_and_five_hundred_paths(
    fitted: Fit, models: tuple[bytes, bytes]
) -> None:
    assert parity(fitted.scorer, *models, sizes=200, most=(20_000, 60_000, 500)) <= TOLERANCE


def test_what_was_exported_is_proved_without_torch(artefact: Path) -> None:
    proof = prove(artefact)
    assert 0.0 < proof.apart <= TOLERANCE
    assert proof.linted


def test_a_strange_graph_is_not_exported(
    fitted: Fit, held_out: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshsim.routing.lint.MOST_CONSTANT", 100)
    with pytest.raises(MeshSimError, match="not as nodes want them: constant"):
        export(fitted.scorer, calibrate(fitted.scorer, held_out), "# card\n", tmp_path / "scorer")
    assert not (tmp_path / "scorer").exists()


def test_sums_are_exported_as_sums(models: tuple[bytes, bytes]) -> None:
    for model in models:
        scatters = [n for n in onnx.load_from_string(model).graph.node if n.op_type.startswith("Scatter")]
        assert scatters
        for node in scatters:
            assert [a.s for a in node.attribute if a.name == "reduction"] == [b"add"]


def test_first_axes_are_dynamic(models: tuple[bytes, bytes]) -> None:
    for model in models:
        graph = onnx.load_from_string(model).graph
        assert all(one.type.tensor_type.shape.dim[0].dim_param for one in graph.input)


def test_no_path_of_the_machine_is_in_the_models(models: tuple[bytes, bytes]) -> None:
    for model in models:
        graph = onnx.load_from_string(model)
        assert not graph.metadata_props
        assert not any(node.doc_string or node.metadata_props for node in graph.graph.node)
        assert b".py" not in model
        assert str(Path.cwd()).encode() not in model


def test_a_scorer_without_rounds_exports_with_the_same_inputs() -> None:
    with torch.random.fork_rng(devices=[]):
        scorer = RouteScorer(Shape(rounds=0))
    models = export_models(scorer)
    assert {one.name for one in onnx.load_from_string(models[0]).graph.input} == {
        "node",
        "link",
        "link_src",
        "link_dst",
    }
    assert parity(scorer, *models, sizes=2) <= TOLERANCE


def test_exporting_twice_gives_the_same_bytes(fitted: Fit, models: tuple[bytes, bytes]) -> None:
    assert export_models(fitted.scorer) == models


def test_the_policy_that_nodes_run_says_what_torch_said(fitted: Fit, artefact: Path, held_out: Dataset) -> None:
    example = held_out.examples[0]
    scores = Learned(artefact).score(example.features)
    with torch.no_grad():
        said = predict(fitted.scorer, batch_of(held_out.views[example.view], [example]))
    assert np.allclose(np.log(scores.rtt), said.log_rtt.numpy(), atol=1e-4)
    assert np.array_equal(np.argsort(scores.ai_score), np.argsort(said.logit_ok.numpy()))


def test_the_artefact_is_small_and_whole(artefact: Path) -> None:
    assert sum(path.stat().st_size for path in artefact.iterdir()) < 300_000
    assert {path.name for path in artefact.iterdir()} == {
        "encoder.onnx",
        "head.onnx",
        "calibration.json",
        "features.json",
        "manifest.json",
        "reference.npz",
        "card.md",
    }


def test_a_difference_beyond_tolerance_writes_nothing(
    fitted: Fit, held_out: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshsim.learn.export.TOLERANCE", -1.0)
    with pytest.raises(MeshSimError, match="differ from torch"):
        export(fitted.scorer, calibrate(fitted.scorer, held_out), "# card\n", tmp_path / "scorer")
    assert not (tmp_path / "scorer").exists()
