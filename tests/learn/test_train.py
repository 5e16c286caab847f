"""From traces to an artefact with a card, evaluated on episodes that decided nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.learn.calibrate import calibrate
from meshsim.learn.config import load_config
from meshsim.learn.evaluate import ORACLE, evaluate_dataset, evaluate_open_loop
from meshsim.learn.train import TrainResult, train
from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies import Learned, make, verify_model

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.learn.config import TrainConfig
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.fit import Fit


@pytest.fixture(scope="module")
def result(config: TrainConfig, traces: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    splits = {"train": [traces[s] for s in (1, 2, 3)], "calibration": [traces[4]], "validation": [traces[5]]}
    out = tmp_path_factory.mktemp("trained") / "scorer"
    return train(config, traces={**splits, "report": [traces[6], traces[7]]}, out=out)


def test_the_artefact_verifies_and_runs(result: TrainResult) -> None:
    verify_model(result.folder)
    assert result.parity <= 1e-4


def test_the_learned_policy_lies_between_the_baselines_and_the_oracle(result: TrainResult) -> None:
    rates = result.report["synthetic"].poor_call_rate
    assert rates[ORACLE].mean <= rates["learned"].mean < min(rates["shortest"].mean, rates["weighted"].mean)
    for baseline in ("shortest", "weighted"):
        difference = result.report["synthetic"].difference["learned", baseline]
        assert difference.excludes_zero
        assert difference.mean < 0


def test_the_card_names_its_data_its_numbers_and_its_command(result: TrainResult) -> None:
    card = (result.folder / "card.md").read_text()
    for word in ("sndlib/geant", "| learned |", "| oracle |", "meshsim train models/route-scorer/train.yaml", "Limits"):
        assert word in card


def test_the_summary_is_plain(result: TrainResult) -> None:
    summary = result.summary()
    assert summary["best_epoch"] == result.best
    assert {row["policy"] for row in summary["report"]["synthetic"]} == {
        "direct",
        "shortest",
        "weighted",
        "learned",
        "oracle",
    }


def test_claims_hold_on_unseen_episodes(result: TrainResult) -> None:
    claims = result.report["synthetic"].claims
    assert set(claims) == {"learned"}
    assert claims["learned"].auc > 0.9
    assert claims["learned"].score_error < 0.1


def test_evaluating_by_traces_equals_evaluating_the_dataset(traces: dict[int, Path], held_out: Dataset) -> None:
    policies = {"shortest": make("shortest")}
    assert evaluate_open_loop([traces[5], traces[6]], policies) == evaluate_dataset(held_out, policies)


def test_regret_is_never_negative_and_the_oracles_is_least(held_out: Dataset) -> None:
    found = evaluate_dataset(held_out, {name: make(name) for name in ("direct", "shortest", "weighted")})
    assert all(0 <= found.regret[ORACLE].mean <= regret.mean for regret in found.regret.values())
    assert len(found.rows()) == 4
    assert found.difference["direct", ORACLE].mean == pytest.approx(
        found.poor_call_rate["direct"].mean - found.poor_call_rate[ORACLE].mean
    )


def test_no_policy_may_be_called_oracle(held_out: Dataset) -> None:
    with pytest.raises(ValueError, match="oracle"):
        evaluate_dataset(held_out, {ORACLE: make("direct")})


def test_confidence_is_the_frequency_of_a_choice_near_the_best(
    fitted: Fit, held_out: Dataset, result: TrainResult
) -> None:
    calibration = calibrate(fitted.scorer, held_out)
    assert np.all(np.diff(calibration.confidence.values) >= 0)
    policy = Learned(result.folder)
    low, high = policy.confidence(np.array([0.0, 100.0]))
    assert 0 <= low <= high <= 1


def test_the_card_says_how_far_confidence_spreads(result: TrainResult) -> None:
    claims = result.report["synthetic"].claims["learned"]
    assert 0 < claims.confidence_low <= claims.confidence_high < 1
    said = f"between {claims.confidence_low:.3f} and {claims.confidence_high:.3f}"
    assert said in (result.folder / "card.md").read_text()


def test_an_empty_split_is_refused(config: TrainConfig, traces: dict[int, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one call"):
        train(config, traces={"train": [traces[1]]}, out=tmp_path / "scorer")
    assert not (tmp_path / "scorer").exists()


def test_a_calibration_split_without_a_feasible_candidate_is_refused(fitted: Fit, held_out: Dataset) -> None:
    example = held_out.examples[0]
    barred = type(example)(
        **{name: getattr(example, name) for name in example.__slots__ if name != "feasible"},
        feasible=np.zeros(len(example), dtype=bool),
    )
    with pytest.raises(ConfigError, match="no feasible candidate"):
        calibrate(fitted.scorer, type(held_out)(runs=held_out.runs, views=held_out.views, examples=(barred,)))


CONFIG = """\
name: small
data:
  train: [{scenario: demo, seeds: [1, 2]}]
  calibration: [{scenario: demo, seeds: [3]}]
  validation: [{scenario: validation, seeds: [1], overrides: [duration=10 min]}]
