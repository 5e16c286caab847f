"""Gradient-boosted trees: in the same artefact as any scorer, and the same in ONNX as in LightGBM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch

pytest.importorskip("lightgbm", reason="LightGBM comes with the extra learn")

from meshsim.learn.batch import batch_of
from meshsim.learn.boosting import grow
from meshsim.learn.calibrate import calibrate
from meshsim.learn.config import TrainConfig, Trees
from meshsim.learn.course import How
from meshsim.learn.export import export_models, parity
from meshsim.learn.fit import Fit, fit, predict
from meshsim.learn.train import train
from meshsim.learn.trees import TreeScorer, table_of
from meshsim.mesh.errors import ConfigError
from meshsim.routing import features, lint
from meshsim.routing.policies import Learned, verify_model
from meshsim.routing.reference import TOLERANCE

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.learn.dataset import Dataset

MODEL = Trees(kind="trees", most=6, leaves=6, learning_rate=0.5, least=20)


@pytest.fixture(scope="module")
def asked(config: TrainConfig) -> TrainConfig:
    return config.model_copy(update={"name": "trees", "model": MODEL})


@pytest.fixture(scope="module")
def grown(asked: TrainConfig, training: Dataset, held_out: Dataset) -> Fit:
    return grow(asked, training, held_out)


@pytest.fixture(scope="module")
def scorer(grown: Fit) -> TreeScorer:
    assert isinstance(grown.scorer, TreeScorer)
    return grown.scorer


def test_onnx_says_what_lightgbm_says_on_odd_and_on_random_sizes(scorer: TreeScorer) -> None:
    models = export_models(scorer)
    assert parity(scorer, *models, sizes=12) <= TOLERANCE
    assert [fault for model in models for fault in lint.faults(model)] == []


def test_parity_would_notice_a_changed_leaf(scorer: TreeScorer) -> None:
    encoder, head = export_models(scorer)
    graph = onnx.load_from_string(head)
    trees = next(node for node in graph.graph.node if node.op_type == "TreeEnsemble")
    leaves = next(one for one in trees.attribute if one.name == "leaf_weights").t
    leaves.raw_data = (onnx.numpy_helper.to_array(leaves) + np.float32(0.01)).tobytes()
    assert parity(scorer, encoder, graph.SerializeToString(), sizes=1) > TOLERANCE


def test_the_same_seed_grows_the_same_trees(
    asked: TrainConfig, scorer: TreeScorer, training: Dataset, held_out: Dataset
) -> None:
    assert export_models(grow(asked, training, held_out).scorer) == export_models(scorer)


def test_of_many_views_some_are_drawn(asked: TrainConfig, training: Dataset, held_out: Dataset) -> None:
    few = asked.model_copy(update={"model": MODEL.model_copy(update={"candidates": 200})})
    trees = grow(few, training, held_out).scorer
    assert isinstance(trees, TreeScorer)
    rows = trees.head.boosted.boosters[0].dump_model()["tree_info"][0]["tree_structure"]["internal_count"]
    assert 0.8 * 200 <= rows <= 200 + 48  # views are drawn whole, and a tree sees a share of 0.8


def test_trees_refuse_several_processes_before_anything_is_read(asked: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one process on the CPU"):
        train(asked, traces={}, out=tmp_path, how=How(processes=2))


def test_a_path_is_scored_alone(scorer: TreeScorer, held_out: Dataset) -> None:
    example = held_out.examples[0]
    together = predict(scorer, batch_of(held_out.views[example.view], [example])).logit_ok
    more = predict(scorer, batch_of(held_out.views[example.view], [example, held_out.examples[1]])).logit_ok
    assert torch.equal(together, more[: len(together)])


def test_the_table_holds_what_hops_and_relays_come_to(held_out: Dataset) -> None:
    built = held_out.examples[0].features
    node = torch.from_numpy(built.node)
    hop, dst, of, path = (torch.from_numpy(x) for x in (built.hop, built.hop_dst, built.hop_path, built.path))
    table = table_of(node, hop, dst, of, path).numpy()
    fp, fh, fn = len(features.PATH), len(features.HOP), len(features.NODE)
    assert table.shape == (len(built), fp + 3 * fh + 3 * fn)
    assert np.array_equal(table[:, :fp], built.path)
    last = len(built) - 1  # of three hops, over two relays
    hops, relays = built.hop[built.hop_path == last], built.node[built.hop_dst[built.hop_path == last][:-1]]
    assert (len(hops), len(relays)) == (3, 2)
    expected = [rows for part in (hops, relays) for rows in (part.min(axis=0), part.max(axis=0), part.sum(axis=0))]
    assert np.allclose(table[last, fp:], np.concatenate(expected), atol=1e-6)
    assert not table[0, fp + 3 * fh :].any()  # the direct path has no relay


def test_trees_are_trained_served_and_reported_like_any_scorer(
    asked: TrainConfig, traces: dict[int, Path], tmp_path: Path
) -> None:
    splits = {"train": [traces[s] for s in (1, 2, 3)], "calibration": [traces[4]], "validation": [traces[5]]}
    result = train(asked, traces={**splits, "report": [traces[6], traces[7]]}, out=tmp_path / "trees")
    verify_model(result.folder)
    assert sum(path.stat().st_size for path in result.folder.iterdir()) < 1_000_000
    rates = result.report["synthetic"].poor_call_rate
    assert rates["learned"].mean < min(rates["shortest"].mean, rates["weighted"].mean)
    card = (result.folder / "card.md").read_text(encoding="utf-8")
    assert "Gradient-boosted trees" in card
    assert "models/trees/train.yaml" in card


def test_served_trees_predict_measures_with_intervals_and_parts(
    scorer: TreeScorer, held_out: Dataset, tmp_path: Path
) -> None:
    from meshsim.learn.export import export  # noqa: PLC0415 - for this test alone

    export(scorer, calibrate(scorer, held_out), "# card\n", tmp_path / "trees")
    served, example = Learned(tmp_path / "trees"), held_out.examples[3]
    scores = served.score(example.features)
    assert scores.intervals is not None
    for name in ("rtt", "jitter", "loss"):
        ends, middle = getattr(scores.intervals, name), getattr(scores, name)
        assert np.all(ends[:, 0] <= middle)
        assert np.all(middle <= ends[:, 1])
    parts = served.parts(example.features)
    delay = np.bincount(example.features.hop_path, weights=parts[:, 0])
    assert np.allclose(2.0 * delay, example.features.belief.rtt, rtol=1e-4)


def test_trees_are_not_fitted_and_networks_not_grown(
    config: TrainConfig, asked: TrainConfig, training: Dataset, held_out: Dataset
) -> None:
    with pytest.raises(ConfigError, match="boosting grows them"):
        fit(asked, training, held_out)
    with pytest.raises(ConfigError, match="only trees are grown"):
        grow(config, training, held_out)
