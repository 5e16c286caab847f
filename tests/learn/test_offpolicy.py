"""Estimates from one logged outcome a call, held against the truth of every candidate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.learn.dataset import Dataset, load
from meshsim.learn.offpolicy import Estimates, Logged, choices, estimate, logged, predicted
from meshsim.measure.trace import Trace
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.policies import Exploring, make

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from meshsim.learn.dataset import Example
    from meshsim.routing.features import Features, Scores
    from meshsim.routing.policies import Policy

POLICIES = ("direct", "shortest", "weighted", "physics")


@pytest.fixture(scope="module")
def calls(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("offpolicy")
    return load([synthetic.write_trace(root / str(seed), seed=seed, calls=240) for seed in (21, 22)])


def explored(dataset: Dataset, seed: int, epsilon: float = 0.6, temperature: float = 10.0) -> Logged:
    """The same calls, as a policy that explores would have placed and logged them; if hot, it tries everything."""
    policy = Exploring("weighted", epsilon=epsilon, temperature=temperature, stream=SeedTree(seed).stream("log"))
    taken, chances = [], []
    for example in dataset.examples:
        odds = policy.propensity(policy.score(example.features).utility)
        row = min(int(np.searchsorted(np.cumsum(odds), policy.draw(), side="right")), len(odds) - 1)
        taken.append(row)
        chances.append(odds)
    return Logged(
        examples=dataset.examples,
        taken=np.array(taken),
        chances=tuple(chances),
        poor=np.array([not e.labels.ok[row] for e, row in zip(dataset.examples, taken, strict=True)], dtype=float),
        cluster=np.array([e.view for e in dataset.examples]),
    )


def estimated(log: Logged, policy: str, model: Policy | str = "weighted") -> Estimates:
    """Of a policy by its name, with what a model predicts."""
    return estimate(log, make(policy), predicted(log, make(model) if isinstance(model, str) else model))


def covered(low: float, truth: float, high: float) -> bool:
    return low <= truth <= high


@pytest.mark.full
def test_the_doubly_robust_interval_covers_the_truth_in_most_logs(calls: Dataset) -> None:
    found = [estimated(explored(calls, seed), name) for name in POLICIES for seed in range(5)]
    assert all(one.tried == 1.0 for one in found)
    hits = [covered(one.doubly_robust.low, one.truth.mean, one.doubly_robust.high) for one in found]
    assert np.mean(hits) >= 0.9


@pytest.mark.parametrize("name", POLICIES)
def test_of_a_log_that_never_tried_what_is_asked_for_the_interval_still_covers(calls: Dataset, name: str) -> None:
    found = estimated(explored(calls, 4, temperature=0.05), name)
    assert covered(found.doubly_robust.low, found.truth.mean, found.doubly_robust.high)
    assert (found.tried < 1.0) == (name != "weighted")


def test_over_many_logs_the_estimates_have_no_bias_and_the_doubly_robust_varies_least(calls: Dataset) -> None:
    found = [estimated(explored(calls, seed), "shortest") for seed in range(12)]
    truth = found[0].truth.mean
    robust = np.array([one.doubly_robust.mean for one in found])
    weighted = np.array([one.weighted.mean for one in found])
    for values in (robust, weighted):
        assert abs(values.mean() - truth) <= 3 * values.std(ddof=1) / np.sqrt(len(values))
    assert robust.std() < weighted.std()


def test_a_policy_that_chooses_as_was_logged_is_estimated_by_what_was_lived(calls: Dataset) -> None:
    sure = explored(calls, 1, epsilon=0.0)
    found = estimated(sure, "weighted", "physics")
    assert found.alike == len(sure)
    assert found.effective == pytest.approx(len(sure))
    for interval in (found.weighted, found.normalised, found.doubly_robust, found.truth):
        assert interval.mean == pytest.approx(sure.poor.mean())


class Wrong:
    """Claims the opposite of what is true, however it comes to know it."""

    name = "wrong"

    def __init__(self, examples: tuple[Example, ...]) -> None:
        self.ok = {id(example.features): example.labels.ok for example in examples}

    def score(self, features: Features) -> Scores:
        scores = make("direct").score(features)
        return replace(scores, ai_score=np.where(self.ok[id(features)], 0.0, 100.0))


def test_a_prediction_that_is_all_wrong_widens_the_interval_and_does_not_bend_it(calls: Dataset) -> None:
    log = explored(calls, 3)
    wrong = estimated(log, "shortest", Wrong(log.examples)).doubly_robust
    fair = estimated(log, "shortest")
    assert wrong.high - wrong.low > fair.doubly_robust.high - fair.doubly_robust.low
    assert covered(wrong.low, fair.truth.mean, wrong.high)


def test_where_no_choice_agrees_only_the_prediction_speaks(calls: Dataset) -> None:
    log = explored(calls, 1, epsilon=0.0)
    other = choices(log.examples, make("direct")) != log.taken
    kept = tuple(example for example, apart in zip(log.examples, other, strict=True) if apart)
    apart = Logged(
        examples=kept,
        taken=log.taken[other],
        chances=tuple(some for some, apart in zip(log.chances, other, strict=True) if apart),
        poor=log.poor[other],
        cluster=log.cluster[other],
    )
    found = estimated(apart, "direct", "physics")
    assert found.tried == 0.0
    assert (found.doubly_robust.low, found.doubly_robust.high) == (0.0, 1.0)
    said = [odds[0] for odds in predicted(apart, make("physics"))]
    assert (found.alike, found.effective) == (0, 0.0)
    assert np.isnan(found.normalised.mean)
    assert found.doubly_robust.mean == pytest.approx(np.mean(said))


def test_propensities_are_read_from_the_trace(synthetic: ModuleType, tmp_path: Path) -> None:
    folder = synthetic.write_trace(tmp_path / "one", seed=23, calls=12)
    log = logged(load([folder]), [folder])
    routes = Trace(folder).columns("routes")
    assert sorted(example.call for example in log.examples) == list(range(12))
    for example, chances, taken, poor in zip(log.examples, log.chances, log.taken, log.poor, strict=True):
        rows = routes["call"] == example.call
        assert chances.tolist() == routes["propensity"][rows].tolist()
        assert routes["chosen"][rows][taken]
        assert poor == routes["poor"][rows][taken]


def test_a_row_names_every_estimate_with_its_ends(calls: Dataset) -> None:
    found = estimated(explored(calls, 1), "shortest")
    row = found.row()
    assert set(row) == {"tried", "alike", "effective"} | {
        f"{name}{end}" for name in ("dr", "snips", "ips", "truth") for end in ("", "_low", "_high")
    }
    assert (row["dr"], row["truth_low"]) == (found.doubly_robust.mean, found.truth.low)
