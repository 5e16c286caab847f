"""Real nodes that misbehave by their configuration."""

from __future__ import annotations

import math

import pytest

from meshsim.agent.adversary import Timed
from meshsim.agent.adversary.tellers import LinkLiar
from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import did_key
from meshsim.mesh.seeds import SeedTree
from meshsim.node.attack import AttackConfig, misbehaviour

SIGNER = Ed25519Signer.from_seed(bytes(32))
FRIEND = did_key(Ed25519Signer.from_seed(bytes([1]) * 32).node_id)


def test_an_honest_node_has_nothing_between_it_and_the_world():
    assert misbehaviour("honest", 1.0, AttackConfig(), SIGNER, SeedTree(1), 5.0) == ()


def test_a_node_does_all_that_its_configuration_says_from_its_own_start():
    options = AttackConfig(also=("lying_metrics",), friends=(FRIEND,), since=10.0, until=20.0, factor=3.0)
    hole, liar = misbehaviour("gray_hole", 0.5, options, SIGNER, SeedTree(1), 100.0)
    assert isinstance(hole, Timed)
    assert isinstance(liar, Timed)
    assert (hole.window.since, hole.window.until) == (110.0, 120.0)
    assert isinstance(liar.inner, LinkLiar)
    means = liar.inner.means
    assert (means.strength, means.factor, means.targets, len(means.friends)) == (0.5, 3.0, None, 1)
    assert means.mind.friends == means.friends | {SIGNER.node_id}


def test_friends_and_targets_are_named_by_their_keys():
    options = AttackConfig(targets=(FRIEND,))
    (liar,) = misbehaviour("bad_mouthing", 1.0, options, SIGNER, SeedTree(1), 0.0)
    assert isinstance(liar, Timed)
    assert [did_key(node) for node in liar.inner.means.targets] == [FRIEND]


@pytest.mark.parametrize(
    "wrong",
    [
        {"also": ("grey_hole",)},
        {"friends": ("bob",)},
        {"duty": 2.0},
        {"period": 0.0},
        {"factor": 0.5},
        {"rate": math.inf},
        {"since": -1.0},
        {"since": math.nan},
        {"since": 20.0, "until": 10.0},
        {"identities": -1},
    ],
)
def test_an_attack_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError) as told:
        AttackConfig(**wrong)
    assert told.value.key == "attack"
