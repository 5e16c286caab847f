from __future__ import annotations

import numpy as np
import pytest

from meshsim.trust import EventKind, Evidence, GossipSub, Severity
from meshsim.trust.gossipsub import Counters, Weights, decay_half_life, peer_score, reputation

NOTHING = Weights(
    time_in_mesh=0.0,
    first_deliveries=0.0,
    deliveries=0.0,
    invalid=0.0,
    topic_cap=np.inf,
    application=0.0,
    behaviour=0.0,
    behaviour_threshold=0.0,
)
"""The tests of go-libp2p-pubsub (score_test.go) set all weights but one to 0."""


def one(**counts: float) -> Counters:
    return Counters(*(np.array([counts.get(name, 0.0)]) for name in Counters._fields))


def score(weights: Weights, **counts: float) -> float:
    return float(peer_score(one(**counts), weights)[0])


def weights(**parts: float) -> Weights:
    return Weights(**{name: getattr(NOTHING, name) for name in NOTHING.__slots__} | parts)


def test_a_peer_score_starts_at_zero() -> None:
    assert score(Weights()) == 0.0


def test_time_in_mesh_counts_quanta_up_to_its_cap() -> None:
    """TestScoreTimeInMesh: weight .5, quantum 1 ms, 200 quanta; TestScoreTimeInMeshCap: capped at 10."""
    timed = {"time_in_mesh": 0.5, "time_in_mesh_quantum": 0.001}
    assert score(weights(time_in_mesh_cap=3600.0, **timed), time=0.2) == pytest.approx(100.0)
    assert score(weights(time_in_mesh_cap=10.0, **timed), time=0.04) == 5.0


def test_first_deliveries_count_up_to_their_cap() -> None:
    """TestScoreFirstMessageDeliveries: 100 messages are worth 100; ...Cap: capped at 50."""
    assert score(weights(first_deliveries=1.0, first_deliveries_cap=2000.0), first=100.0) == 100.0
    assert score(weights(first_deliveries=1.0, first_deliveries_cap=50.0), first=100.0) == 50.0


def test_a_deficit_of_deliveries_is_penalised_squared() -> None:
    """TestScoreMeshMessageDeliveries: threshold 20, weight -1, nothing delivered: -400."""
    assert score(weights(deliveries=-1.0), short=20.0) == -400.0


def test_invalid_deliveries_are_penalised_squared_and_decay() -> None:
    """TestScoreInvalidMessageDeliveriesDecay: 100 messages, decay .9: -(90^2), then .81 of it for each interval."""
    assert score(weights(invalid=-1.0), invalid=0.9 * 100.0) == pytest.approx(-8100.0)
    assert score(weights(invalid=-1.0), invalid=0.9**2 * 100.0) == pytest.approx(-8100.0 * 0.81)


def test_misbehaviour_is_penalised_squared_beyond_its_threshold() -> None:
    """TestScoreBehaviourPenalty: -1 for one, -4 for two, -3.9204 after a decay of .99."""
    assert [score(weights(behaviour=-1.0), behaviour=count) for count in (1.0, 2.0)] == [-1.0, -4.0]
    assert score(weights(behaviour=-1.0), behaviour=2.0 * 0.99) == pytest.approx(-3.9204)
    assert score(weights(behaviour=-1.0, behaviour_threshold=2.0), behaviour=2.0) == 0.0


def test_the_application_has_its_say_beside_the_topic_cap() -> None:
    capped = weights(first_deliveries=1.0, first_deliveries_cap=500.0, topic_cap=30.0, application=0.5)
    assert score(capped, first=400.0, application=10.0) == 35.0


@pytest.mark.parametrize(("decay", "factor"), [(3600.0, 0.9987216039048303), (600.0, 0.9923540961321005)])
def test_half_lives_are_the_published_decays(decay: float, factor: float) -> None:
    """ScoreParameterDecay: .01 ** (1 / ticks), ticks of one second, as Lotus uses it for an hour and ten minutes."""
    assert 0.5 ** (1.0 / decay_half_life(decay)) == pytest.approx(factor, rel=1e-12)


