"""Defaults are part of what a name in a scenario means; ranges are those that the documentation gives."""

from __future__ import annotations

import math

import pytest

from meshsim.mesh.errors import ConfigError
from meshsim.trust import GossipSub, eigentrust, make_model, meritrank, peertrust, subjective_logic, sybilrank
from meshsim.trust.eigentrust import EigenTrust
from meshsim.trust.gossipsub import Weights
from meshsim.trust.meritrank import MeritRank
from meshsim.trust.network import Networked
from meshsim.trust.peertrust import PeerTrust
from meshsim.trust.subjective_logic import SubjectiveLogic
from meshsim.trust.sybilrank import SybilRank

DAY = 86400.0


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (eigentrust(), EigenTrust(alpha=0.2)),
        (meritrank(), MeritRank(alpha=0.2, beta=0.8, threshold=0.95)),
        (peertrust(), PeerTrust()),
        (subjective_logic(), SubjectiveLogic(base=0.0)),
        (sybilrank(), SybilRank(steps=1.0)),
    ],
)
def test_models_forget_in_days_and_wait_for_20_outcomes(model: Networked, rule: object) -> None:
    assert (model.rule, model.half_life, model.minimum) == (rule, DAY, 20.0)
    assert type(model.rule)() == rule


def test_gossipsub_forgets_to_one_percent_in_a_week() -> None:
    model = GossipSub()
    assert 0.5 ** (7 * DAY / model.half_life) == pytest.approx(0.01)
    assert (model.minimum, model.due) == (20.0, 0.92)
    assert model.weights == Weights(
        time_in_mesh=1.0,
        time_in_mesh_quantum=3600.0,
        time_in_mesh_cap=10.0,
        first_deliveries=1.0,
        first_deliveries_cap=100.0,
        deliveries=-1.0,
        invalid=-25.0,
        topic_cap=110.0,
        application=100.0,
        behaviour=-10.0,
        behaviour_threshold=1.0,
    )


@pytest.mark.parametrize(
    ("name", "part", "values"),
    [
        ("eigentrust", "alpha", (0.01, 0.99)),
        ("eigentrust", "minimum", (0.0, 1e6)),
        ("gossipsub", "minimum", (0.0, 1e6)),
        ("gossipsub", "half_life", (1e-3, math.inf)),
        ("gossipsub", "due", (0.0, 1.0)),
        ("meritrank", "alpha", (0.01, 0.99)),
        ("meritrank", "beta", (0.0, 1.0)),
        ("meritrank", "threshold", (0.51, 1.0)),
        ("subjective_logic", "base", (0.0, 1.0)),
        ("sybilrank", "steps", (0.1, 10.0)),
    ],
)
def test_the_ends_of_a_range_are_taken(name: str, part: str, values: tuple[float, float]) -> None:
    for value in values:
        model = make_model(name, parameters={part: value})
        held = model.rule if isinstance(model, Networked) and part not in {"minimum", "half_life"} else model
        assert getattr(held, part) == value


@pytest.mark.parametrize(
    ("name", "part", "values"),
    [
        ("eigentrust", "alpha", (0.0, 1.0, math.nan)),
        ("eigentrust", "minimum", (-0.1, math.nan)),
        ("gossipsub", "minimum", (-0.1, math.nan)),
        ("gossipsub", "half_life", (0.0, math.nan)),
        ("gossipsub", "due", (-0.1, 1.1, math.nan)),
        ("meritrank", "alpha", (0.0, 1.0)),
        ("meritrank", "beta", (-0.1, 1.1)),
        ("meritrank", "threshold", (0.5, 1.1)),
        ("peertrust", "half_life", (0.0, -1.0, math.nan)),
        ("subjective_logic", "base", (-0.1, 1.1)),
        ("sybilrank", "steps", (0.0, -1.0, math.nan)),
    ],
)
def test_what_is_beyond_is_refused_with_the_value(name: str, part: str, values: tuple[float, ...]) -> None:
    for value in values:
        with pytest.raises(ConfigError, match=f"{part}={value}"):
            make_model(name, parameters={part: value})
