"""Metrics say what they are said to say, and intervals come from drawing episodes again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.learn.scorecard import METRICS, SLIGHT, Card, Oracle, Resampling, cards
from meshsim.routing.features import Features, Intervals, Scores
from meshsim.routing.policies import Outcome, believed_scores, make

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.learn.dataset import Dataset, Example


class Truth:
    """Says of each candidate what is true of it, or the contrary."""

    name = "truth"

    def __init__(self, examples: tuple[Example, ...], sign: float = 1.0) -> None:
        self.labels = {id(example.features): example.labels for example in examples}
        self.sign = sign

    def score(self, features: Features) -> Scores:
        labels = self.labels[id(features)]
        ends = {name: np.stack([getattr(labels, name)] * 2, axis=1) for name in ("rtt", "jitter", "loss")}
        return replace(
            believed_scores(features, self.sign * (labels.mos + 10.0 * labels.ok * (self.sign > 0))),
            rtt=labels.rtt,
            jitter=labels.jitter,
            loss=labels.loss,
            ai_score=np.where(labels.ok, 100.0, 0.0),
            intervals=Intervals(**ends),
        )


def value(card: Card, metric: str) -> float:
    return float(METRICS[metric](card.sums.sum(axis=0)))


def test_the_truth_is_without_fault(held_out: Dataset) -> None:
    found = cards(held_out.examples, {"truth": Truth(held_out.examples), "oracle": Oracle()}, make("direct"))
    truth = found["truth"]
    assert value(truth, "captured") == value(found["oracle"], "captured") == 1.0
    assert value(truth, "regret_mos") == 0.0
    for name in ("rtt", "jitter", "loss"):
        assert value(truth, f"wape_{name}") == 0.0
    assert value(truth, "ai_score_error") == 0.0
    assert np.isnan(value(truth, "confidence_error"))


def test_order_is_told_from_its_contrary(held_out: Dataset) -> None:
    contrary = Truth(held_out.examples, sign=-1.0)
    found = cards(held_out.examples, {"contrary": contrary, "direct": make("direct")}, make("direct"))
    assert value(found["contrary"], "kendall_tau_b") == -1.0
    assert value(found["contrary"], "regret_mos") > value(found["direct"], "regret_mos")


class Doubtful(Truth):
    """Always sure, and in full doubt of it."""

    def confidence(self, ai_score: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ones(len(ai_score))

    def score(self, features: Features) -> Scores:
        return replace(super().score(features), doubt=np.ones(len(features)))


def test_confidence_is_held_to_what_nodes_are_told_which_doubt_lowers(held_out: Dataset) -> None:
    from meshsim.learn.evaluate import evaluate_dataset  # noqa: PLC0415 - the other way to the same number

    policies = {"doubtful": Doubtful(held_out.examples)}
    assert evaluate_dataset(held_out, policies).claims["doubtful"].confidence_high == 0.0
    assert value(cards(held_out.examples, policies, make("direct"))["doubtful"], "confidence_error") == 1.0


def test_the_default_captures_nothing_and_shares_are_those_of_the_open_loop(held_out: Dataset) -> None:
    from meshsim.learn.evaluate import evaluate_dataset  # noqa: PLC0415 - the other way to the same number

    policies = {name: make(name) for name in ("direct", "weighted")}
    found = cards(held_out.examples, {**policies, "oracle": Oracle()}, make("direct"))
    rates = evaluate_dataset(held_out, policies).poor_call_rate
    assert value(found["direct"], "captured") == 0.0
    for name, card in found.items():
        assert value(card, "poor_call_rate") == pytest.approx(rates[name].mean)


def test_an_interval_holds_its_estimate_and_a_policy_does_not_differ_from_itself(held_out: Dataset) -> None:
    card = cards(held_out.examples, {"weighted": make("weighted")}, make("direct"))["weighted"]
    draws = Resampling(card.run)
    low_high = draws.interval(card, METRICS["poor_call_rate"])
    assert low_high.low <= low_high.mean <= low_high.high
    assert low_high.low < low_high.high
    same = draws.difference(card, card, METRICS["poor_call_rate"])
    assert (same.mean, same.low, same.high) == (0.0, 0.0, 0.0)


def test_a_card_of_some_episodes_is_that_of_their_calls_alone(held_out: Dataset) -> None:
    policies = {"weighted": make("weighted")}
    runs = sorted({example.run for example in held_out.examples})
    whole = cards(held_out.examples, policies, make("direct"))["weighted"].of(runs[:1])
    alone = [example for example in held_out.examples if example.run == runs[0]]
    part = cards(alone, policies, make("direct"))["weighted"]
    assert np.array_equal(whole.sums, part.sums)
    assert np.array_equal(whole.regret, part.regret)


def test_who_learns_is_told_what_became_of_its_choices(held_out: Dataset) -> None:
    told: list[Outcome] = []

    class Listening:
        name = "listening"

        def score(self, features: Features) -> Scores:
            return believed_scores(features, -features.belief.rtt)

        def observe(self, outcome: Outcome) -> None:
            told.append(outcome)

    some = sorted(held_out.examples[:20], key=lambda example: (example.run, example.at))
    cards(some, {"listening": Listening()}, make("direct"))
    for example, outcome in zip(some, told, strict=True):
        chosen = int(np.flatnonzero(example.feasible)[np.argmin(example.features.belief.rtt[example.feasible])])
        assert (outcome.rtt, outcome.connected) == (example.labels.rtt[chosen], example.labels.connected[chosen])
        assert len(outcome.path) == example.features.belief.hops[chosen] + 1


def test_who_learns_begins_each_episode_anew_and_hears_of_calls_in_order_of_time(held_out: Dataset) -> None:
    histories: list[list[float]] = []

    class Remembering:
        name = "remembering"

        def __init__(self) -> None:
            self.times: list[float] = []

        def score(self, features: Features) -> Scores:
            return believed_scores(features, -features.belief.rtt)

        def observe(self, outcome: Outcome) -> None:
            if not self.times:
                histories.append(self.times)
            self.times.append(outcome.at)

    policy = Remembering()
    cards(held_out.examples[::-1], {"remembering": policy}, make("direct"))
    calls = [sum(example.run == run for example in held_out.examples) for run in range(len(held_out.runs))]
    assert [len(times) for times in histories] == calls
    assert all(times == sorted(times) for times in histories)
    assert policy.times == []


def test_half_of_the_calls_are_within_a_slight_regret_where_its_median_is(held_out: Dataset) -> None:
    policies = {name: make(name) for name in ("direct", "shortest", "weighted")}
    for card in cards(held_out.examples, policies, make("direct")).values():
        share = value(card, "slight_regret_share")
        assert share == np.mean(card.regret <= SLIGHT)
        assert (share >= 0.5) == (np.median(card.regret) <= SLIGHT)


def test_a_policy_is_once_itself(held_out: Dataset) -> None:
    card = cards(held_out.examples, {"weighted": make("weighted")}, make("direct"))["weighted"]
    same = Resampling(card.run).quotient(card, card, METRICS["wape_rtt"])
    assert (same.mean, same.low, same.high) == (1.0, 1.0, 1.0)
