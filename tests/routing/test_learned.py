"""The trained scorer runs the same everywhere, encodes a view once, and is refused when it is not what was sealed."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import MediaType
from meshsim.routing import RouteRequest, RoutingEngine, artefact, features
from meshsim.routing.calibration import BUCKETS, bucket
from meshsim.routing.candidates import candidates_of, k_shortest
from meshsim.routing.policies import Learned, list_models, load_model, make, verify_model
from meshsim.routing.policies.learned import card_text
from meshsim.testing import network_views

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.mesh.view import NetworkView


def request_on(view: NetworkView) -> RouteRequest:
    return RouteRequest(source=view.nodes.ids[0], destinations=(view.nodes.ids[1],), media=MediaType.AUDIO)


def features_on(view: NetworkView, k: int = 8) -> features.Features:
    candidates = k_shortest(view, 0, 1, k, 3, view.nodes.role > 0)
    return features.build(candidates, request_on(view), view)


@pytest.fixture(scope="module")
def policy(scorer: Path) -> Learned:
    return Learned(scorer)


@pytest.fixture(scope="module")
def view() -> NetworkView:
    from meshsim.testing.strategies import _view  # noqa: PLC0415 - one fixed view of the published kind

    return _view(12, 5, 0.8, with_fresh=True)


def test_a_view_is_encoded_once_for_all_its_calls(scorer: Path, view: NetworkView) -> None:
    encoded = []

    class Counting(Learned):
        def _encode(self, graph: Any) -> Any:
            encoded.append(graph)
            return super()._encode(graph)

    policy = Counting(scorer)
    for owner in range(3):
        policy.score(features_on(replace(view, owner=owner, fresh=None)))
    assert len(encoded) == 1
    policy.score(features_on(replace(view, nodes=replace(view.nodes, load=view.nodes.load / 2))))
    assert len(encoded) == 2


def test_two_owners_with_the_same_version_do_not_share_an_encoding(policy: Learned, view: NetworkView) -> None:
    other = replace(view, nodes=replace(view.nodes, reputation=view.nodes.reputation[::-1].copy()))
    assert other.version == view.version
    assert not np.array_equal(policy.score(features_on(view)).utility, policy.score(features_on(other)).utility)


def test_scores_are_the_same_in_a_copy(policy: Learned, view: NetworkView) -> None:
    expected = policy.score(features_on(view)).utility
    for other in (copy.deepcopy(policy), pickle.loads(pickle.dumps(policy))):  # noqa: S301 - pickled here
        assert np.array_equal(other.score(features_on(view)).utility, expected)


@given(view=network_views(least=4), data=st.data())
def test_a_path_is_scored_alone(scorer: Path, view: NetworkView, data: st.DataObject) -> None:
    policy = Learned(scorer)
    paths = [(0, 1), (0, 2, 1), (0, 3, 1), (0, 2, 3, 1)]
    alone = data.draw(st.sampled_from(paths))
    together = policy.score(features.build(candidates_of(paths), request_on(view), view))
    single = policy.score(features.build(candidates_of([alone]), request_on(view), view))
    assert single.utility[0] == pytest.approx(together.utility[paths.index(alone)], abs=1e-6)


def test_a_view_without_links_is_scored(policy: Learned, view: NetworkView) -> None:
    empty = replace(view, links=features.predicted_links(view.nodes, np.zeros(0, np.int32), np.zeros(0, np.int32)))
    assert np.isfinite(policy.score(features_on(replace(empty, fresh=None))).utility).all()


def test_ai_score_is_the_calibrated_probability(policy: Learned, view: NetworkView) -> None:
    scores = policy.score(features_on(view))
    assert np.all((scores.ai_score > 0) & (scores.ai_score < 100))
    assert scores.utility == pytest.approx(scores.ai_score / 100 + 0.05 * scores.mos)
    assert np.isnan(scores.confidence).all()


def test_confidence_is_read_from_the_map_by_the_ai_score(policy: Learned) -> None:
    ai_score = np.array([0.0, 40.0, 79.9, 80.0, 100.0])
    assert policy.confidence(ai_score).tolist() == [0.2, 0.6, 0.6, 0.9, 0.9]


def test_the_engine_fills_in_the_confidence_of_feasible_paths(policy: Learned, view: NetworkView) -> None:
    ranking = RoutingEngine(policy, trust_floor=0.0).rank(request_on(view), view)
    known = ~np.isnan(ranking.scores.confidence)
    assert np.array_equal(known, ranking.feasibility.ok)
    sure = policy.confidence(ranking.scores.ai_score[known])
    assert ranking.scores.doubt is not None
    assert ranking.scores.confidence[known].tolist() == (sure * (1.0 - ranking.scores.doubt[known])).tolist()


def test_intervals_hold_what_is_predicted(policy: Learned, view: NetworkView) -> None:
    scores = policy.score(features_on(view))
    assert scores.intervals is not None
    for name in ("rtt", "jitter", "loss"):
        low, high = getattr(scores.intervals, name).T
        middle = getattr(scores, name)
        assert np.all((low <= middle) & (middle <= high) & (low < high))


def test_margins_of_a_bucket_move_its_ends_alone(policy: Learned) -> None:
    rows = [[0.0] * 6 for _ in range(BUCKETS)]
    rows[int(bucket(0, np.array([2]))[0])] = [0.5, 0.0, 0.0, 0.0, 0.0, -9.0]
    calibration = msgspec.structs.replace(policy.artefact.calibration, margins=tuple(map(tuple, rows)))
    widened = calibration.widened(np.ones((2, 6)), 0, np.array([2, 3]))
    assert widened.tolist() == [[1.5, 1.0, 1.0, 1.0, 1.0, 0.0], [1.0] * 6]


@pytest.mark.parametrize(
    ("column", "value"), [("delay", -0.1), ("loss", 1.5), ("jitter", float("nan")), ("rate", float("inf"))]
)
def test_what_cannot_be_is_doubted_wholly(policy: Learned, view: NetworkView, column: str, value: float) -> None:
    links = replace(view.links, **{column: np.full(len(view.links), value)})
    scores = policy.score(features_on(replace(view, links=links, fresh=None)))
    relayed = features_on(replace(view, links=links, fresh=None)).belief.hops > 1
    assert relayed.any()
    assert scores.doubt is not None
    assert np.all(scores.doubt[relayed] == 1.0)
    assert np.isfinite(scores.utility).all()


def test_each_hop_adds_something_to_its_path(policy: Learned, view: NetworkView) -> None:
    built = features_on(view)
    parts = policy.parts(built)
    assert parts.shape == (len(built.hop_path), 3)
    assert np.all(parts >= 0.0)


def test_a_sealed_artefact_is_verified_and_has_a_card(scorer: Path) -> None:
    verify_model(scorer)
    assert card_text(scorer).startswith("# A scorer")
    assert load_model(scorer).artefact.name == "by-hand"
    assert make("learned", model=scorer).name == "learned"


@pytest.mark.parametrize("name", artefact.REQUIRED)
def test_an_altered_file_is_refused(own_scorer: Path, name: str) -> None:
    path = own_scorer / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ConfigError, match=rf"{name}.*differs from its checksum"):
        verify_model(own_scorer)


@pytest.mark.parametrize("name", artefact.REQUIRED)
def test_a_missing_file_is_refused(own_scorer: Path, name: str) -> None:
    (own_scorer / name).unlink()
    with pytest.raises(ConfigError, match=f"{name}.*cannot be read"):
        Learned(own_scorer)


def spoil(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    artefact.write_manifest(folder)


@pytest.mark.parametrize("key", ["version", "node", "hop", "path"])
def test_a_scorer_for_other_features_is_refused(own_scorer: Path, key: str) -> None:
    columns = json.loads((own_scorer / artefact.FEATURES).read_text())
    columns[key] = columns[key] + 1 if key == "version" else columns[key][1:]
    spoil(own_scorer, artefact.FEATURES, json.dumps(columns).encode())
    with pytest.raises(ConfigError, match=f"{key}: made for other features"):
        Learned(own_scorer)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "not json",
        '{"platt": [1, "b"], "confidence": {"ai_score": [], "values": [1]}}',
        '{"platt": [1, 0], "confidence": {"edges": [], "values": [1]}}',
        '{"platt": [1, 0], "confidence": {"ai_score": [1, 0], "values": [0, 0, 1]}}',
        '{"platt": [1, 0], "confidence": {"ai_score": [1], "values": [1]}}',
        '{"platt": [1, 0], "confidence": {"ai_score": [1], "values": [0, 2]}}',
        '{"platt": [-1, 0], "confidence": {"ai_score": [1], "values": [0, 1]}}',
    ],
)
def test_an_impossible_calibration_is_refused(own_scorer: Path, text: str) -> None:
    spoil(own_scorer, artefact.CALIBRATION, text.encode())
    with pytest.raises(ConfigError, match=artefact.CALIBRATION):
        Learned(own_scorer)


def test_a_calibration_may_weigh_the_utility(own_scorer: Path, view: NetworkView) -> None:
    calibration = json.loads((own_scorer / artefact.CALIBRATION).read_text())
    text = json.dumps({**calibration, "utility": {"ok": 0.0, "mos": 1.0}, "fitted_on": "seed 3"})
    spoil(own_scorer, artefact.CALIBRATION, text.encode())
    scores = Learned(own_scorer).score(features_on(view))
    assert scores.utility == pytest.approx(scores.mos)


def test_what_is_no_onnx_model_is_refused(own_scorer: Path) -> None:
    spoil(own_scorer, artefact.HEAD, b"not a model")
    with pytest.raises(ConfigError, match="not a usable ONNX model"):
        Learned(own_scorer)


def test_a_model_with_other_inputs_is_refused(own_scorer: Path) -> None:
    spoil(own_scorer, artefact.HEAD, (own_scorer / artefact.ENCODER).read_bytes())
    with pytest.raises(ConfigError, match="scorer own"):
        Learned(own_scorer)


def test_an_unknown_scorer_is_refused_with_those_at_hand() -> None:
    with pytest.raises(ConfigError, match="no scorer 'rout-scorer'"):
        Learned("rout-scorer")


def test_scorers_are_found_in_the_checkout_and_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "checkout" / "meshsim"
    for folder in (tmp_path / "checkout" / "models" / "a", package / "_models" / "b"):
        folder.mkdir(parents=True)
        (folder / artefact.MANIFEST).write_text("{}", encoding="utf-8")
    (tmp_path / "checkout" / "pyproject.toml").write_text("", encoding="utf-8")
    assert [shelf.name for shelf in artefact.shelves(package)] == ["models", "_models"]
    monkeypatch.setattr(artefact, "PACKAGE", package)
    assert list_models() == ["a", "b"]
    assert artefact.find_model("b") == package / "_models" / "b"


def test_a_broken_manifest_is_refused(own_scorer: Path) -> None:
    (own_scorer / artefact.MANIFEST).write_text('{"files": []}', encoding="utf-8")
    with pytest.raises(ConfigError, match="not a Manifest"):
        verify_model(own_scorer)
