"""What was believed and what was true come out of a trace as they went in, through the features that nodes use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.learn import dataset as module
from meshsim.learn.dataset import Dataset, load, topology_of
from meshsim.measure.trace import Trace, TraceWriter
from meshsim.mesh import quality
from meshsim.mesh.errors import TraceError
from meshsim.routing import features

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def test_every_logged_call_becomes_an_example_with_all_its_candidates(traces: dict[int, Path]) -> None:
    data = load([traces[1]])
    assert len(data) == 60
    assert {len(example) for example in data.examples} == {8}
    assert all(len(example.features) == len(example) for example in data.examples)


def test_calls_of_one_belief_share_one_view(traces: dict[int, Path]) -> None:
    data = load([traces[1]])
    assert len(data.views) == 10
    assert [len(group) for group in data.by_view()] == [6] * 10


def test_examples_of_several_traces_keep_their_runs_apart(traces: dict[int, Path]) -> None:
    data = load([traces[1], traces[2]])
    assert [run.seed for run in data.runs] == [1, 2]
    assert all(data.runs[example.run].seed == (1 if example.view < 10 else 2) for example in data.examples)


def test_the_composed_belief_is_that_of_the_recorded_hops(traces: dict[int, Path]) -> None:
    routes = Trace(traces[1]).columns("routes")
    data = {example.call: example for example in load([traces[1]]).examples}
    for row in range(0, len(routes["call"]), 37):
        belief = data[routes["call"][row]].features.belief
        at = routes["candidate"][row]
        assert belief.rtt[at] == pytest.approx(2 * sum(routes["hop_delay_seconds"][row]))
        assert belief.loss[at] == pytest.approx(quality.compose_loss(routes["hop_loss"][row]))
        assert belief.jitter[at] == pytest.approx(quality.compose_jitter(routes["hop_jitter_seconds"][row]))


def test_features_built_together_equal_features_built_call_by_call(
    traces: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = {example.call: example.features for example in load([traces[1]]).examples}
    monkeypatch.setattr(module._Episode, "_alike", lambda _self, calls: [[call] for call in calls])
    for example in load([traces[1]]).examples:
        for name in ("hop", "hop_src", "hop_dst", "hop_path", "path", "sound"):
            assert np.array_equal(getattr(example.features, name), getattr(together[example.call], name))


def test_what_is_impossible_is_told_of_each_call_as_of_all(traces: dict[int, Path]) -> None:
    built = load([traces[1]]).examples[0].features
    built.__dict__["sound"] = np.arange(len(built)) != 3
    ends = np.searchsorted(built.hop_path, [2, 5])
    assert module._cut(built, slice(2, 5), slice(*ends)).sound.tolist() == [True, False, True]


def test_callers_who_knew_different_things_of_one_link_are_built_apart(
    traces: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = {example.call: example.features for example in load([traces[1]]).examples}
    monkeypatch.setattr(module._Episode, "_alike", lambda _self, calls: [list(calls)])
    audio = {call for call, media in _media(traces[1]).items() if media == "audio"}
    monkeypatch.setattr(module._Episode, "_alike", lambda _self, calls: [[c for c in calls if c in audio]])
    for example in load([traces[1]]).examples:
        assert np.array_equal(example.features.hop, apart[example.call].hop)


def _media(folder: Path) -> dict[int, str]:
    calls = Trace(folder).columns("calls")
    return dict(zip(calls["call"].tolist(), calls["media"], strict=True))


def test_labels_are_the_recorded_truth(traces: dict[int, Path]) -> None:
    routes = Trace(traces[1]).columns("routes")
    data = load([traces[1]])
    ok = {(e.call, i): bool(e.labels.ok[i]) for e in data.examples for i in range(len(e))}
    expected = {(c, i): not p for c, i, p in zip(routes["call"], routes["candidate"], routes["poor"], strict=True)}
    assert ok == expected


def test_the_encoder_sees_what_the_features_hold(training: Dataset) -> None:
    view = training.views[0]
    assert view.node.shape[1] == len(features.NODE)
    assert view.link.shape == (len(view.link_src), len(features.HOP))
    assert np.isfinite(view.link).all()


@pytest.mark.parametrize("use", ["train", "validate"])
def test_a_graph_kept_for_evaluation_is_refused(tmp_path: Path, synthetic: ModuleType, use: str) -> None:
    folder = synthetic.write_trace(tmp_path / "t", seed=1, calls=2, topology="topozoo/Sprint")
    with pytest.raises(TraceError, match="topozoo/Sprint must not be used"):
        load([folder], use=use)
    assert len(load([folder], use="evaluate")) == 2


def test_a_validation_graph_does_not_train(tmp_path: Path, synthetic: ModuleType) -> None:
    folder = synthetic.write_trace(tmp_path / "t", seed=1, calls=2, topology="topozoo/Packetexchange")
    with pytest.raises(TraceError, match="must not be used to train"):
        load([folder])
    assert load([folder], use="validate").topologies == ("topozoo/Packetexchange",)


def test_a_trace_without_views_is_refused(tmp_path: Path) -> None:
    header = {"scenario": {"underlay": {"topology": "sndlib/geant"}}, "seed": 1}
    with TraceWriter(tmp_path / "t", header):
        pass
    with pytest.raises(TraceError, match=r"record\.views"):
        load([tmp_path / "t"])


@pytest.mark.parametrize("header", [{}, {"scenario": {}}, {"scenario": {"underlay": {"topology": 3}}}])
def test_a_header_without_a_topology_is_refused(header: dict[str, object]) -> None:
    with pytest.raises(TraceError, match="names no"):
        topology_of(header)
