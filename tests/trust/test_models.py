"""Every reputation model in the registry is held to the contract; `pytest -rs` prints what each is excused from."""

from __future__ import annotations

import pytest

from meshsim.mesh.errors import ConfigError
from meshsim.testing import ReputationContract
from meshsim.trust import make_model, models

HEARSAY = "it does not ask who says a thing: whose word counts is settled before evidence reaches it"
EVERYBODY = {"what_a_node_says_of_itself_weighs_nothing": HEARSAY, "raters_nobody_trusts_raise_nobody": HEARSAY}
RELATIVE = {
    "good_never_lowers": "trust is a share: small praise for a stranger can be less than the start is worth",
    "bad_never_raises": "a failure takes back praise, and more evidence makes a high rank weigh more",
}
MOVING = "the owner's word also moves what the words of others are worth"
CREDIBLE = {"good_never_lowers": MOVING, "bad_never_raises": MOVING}
CLAMPED = {"without_forgetting_order_is_no_matter": "points are clamped, so that a penalty at 0 is lost"}
ORDERED = {"without_forgetting_order_is_no_matter": "what changed can only be told from the order"}


class TestAdditive(ReputationContract):
    name = "additive"
    excused = EVERYBODY | CLAMPED


class TestBeta(ReputationContract):
    name = "beta"
    excused = EVERYBODY


class TestBetaCusum(ReputationContract):
    name = "beta-cusum"
    excused = {"raters_nobody_trusts_raise_nobody": HEARSAY} | ORDERED


class TestCredibility(ReputationContract):
    name = "credibility"


class TestEigenTrust(ReputationContract):
    name = "eigentrust"
    excused = RELATIVE


class TestGossipSub(ReputationContract):
    name = "gossipsub"
    excused = EVERYBODY


class TestMeritRank(ReputationContract):
    name = "meritrank"
    excused = RELATIVE


class TestPeerTrust(ReputationContract):
    name = "peertrust"
    excused = CREDIBLE


class TestSubjectiveLogic(ReputationContract):
    name = "subjective_logic"
    excused = CREDIBLE


class TestSybilRank(ReputationContract):
    name = "sybilrank"
    excused = RELATIVE


def test_every_model_is_held_to_the_contract() -> None:
    held = {contract.name for contract in ReputationContract.__subclasses__()}
    assert held == set(models)


def test_unknown_models_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="additive, beta"):
        models["betta"]


@pytest.mark.parametrize(
    ("name", "part", "value"),
    [
        ("eigentrust", "alpha", 1.0),
        ("eigentrust", "minimum", -1.0),
        ("eigentrust", "half_life", 0.0),
        ("gossipsub", "due", 1.5),
        ("meritrank", "threshold", 0.5),
        ("meritrank", "beta", -0.1),
        ("subjective_logic", "base", 1.1),
        ("sybilrank", "steps", 0.0),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, part: str, value: float) -> None:
    with pytest.raises(ConfigError, match=part):
        make_model(name, parameters={part: value})


def test_parameters_are_handed_on_and_unknown_ones_refused_with_the_nearest() -> None:
    model = make_model("meritrank", half_life=60.0, parameters={"alpha": 0.5})
    assert model.half_life == 60.0
    assert make_model("meritrank", half_life=60.0, parameters={"half_life": 30.0}).half_life == 30.0
    with pytest.raises(ConfigError, match="the model meritrank has no parameter 'alfa'") as refusal:
        make_model("meritrank", parameters={"alfa": 0.5})
    assert refusal.value.nearest == "alpha"
    assert refusal.value.key == "trust.parameters.alfa"
