"""Policies that learn do so from outcomes alone, each from those that its owner could know."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import LinkEntry, NetworkView, NodeEntry, Role, make_view
from meshsim.routing import RouteRequest, RoutingEngine
from meshsim.routing.graph import graph_of
from meshsim.routing.policies import Exploring, Outcome, QRouting, Shortest, Via, is_learning
from meshsim.routing.policies.atlas import WORST, Atlas, cost_of, lived_cost
from meshsim.routing.policies.tally import Segments, Tally, fading
from meshsim.routing.policies.via import Estimate, standing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.routing.policies import Policy

ALICE, ANN, BOB, BEA, NEAR, FAR = (NodeId(bytes([i] * 32)) for i in range(1, 7))
HERE, THERE = 0.0, 60.0
NODES = [
    NodeEntry(id=ALICE, longitude=HERE + 0.1),
    NodeEntry(id=ANN, longitude=HERE + 0.2),
    NodeEntry(id=BOB, longitude=THERE + 0.1),
    NodeEntry(id=BEA, longitude=THERE + 0.2),
    NodeEntry(id=NEAR, longitude=20.0, role=Role.RELAY),
    NodeEntry(id=FAR, longitude=40.0, role=Role.RELAY),
]
STAR = [LinkEntry(src=a, dst=b, delay=0.02) for p in range(4) for r in (4, 5) for a, b in ((p, r), (r, p))]
VIEW = make_view(NODES, [replace(link, delay=0.03) if 5 in (link.src, link.dst) else link for link in STAR])
GOOD, BAD, SHAKEN = (0.05, 0.001, 0.0), (0.5, 0.05, 0.2), (0.05, 0.1, 0.0)


def outcome(
    *path: NodeId,
    lived: tuple[float, float, float] = GOOD,
    at: float = 0.0,
    connected: bool = True,
    media: MediaType = MediaType.AUDIO,
    **more: NodeId,
) -> Outcome:
    rtt, jitter, loss = lived
    return Outcome(path=path, media=media, rtt=rtt, jitter=jitter, loss=loss, connected=connected, at=at, **more)


def chosen(
    policy: Policy,
    source: NodeId = ALICE,
    target: NodeId = BOB,
    view: NetworkView = VIEW,
    media: MediaType = MediaType.AUDIO,
) -> tuple[NodeId, ...]:
    request = RouteRequest(source=source, destinations=(target,), media=media)
    return RoutingEngine(policy).find(request, view).path


def taught(policy: Policy, *lessons: Outcome) -> Policy:
    chosen(policy)  # it has looked at the map
    for lesson in lessons:
        policy.observe(lesson)
    return policy


def owned(view: NetworkView, owner: NodeId) -> NetworkView:
    return replace(view, owner=view.index[owner])


LEARNERS = [pytest.param(lambda: QRouting(epsilon=0.0), id="q"), pytest.param(lambda: Via(epsilon=0.0), id="via")]


@pytest.mark.parametrize("make", LEARNERS)
def test_what_was_never_tried_is_as_believed(make: Callable[[], Policy]) -> None:
    assert chosen(make()) == chosen(Shortest()) == (ALICE, NEAR, BOB)


@pytest.mark.parametrize("make", LEARNERS)
def test_a_relay_that_spoils_calls_is_left_though_belief_praises_it(make: Callable[[], Policy]) -> None:
    bad = [outcome(ALICE, NEAR, BOB, lived=BAD) for _ in range(3)]
    assert chosen(taught(make(), *bad)) == (ALICE, FAR, BOB)
    dead = [outcome(ALICE, NEAR, BOB, lived=(math.nan,) * 3, connected=False) for _ in range(3)]
    assert chosen(taught(make(), *dead)) == (ALICE, FAR, BOB)


@pytest.mark.parametrize("make", LEARNERS)
def test_lessons_hold_for_everybody_in_the_region_of_the_destination(make: Callable[[], Policy]) -> None:
    bad = [outcome(ALICE, NEAR, BOB, lived=BAD) for _ in range(3)]
    assert chosen(taught(make(), *bad), target=BEA) == (ALICE, FAR, BEA)


def test_q_routing_keeps_lessons_to_the_ends_that_had_them_and_via_shares_them_in_a_region() -> None:
    bad = [outcome(ALICE, NEAR, BOB, lived=BAD) for _ in range(3)]
    assert chosen(taught(QRouting(epsilon=0.0), *bad), source=ANN) == (ANN, NEAR, BOB)
    assert chosen(taught(Via(epsilon=0.0), *bad), source=ANN) == (ANN, FAR, BOB)


@pytest.mark.parametrize("make", LEARNERS)
def test_what_spoils_one_type_of_media_is_no_lesson_for_another(make: Callable[[], Policy]) -> None:
    bad = [outcome(ALICE, NEAR, BOB, lived=SHAKEN, media=MediaType.AUDIO_VIDEO) for _ in range(3)]
    policy = taught(make(), *bad)
    assert chosen(policy, media=MediaType.AUDIO_VIDEO) == (ALICE, FAR, BOB)
    assert chosen(policy, media=MediaType.DATA) == (ALICE, NEAR, BOB)


@pytest.mark.parametrize("make", LEARNERS)
def test_both_ends_learn_from_a_call(make: Callable[[], Policy]) -> None:
    bad = [outcome(ALICE, NEAR, BOB, lived=BAD) for _ in range(3)]
    assert chosen(taught(make(), *bad), source=BOB, target=ALICE) == (BOB, FAR, ALICE)


@pytest.mark.parametrize("make", LEARNERS)
def test_what_an_agent_lived_is_its_own(make: Callable[[], Policy]) -> None:
    policy = make()
    for owner in (ALICE, ANN):
        chosen(policy, source=owner, view=owned(VIEW, owner))
    for _ in range(3):
        policy.observe(outcome(ALICE, NEAR, BOB, lived=BAD, observer=ALICE))
    assert chosen(policy, view=owned(VIEW, ALICE)) == (ALICE, FAR, BOB)
    assert chosen(policy, source=ANN, view=owned(VIEW, ANN)) == (ANN, NEAR, BOB)
    assert chosen(policy) == (ALICE, NEAR, BOB)


@pytest.mark.parametrize("make", LEARNERS)
def test_nothing_is_learnt_where_nothing_was_measured_or_nobody_knows_the_place(make: Callable[[], Policy]) -> None:
    unmeasured = taught(make(), *[outcome(ALICE, NEAR, BOB, lived=(0.9, math.nan, math.nan)) for _ in range(3)])
    assert chosen(unmeasured) == (ALICE, NEAR, BOB)
    stranger = NodeId(b"s" * 32)
    lost = taught(make(), *[outcome(ALICE, NEAR, stranger, lived=BAD) for _ in range(3)])
    assert chosen(lost) == (ALICE, NEAR, BOB)


lessons = st.lists(
    st.builds(
        lambda path, lived, at, connected: outcome(*path, lived=lived, at=at, connected=connected),
        st.sampled_from([(ALICE, BOB), (ALICE, NEAR, BOB), (BOB, FAR, ALICE), (ANN, NEAR, FAR, BEA), (ALICE, ANN)]),
        st.sampled_from([GOOD, BAD, (math.nan,) * 3, (0.2, 0.004, 0.01)]),
        st.floats(0, 1e4),
        st.booleans(),
    ),
    max_size=25,
)


@pytest.mark.parametrize("make", LEARNERS)
@given(history=lessons)
@settings(max_examples=25, deadline=None)
def test_the_same_history_gives_the_same_scores_in_copies_too(
    make: Callable[[], Policy], history: Sequence[Outcome]
) -> None:
    request = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO)
    one, other = taught(make(), *history), taught(make(), *history)
    saved = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own bytes
    utilities = [RoutingEngine(each).rank(request, VIEW).scores.utility for each in (one, other, saved)]
    assert np.isfinite(utilities[0]).all()
    assert np.array_equal(utilities[0], utilities[1])
    assert np.array_equal(utilities[0], utilities[2])


def test_a_q_moves_towards_what_was_lived_by_its_rate() -> None:
    policy = taught(QRouting(rate=0.25, epsilon=0.0), outcome(ALICE, BOB), outcome(ALICE, BOB, lived=BAD))
    (q,) = {cost for mind in policy._minds.values() for cost in mind.q.values()}
    assert q == pytest.approx(0.75 * cost_of(*GOOD) + 0.25 * cost_of(*BAD))


@pytest.mark.parametrize("policy", [QRouting, Via])
def test_exploration_takes_any_path_with_known_odds(policy: Callable[..., Policy]) -> None:
    engine = RoutingEngine(policy(epsilon=0.6, stream=SeedTree(1).stream("x")))
    request = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO)
    rows = np.zeros(3)
    for _ in range(400):
        ranking = engine.rank(request, VIEW)
        rows[ranking.order[0]] += 1
    assert np.abs(rows / 400 - ranking.propensity).max() < 0.07


@pytest.mark.parametrize(
    "make",
    [
        lambda: QRouting(rate=1.5),
        lambda: QRouting(epsilon=-0.1),
        lambda: Via(epsilon=2.0),
        lambda: Via(budget=float("nan")),
        lambda: Via(half_life=0.0),
    ],
)
def test_impossible_options_are_refused(make: Callable[[], Policy]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_the_engine_tells_learners_and_nobody_else() -> None:
    base = Via(epsilon=0.0)
    for policy in (base, Exploring(base, epsilon=0.0)):
        engine = RoutingEngine(policy)
        chosen(policy)
        assert engine.learns
        for _ in range(2):
            engine.observe(outcome(ALICE, NEAR, BOB, lived=BAD))
    assert chosen(Exploring(base, epsilon=0.0)) == (ALICE, FAR, BOB)
    still = RoutingEngine("shortest")
    still.observe(outcome(ALICE, NEAR, BOB, lived=BAD))
    assert not still.learns
    Exploring("shortest").observe(outcome(ALICE, NEAR, BOB))
    assert not is_learning(Shortest())


def test_an_outcome_is_of_a_path_with_two_ends() -> None:
    with pytest.raises(ValueError, match="two ends"):
        outcome(ALICE)


# VIA ------------------------------------------------------------------------------------------------------------------


def truth_of(
    rtts: dict[tuple[NodeId, ...], float],
) -> Callable[[tuple[NodeId, ...], float], tuple[float, float, float]]:
    return lambda path, noise: (rtts[path[1:-1]] * (1.0 + 0.2 * (noise - 0.5)), 0.001, 0.0)


def live(policy: Via, calls: int, lived: Callable[..., tuple[float, float, float]]) -> list[tuple[NodeId, ...]]:
    """Alice calls Bob again and again; the truth is not what is believed."""
    noise = SeedTree(5).stream("noise").uniform(0, calls)
    taken = []
    for number in range(calls):
        path = chosen(policy)
        taken.append(path[1:-1])
        policy.observe(outcome(*path, lived=lived(path, noise[number]), at=10.0 * number))
    return taken


def test_via_finds_the_best_option_whatever_is_believed() -> None:
    rtts = truth_of({(): 0.6, (NEAR,): 0.45, (FAR,): 0.3, (NEAR, FAR): 0.5, (FAR, NEAR): 0.5})
    taken = live(Via(epsilon=0.1, stream=SeedTree(2).stream("via")), 300, rtts)
    assert taken[100:].count((FAR,)) > 0.8 * 200
    assert chosen(Shortest()) == (ALICE, NEAR, BOB)


def test_via_keeps_to_its_budget() -> None:
    rtts = truth_of({(): 0.5, (NEAR,): 0.2, (FAR,): 0.3, (NEAR, FAR): 0.5, (FAR, NEAR): 0.5})
    free = live(Via(epsilon=0.0), 150, rtts)
    assert free[100:].count(()) == 0
    bound = live(Via(epsilon=0.0, budget=0.3), 700, rtts)
    relayed = 1.0 - bound[200:].count(()) / 500
    assert 0.25 < relayed < 0.35


def test_via_prunes_what_is_worse_beyond_doubt() -> None:
    lessons = [outcome(ALICE, *relay, BOB, lived=lived) for relay, lived in (((NEAR,), BAD), ((FAR,), GOOD)) * 8]
    policy = taught(Via(epsilon=0.0), *lessons)
    request = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO)
    ranking = RoutingEngine(policy).rank(request, VIEW)
    utility = dict(zip(ranking.candidates.paths, ranking.scores.utility.tolist(), strict=True))
    assert utility[0, 4, 2] < -90 < utility[0, 5, 2]


def test_via_forgets() -> None:
    policy = taught(Via(epsilon=0.0, half_life=10.0), *[outcome(ALICE, NEAR, BOB, lived=BAD) for _ in range(3)])
    assert chosen(policy) == (ALICE, FAR, BOB)
    policy.observe(outcome(ANN, ALICE, at=1000.0))
    policy._minds[None].segments.known.clear()  # segments are corrected rather than forgotten
    assert chosen(policy) == (ALICE, NEAR, BOB)


def test_a_call_within_a_region_is_one_option_from_either_end() -> None:
    policy = taught(Via(), outcome(ALICE, NEAR, FAR, ANN), outcome(ANN, FAR, NEAR, ALICE))
    (options,) = policy._minds[None].history.values()
    assert {option: tally.weight for option, tally in options.items()} == {(NEAR, FAR): 2.0}


@given(
    st.lists(st.builds(Estimate, st.floats(0, 4.5), st.floats(0.01, 1), st.floats(0.1, 50)), min_size=1, max_size=12)
)
def test_options_kept_cannot_be_told_from_the_best_and_those_pruned_can(known: list[Estimate]) -> None:
    standing = standing_of(known)
    kept = [each for each in known if each.low <= standing.most]
    pruned = [each for each in known if each.low > standing.most]
    assert min(known, key=lambda each: each.mean) in kept
    assert standing.most == max(each.high for each in kept)
    assert all(each.low > max(other.high for other in kept) for each in pruned)
    assert standing.scale > 0
    assert standing.calls >= 1


# What they remember ---------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 4.5), min_size=2, max_size=40))
def test_a_tally_that_forgets_nothing_is_mean_and_spread(costs: list[float]) -> None:
    tally = Tally()
    for at, cost in enumerate(costs):
        tally.add(cost, float(at), math.inf)
    assert tally.weight == len(costs)
    assert tally.mean == pytest.approx(np.mean(costs), abs=1e-9)
    assert tally.square == pytest.approx(np.sum(np.square(costs - np.mean(costs))), abs=1e-9)
    spread = math.sqrt((tally.square + 0.25) / (len(costs) + 1))
    assert tally.error(99.0, math.inf, 0.5) == pytest.approx(spread / math.sqrt(len(costs) + 1))


def test_a_tally_halves_with_its_half_life() -> None:
    tally = Tally()
    tally.add(1.0, 0.0, 10.0)
    assert tally.weight_at(10.0, 10.0) == 0.5
    tally.add(3.0, 10.0, 10.0)
    assert (tally.weight, tally.mean) == (1.5, pytest.approx(7 / 3))
    assert fading(-5.0, 10.0) == 1.0


def test_segments_tell_what_was_never_lived_from_what_was() -> None:
    places = [bytes([i]) for i in range(6)]
    draw = np.random.default_rng(1)
    rtt = {(a, b): draw.uniform(0.01, 0.1) for a in places for b in places if a < b}
    segments = Segments()
    paths = [((places[0], r), (r, places[5])) for r in places[1:5]] + [((places[0], places[5]),)]
    legs = [((places[0], r), (r, s), (s, places[5])) for r in places[1:5] for s in places[1:5] if r < s]
    for _ in range(400):
        for path in (*paths, *legs[1:]):
            whole = sum(rtt[segment] for segment in path)
            segments.learn(path, outcome(ALICE, BOB, lived=(whole, 0.001, 0.0)))
    for path in (*paths, *legs[1:]):
        assert segments.predict(path, MediaType.AUDIO) == pytest.approx(
            cost_of(sum(rtt[s] for s in path), 0.001, 0.0), abs=0.02
        )
    assert math.isnan(segments.predict(legs[0], MediaType.AUDIO))


def test_a_path_that_carries_nothing_costs_the_most() -> None:
    assert lived_cost(outcome(ALICE, BOB, connected=False)) == WORST == cost_of(9.0, 1.0, 1.0)
    assert lived_cost(outcome(ALICE, BOB)) < 0.5
    assert math.isnan(lived_cost(outcome(ALICE, BOB, lived=(0.1, math.nan, 0.0))))


@pytest.mark.parametrize("media", list(MediaType))
def test_costs_are_on_one_scale_whatever_calls_carry(media: MediaType) -> None:
    assert cost_of(0.0, 0.0, 0.0, media) == 0.0
    assert float(cost_of(9.0, 1.0, 1.0, media)) == pytest.approx(WORST)
    assert lived_cost(outcome(ALICE, BOB, lived=BAD, media=media)) == float(cost_of(*BAD, media))


def test_jitter_costs_a_voice_and_no_transfer() -> None:
    assert cost_of(*SHAKEN, MediaType.AUDIO) > 1.0
    assert cost_of(*SHAKEN, MediaType.DATA) == cost_of(*GOOD, MediaType.DATA) == 0.0


def test_regions_keep_their_numbers_until_the_view_covers_twice_as_much() -> None:
    atlas = Atlas()
    atlas.look(graph_of(VIEW))
    before = {node: atlas.of(node) for node in VIEW.nodes.ids}
    assert before[ALICE] == before[ANN] != before[BOB] == before[BEA]
    near = make_view([*NODES, NodeEntry(id=NodeId(b"n" * 32), longitude=63.0)], [])
    atlas.look(graph_of(near))
    assert {node: atlas.of(node) for node in before} == before
    wide = make_view([*NODES, NodeEntry(id=NodeId(b"n" * 32), longitude=-70.0)], [])
    atlas.look(graph_of(wide))
    assert set(before.values()).isdisjoint(atlas.of(node) for node in before)
    assert atlas.of(NodeId(b"?" * 32)) is None
    Atlas().look(graph_of(make_view([], [])))