"""


def test_a_configuration_lists_its_episodes(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(CONFIG)
    assert [(w.split, w.scenario, w.seed) for w in load_config(path).wanted()] == [
        ("train", "demo", 1),
        ("train", "demo", 2),
        ("calibration", "demo", 3),
        ("validation", "validation", 1),
    ]


@pytest.mark.parametrize(
    ("change", "key", "line"),
    [
        (("seeds: [3]", "seeds: [3], seedz: 1"), "data.calibration.0.seedz", 4),
        (("seeds: [3]", "seeds: [2]"), "data.calibration.0.seeds", 4),
        (("seeds: [3]", "seeds: [2], overrides: [duration=10 min]"), "data.calibration.0.seeds", 4),
        (("seeds: [3]", "seeds: [2], overrides: [' routing.policy = exploring']"), "data.calibration.0.seeds", 4),
        (("seeds: [3]", "seeds: [3], regimes: [stale]"), "data.calibration.0.regimes.0", 4),
        (("seeds: [3]", "seeds: [3], topologies: [topozoo/Nowhere]"), "data.calibration.0.topologies.0", 4),
        (("name: small", "model: {rounds: -1}"), "model.rounds", 1),
        (("name: small", "optimisation: {learning_rate: fast}"), "optimisation.learning_rate", 1),
    ],
    ids=[
        "unknown key",
        "episode in two splits",
        "shortened episode",
        "rerouted episode",
        "unknown regime",
        "unknown graph",
        "range",
        "type",
    ],
)
def test_a_wrong_configuration_says_where(tmp_path: Path, change: tuple[str, str], key: str, line: int) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(CONFIG.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert (caught.value.key, caught.value.line, caught.value.file) == (key, line, str(path))


def test_each_regime_runs_on_each_topology(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    regimes = "data:\n  regimes: {calm: [control.noise=0], blind: [control.missing=60%]}\n"
    many = "seeds: [3], regimes: [calm, blind], topologies: [topozoo/Abvt, topozoo/Iij]"
    path.write_text(CONFIG.replace("data:\n", regimes).replace("seeds: [3]", many))
    found = [w.overrides for w in load_config(path).wanted() if w.split == "calibration"]
    assert found == [
        (noise, f"underlay.topology=topozoo/{name}")
        for noise in ("control.noise=0", "control.missing=60%")
        for name in ("Abvt", "Iij")
    ]


def test_the_same_seed_on_another_graph_is_another_episode(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(CONFIG.replace("seeds: [3]", "seeds: [2], overrides: [underlay.topology=topozoo/Abvt]"))
    assert len(list(load_config(path).wanted())) == 4
    both = "seeds: [1, 2], overrides: [duration=9 min, underlay.topology = topozoo/Abvt]"
    path.write_text(path.read_text().replace("seeds: [1, 2]", both))
    with pytest.raises(ConfigError, match="stands in train and in calibration"):
        load_config(path)


def test_a_configuration_that_is_no_mapping_or_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="mapping"):
        load_config(tmp_path / "list.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "absent.yaml")