def test_peer_scores_are_worth_50_at_zero_and_approach_0_and_100() -> None:
    assert reputation(np.array([-25.0, 0.0, 25.0, 100.0])).tolist() == [25.0, 50.0, 75.0, 90.0]
    assert reputation(np.array([-1e12, 1e12])) == pytest.approx([0.0, 100.0], abs=1e-6)


def fed(*kinds: EventKind, t: float = 0.0, **options: float) -> GossipSub:
    model = GossipSub(**options)
    for kind in kinds:
        model.observe(0, Evidence(kind=kind, node=0, t=t))
    return model


GOOD, BAD = EventKind.SUCCESSFUL_CALL, EventKind.CALL_DROPPED


def test_calls_carried_and_missed_make_the_score() -> None:
    # 90 of 100 calls: two short of the due 92.
    model = fed(*[GOOD] * 90, *[BAD] * 10)
    assert model.score(0, 0.0).mean == pytest.approx(float(reputation(np.array([90.0 - 4.0]))[0]))
    assert model.score(0, 0.0).evidence == 100.0


def test_a_relay_within_its_due_is_not_penalised_and_one_that_drops_a_fifth_is_banned() -> None:
    assert fed(*[GOOD] * 95, *[BAD] * 5).score(0, 0.0).status == "trusted"
    assert fed(*[GOOD] * 160, *[BAD] * 40).score(0, 0.0).status == "banned"


def test_misbehaviour_counts_by_its_kind_and_severity() -> None:
    spam = fed(EventKind.SPAM_DETECTED)
    assert spam.score(0, 0.0).mean == pytest.approx(float(reputation(np.array([-25.0]))[0]))
    report = fed(EventKind.ABUSE_REPORT)
    assert report.score(0, 0.0).mean == 50.0
    critical = Evidence(kind=EventKind.ABUSE_REPORT, node=0, t=0.0, severity=Severity.CRITICAL)
    report.observe(0, critical)
    assert report.score(0, 0.0).mean == pytest.approx(float(reputation(np.array([-40.0]))[0]))


def test_time_between_the_first_and_the_last_call_carried_counts() -> None:
    model = fed(GOOD, half_life=1e9)
    for t in (7200.0, 3600.0):
        model.observe(0, Evidence(kind=GOOD, node=0, t=t))
    assert model.score(0, 7200.0).mean == pytest.approx(float(reputation(np.array([3.0 + 2.0]))[0]), rel=1e-4)


@pytest.mark.parametrize("node", [1, 7])
@pytest.mark.parametrize("known", [None, 4])
def test_when_others_were_first_seen_is_no_matter_to_a_node(node: int, known: int | None) -> None:
    """In the order of arrival, another node is heard of first, but later in time."""
    model, alone = GossipSub(half_life=3600.0), GossipSub(half_life=3600.0)
    if known is not None:
        model.observe(known, Evidence(kind=GOOD, node=known, t=7200.0))
    for told in (model, alone):
        for t in (0.0, 3600.0):
            told.observe(node, Evidence(kind=GOOD, node=node, t=t, weight=10.0))
    for now in (3600.0, 7200.0):
        assert model.score(node, now) == alone.score(node, now)


def test_a_node_that_was_forgotten_is_as_if_it_had_never_been_heard_of() -> None:
    model, fresh = fed(GOOD, BAD, t=7200.0), GossipSub()
    model.forget(0)
    assert model.score(0, 0.0) == fresh.score(0, 0.0)
    for told in (model, fresh):
        told.observe(0, Evidence(kind=GOOD, node=0, t=3600.0))
    assert model.score(0, 7200.0) == fresh.score(0, 7200.0)


def test_a_verified_node_has_the_applications_score_until_it_is_forgotten() -> None:
    model = fed()
    model.anchor(3)
    assert model.score(3, 0.0).mean == 90.0
    assert model.table(2, 0.0).mean.tolist() == [50.0, 50.0]
    assert model.table(4, 0.0).mean.tolist() == [50.0, 50.0, 50.0, 90.0]
    model.forget(3)
    assert model.score(3, 0.0).mean == 50.0
