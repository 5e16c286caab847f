"""Every policy keeps the contract, and each does what it is named for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import LinkEntry, NetworkView, NodeEntry, Role, make_view
from meshsim.routing import RouteRequest, RoutingEngine
from meshsim.routing.policies import (
    POLICIES,
    Direct,
    Ecmp,
    Exploring,
    GreedyReputation,
    Hop,
    KShortest,
    Learned,
    Physics,
    Policy,
    QRouting,
    RandomRelay,
    Shortest,
    ShortestWidest,
    Via,
    Weighted,
    Widest,
    WidestShortest,
    make,
)
from meshsim.testing import PolicyContract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshsim.routing.features import Scores

ALICE, BOB, NEAR, FAR = (NodeId(bytes([i] * 32)) for i in range(4))
REQUEST = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO)


class TestDirect(PolicyContract):
    def make_policy(self) -> Policy:
        return Direct()


class TestShortest(PolicyContract):
    def make_policy(self) -> Policy:
        return Shortest()


class TestDelay(PolicyContract):
    def make_policy(self) -> Policy:
        return make("delay")


class TestHop(PolicyContract):
    def make_policy(self) -> Policy:
        return Hop()


class TestWidest(PolicyContract):
    def make_policy(self) -> Policy:
        return Widest()


class TestWidestShortest(PolicyContract):
    def make_policy(self) -> Policy:
        return WidestShortest()


class TestShortestWidest(PolicyContract):
    def make_policy(self) -> Policy:
        return ShortestWidest()


class TestEcmp(PolicyContract):
    def make_policy(self) -> Policy:
        return Ecmp()


class TestKShortest(PolicyContract):
    def make_policy(self) -> Policy:
        return KShortest(stream=SeedTree(3).stream("k-shortest"))


class TestRandomRelay(PolicyContract):
    def make_policy(self) -> Policy:
        return RandomRelay(SeedTree(3).stream("random-relay"))


class TestQRouting(PolicyContract):
    def make_policy(self) -> Policy:
        return QRouting(stream=SeedTree(3).stream("q-routing"))


class TestVia(PolicyContract):
    def make_policy(self) -> Policy:
        return Via(stream=SeedTree(3).stream("via"))


class TestWeighted(PolicyContract):
    def make_policy(self) -> Policy:
        return Weighted()


class TestGreedyReputation(PolicyContract):
    def make_policy(self) -> Policy:
        return GreedyReputation()


class TestPhysics(PolicyContract):
    def make_policy(self) -> Policy:
        return Physics()


class TestExploring(PolicyContract):
    def make_policy(self) -> Policy:
        return Exploring("shortest", epsilon=0.5, stream=SeedTree(3).stream("exploring"))


class TestLearned(PolicyContract):
    folder: ClassVar[Path]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _use(cls, scorer: Path) -> None:
        cls.folder = scorer

    def make_policy(self) -> Policy:
        return Learned(self.folder)


def test_every_registered_policy_is_held_to_the_contract() -> None:
    held = {contract.__name__.removeprefix("Test").lower() for contract in PolicyContract.__subclasses__()}
    assert {name.replace("-", "") for name in POLICIES} <= held


def diamond(
    *, near: float = 80.0, far: float = 80.0, direct_delay: float = 0.1, longitude: float = 10.0, load: float = 0.0
) -> NetworkView:
    return make_view(
        [
            NodeEntry(id=ALICE),
            NodeEntry(id=BOB, longitude=longitude),
            NodeEntry(id=NEAR, role=Role.RELAY, reputation=near, load=load),
            NodeEntry(id=FAR, role=Role.RELAY, reputation=far),
        ],
        [
            LinkEntry(src=0, dst=1, delay=direct_delay),
            LinkEntry(src=0, dst=2, delay=0.02),
            LinkEntry(src=2, dst=1, delay=0.03),
            LinkEntry(src=0, dst=3, delay=0.05),
            LinkEntry(src=3, dst=1, delay=0.04),
        ],
    )


def choice(policy: str, view: NetworkView) -> tuple[NodeId, ...]:
    return RoutingEngine(policy).find(REQUEST, view).path


def test_direct_ignores_faster_relays() -> None:
    assert choice("direct", diamond(direct_delay=0.5)) == (ALICE, BOB)


def test_shortest_takes_the_least_delay() -> None:
    assert choice("shortest", diamond(direct_delay=0.5)) == (ALICE, NEAR, BOB)
    assert choice("shortest", diamond(direct_delay=0.01)) == (ALICE, BOB)


def test_weighted_connects_directly_up_to_5000_km_unless_a_relay_earns_it() -> None:
    assert choice("weighted", diamond(direct_delay=0.09)) == (ALICE, BOB)
    assert choice("weighted", diamond(direct_delay=0.6)) == (ALICE, NEAR, BOB)


def test_weighted_prefers_a_relay_beyond_5000_km() -> None:
    assert choice("weighted", diamond(direct_delay=0.06, longitude=60.0)) == (ALICE, NEAR, BOB)


def test_weighted_ranks_relays_below_70_last() -> None:
    assert choice("weighted", diamond(direct_delay=0.6, near=69.0)) == (ALICE, FAR, BOB)
    assert choice("weighted", diamond(direct_delay=0.6, near=69.0, far=69.0)) == (ALICE, BOB)


def test_weighted_is_the_weighted_sum_of_the_brief() -> None:
    ranking = RoutingEngine("weighted").rank(REQUEST, diamond(direct_delay=0.1))
    assert ranking.candidates.path(1) == (0, 2, 1)
    expected = -0.4 * 0.1 / 0.8 + 0.25 * 1.0 + 0.15 * 0.8 - 0.1 * 2 / 5 + 0.05 + 0.05
    assert ranking.scores.utility[1] == pytest.approx(expected)


def test_greedy_reputation_divides_the_delay_by_what_is_sure_of_the_relays() -> None:
    ranking = RoutingEngine("greedy-reputation").rank(REQUEST, diamond(direct_delay=0.1))
    cost = dict(zip(ranking.candidates, -ranking.scores.utility, strict=True))
    assert cost[0, 1] == pytest.approx(0.2)
    assert cost[0, 2, 1] == pytest.approx(2 * 0.05 / 0.7)  # the lower bound of a NodeEntry's reputation is 70


def test_greedy_reputation_passes_over_the_fast_relay_that_little_is_known_of() -> None:
    def known(low: float) -> NetworkView:
        view = diamond(direct_delay=0.5)
        bounds = np.array([70.0, 70.0, low, 70.0])
        return replace(view, nodes=replace(view.nodes, reputation_low=bounds))

    assert choice("greedy-reputation", known(70.0)) == (ALICE, NEAR, BOB)
    assert choice("greedy-reputation", known(20.0)) == (ALICE, FAR, BOB)


def pair(**link: float) -> NetworkView:
    """Alice, Bob and the link between them, 100 km apart."""
    nodes = [NodeEntry(id=ALICE), NodeEntry(id=BOB, longitude=0.9)]
    return make_view(nodes, [replace(LinkEntry(src=0, dst=1, delay=0.05, rate=40e6), **link)])


def physics(view: NetworkView) -> Scores:
    return RoutingEngine("physics").rank(REQUEST, view).scores


def test_physics_of_a_fresh_idle_link_is_what_is_believed_and_its_own_wait() -> None:
    said = physics(pair(rate=50e6, jitter=0.003, loss=0.01))
    assert said.rtt[0] == pytest.approx(0.1, rel=1e-3)
    assert said.jitter[0] == pytest.approx(0.003, rel=0.05)
    assert said.loss[0] == pytest.approx(0.01, rel=1e-4)


def test_physics_waits_ever_longer_the_fuller_a_link_is() -> None:
    rtt = [physics(pair(rate=rate)).rtt[0] for rate in (40e6, 10e6, 2e6, 0.1e6)]
    steps = np.diff(rtt)
    assert np.all(steps > 0)
    assert np.all(np.diff(steps) > 0)


def test_physics_loses_what_a_link_has_no_rate_for() -> None:
    half = demand(MediaType.AUDIO).rate_bps / 2
    assert physics(pair(rate=half)).loss[0] == pytest.approx(0.5, abs=1e-3)


def test_physics_believes_old_measurements_less_and_is_less_sure_of_them() -> None:
    fresh, old, older = (physics(pair(age=age)) for age in (0.0, 300.0, 1e6))
    assert fresh.rtt[0] > old.rtt[0] > older.rtt[0]
    assert older.rtt[0] == pytest.approx(geo.predicted_rtt(100e3), rel=0.02)
    poor = [physics(pair(age=age, delay=0.02, jitter=0.002, loss=0.005)).utility[0] for age in (0.0, 1e6)]
    assert poor[0] > poor[1]


def test_physics_takes_the_relay_of_good_name() -> None:
    view = diamond(direct_delay=0.9)
    known = replace(view, nodes=replace(view.nodes, reputation=np.array([80.0, 80.0, 30.0, 95.0])))
    assert choice("physics", view) == (ALICE, NEAR, BOB)
    assert choice("physics", known) == (ALICE, FAR, BOB)


def test_physics_keeps_what_nobody_measured_within_its_triangles() -> None:
    nodes = [NodeEntry(id=ALICE), NodeEntry(id=BOB, longitude=0.9), NodeEntry(id=NEAR, role=Role.RELAY)]
    view = make_view(nodes, [LinkEntry(src=0, dst=2, delay=0.09), LinkEntry(src=2, dst=1, delay=0.02)])
    ranking = RoutingEngine("physics").rank(REQUEST, view)
    assert ranking.candidates.path(0) == (0, 1)
    assert ranking.features.belief.rtt[0] < 0.04
    assert ranking.scores.rtt[0] == pytest.approx(2 * 0.07, rel=0.01)


def test_physics_waits_in_the_queue_of_a_busy_relay() -> None:
    idle, busy = (RoutingEngine("physics").rank(REQUEST, diamond(load=load)) for load in (0.0, 0.95))
    row = idle.candidates.paths.index((0, 2, 1))
    assert busy.scores.rtt[row] > idle.scores.rtt[row]
    assert busy.scores.utility[row] < idle.scores.utility[row]


@given(
    utility=st.lists(st.floats(-10, 10), min_size=1, max_size=20),
    epsilon=st.floats(0, 1),
    temperature=st.floats(0.01, 10),
)
def test_exploring_propensities_sum_to_one_and_favour_the_best(
    utility: list[float], epsilon: float, temperature: float
) -> None:
    values = np.array(utility)
    odds = Exploring("shortest", epsilon=epsilon, temperature=temperature).propensity(values)
    assert odds.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.all(odds >= 0)
    assert odds[np.argmax(values)] == odds.max()


def test_exploring_chooses_as_often_as_it_says() -> None:
    engine = RoutingEngine(Exploring("shortest", epsilon=0.6, temperature=1.0, stream=SeedTree(1).stream("x")))
    view = diamond()
    chosen = np.zeros(3)
    for _ in range(800):
        ranking = engine.rank(REQUEST, view)
        chosen[ranking.order[0]] += 1
    assert np.abs(chosen / 800 - ranking.propensity).max() < 0.05


def test_exploring_says_with_what_probability_it_drew() -> None:
    engine = RoutingEngine(Exploring("shortest", epsilon=1.0, stream=SeedTree(1).stream("x")))
    assert "drawn with probability" in engine.find(REQUEST, diamond()).reasons[0]


def test_exploring_draws_by_request_counter_alone() -> None:
    stream = SeedTree(7).stream("exploring")
    first = Exploring("shortest", stream=stream)
    draws = [first.draw() for _ in range(5)]
    assert draws == stream.uniform(0, 5).tolist()
    assert Exploring("shortest", stream=stream, count=3).draw() == draws[3]


def test_exploring_without_epsilon_is_its_base() -> None:
    odds = Exploring("shortest", epsilon=0.0).propensity(np.array([0.1, 0.5, 0.3]))
    assert odds.tolist() == [0.0, 1.0, 0.0]


def test_exploring_passes_on_its_bases_confidence(scorer: Path) -> None:
    ai_score = np.array([10.0, 50.0, 90.0])
    assert Exploring(Learned(scorer)).confidence(ai_score).tolist() == [0.2, 0.6, 0.9]
    assert np.isnan(Exploring("shortest").confidence(ai_score)).all()


@pytest.mark.parametrize("options", [{"epsilon": 1.5}, {"epsilon": float("nan")}, {"temperature": 0.0}])
def test_exploring_refuses_impossible_odds(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Exploring("shortest", **options)


def test_an_unknown_policy_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean: weighted"):
        make("wieghted")


def fork(*paths: tuple[float, float]) -> NetworkView:
    """Alice, Bob, and a relay for each path of (delay of a hop, rate); Alice and Bob are far apart."""
    nodes = [NodeEntry(id=ALICE), NodeEntry(id=BOB, longitude=120.0)]
    nodes += [NodeEntry(id=NodeId(bytes([9 + i] * 32)), role=Role.RELAY) for i in range(len(paths))]
    links = [
        LinkEntry(src=a, dst=b, delay=delay, rate=rate)
        for i, (delay, rate) in enumerate(paths, 2)
        for a, b in ((0, i), (i, 1))
    ]
    return make_view(nodes, links)


def relay_of(policy: str | Policy, view: NetworkView, flow: int = 0) -> int:
    """Which of the relays is taken, 0 the first."""
    request = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO, flow=flow)
    path = RoutingEngine(policy).find(request, view).path
    assert len(path) == 3
    return view.index[path[1]] - 2


def test_widest_takes_the_most_rate_and_among_equals_the_least_delay() -> None:
    # the direct path is believed as wide as the access links, 50 Mbit/s
    assert relay_of("widest", fork((0.01, 60e6), (0.09, 80e6), (0.08, 80e6))) == 2


def test_widest_shortest_takes_no_longer_path_for_its_width() -> None:
    view = fork((0.01, 500e6), (0.02, 900e6))
    request = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO)
    assert RoutingEngine("widest-shortest").find(request, view).path == (ALICE, BOB)
    ranking = RoutingEngine("widest-shortest").rank(request, view)
    assert [ranking.candidates.path(row) for row in ranking.order] == [(0, 1), (0, 3, 1), (0, 2, 1)]


def test_shortest_widest_takes_the_faster_of_the_paths_of_one_octave() -> None:
    assert relay_of("shortest-widest", fork((0.05, 140e6), (0.01, 70e6), (0.02, 120e6))) == 0
    assert relay_of("shortest-widest", fork((0.05, 100e6), (0.01, 70e6), (0.02, 120e6))) == 1


def test_hop_counts_hops_and_knows_no_delay() -> None:
    ranked = RoutingEngine("hop").rank(REQUEST, fork((0.01, 1e6), (0.5, 1e6), (0.2, 1e6), (0.1, 1e6)))
    assert ranked.candidates.path(ranked.order[0]) == (0, 1)
    assert list(ranked.order[1:]) != sorted(ranked.order[1:])


def test_ecmp_spreads_calls_over_equals_evenly_and_keeps_each_to_its_path() -> None:
    view = fork((0.0202, 1e6), (0.0211, 1e6), (0.0223, 1e6), (0.028, 1e6))
    taken = [relay_of("ecmp", view, flow) for flow in range(600)]
    assert taken == [relay_of("ecmp", view, flow) for flow in range(600)]
    assert np.abs(np.bincount(taken, minlength=4) / 600 - [1 / 3, 1 / 3, 1 / 3, 0]).max() < 0.06


def test_ecmp_moves_only_the_calls_of_a_relay_that_goes_away() -> None:
    whole = fork((0.0202, 1e6), (0.0211, 1e6), (0.0223, 1e6))
    less = fork((0.0202, 1e6), (0.0211, 1e6))
    for flow in range(100):
        before = relay_of("ecmp", whole, flow)
        assert before == 2 or relay_of("ecmp", less, flow) == before


def test_ecmp_decides_many_calls_as_one_by_one() -> None:
    view = fork((0.0202, 1e6), (0.0211, 1e6), (0.0223, 1e6))
    requests = [RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO, flow=flow) for flow in range(40)]
    engine = RoutingEngine("ecmp")
    for request, ranked in zip(requests, engine.rank_many(requests, view), strict=True):
        alone = engine.rank(request, view)
        assert ranked.paths[0] == alone.candidates.path(alone.order[0])


@pytest.mark.parametrize("policy", ["greedy-reputation", "physics"])
def test_rivals_decide_many_calls_of_mixed_media_as_one_by_one(policy: str) -> None:
    view = fork((0.03, 0.6e6), (0.04, 90e6), (0.1, 0.05e6))
    requests = [
        RouteRequest(source=ALICE, destinations=(BOB,), media=media, flow=flow)
        for flow, media in enumerate([*MediaType, *MediaType])
    ]
    engine = RoutingEngine(policy)
    for request, ranked in zip(requests, engine.rank_many(requests, view), strict=True):
        alone = engine.rank(request, view)
        assert ranked.paths[0] == alone.candidates.path(alone.order[0])


def test_random_relay_takes_all_relays_alike_and_the_direct_path_only_without_them() -> None:
    policy = RandomRelay(SeedTree(1).stream("random-relay"))
    view = fork((0.02, 1e6), (0.3, 1e6), (0.1, 1e6))
    taken = [relay_of(policy, view) for _ in range(600)]
    assert np.abs(np.bincount(taken) / 600 - 1 / 3).max() < 0.06
    assert policy.dice.count == 600
    assert RoutingEngine(RandomRelay()).find(REQUEST, fork()).path == (ALICE, BOB)


def test_k_shortest_takes_the_k_fastest_alike() -> None:
    policy = KShortest(2, stream=SeedTree(1).stream("k-shortest"))
    view = fork((0.02, 1e6), (0.01, 1e6), (0.03, 1e6))
    taken = [relay_of(policy, view) for _ in range(600)]
    assert np.abs(np.bincount(taken, minlength=3) / 600 - [0.5, 0.5, 0]).max() < 0.06
    assert KShortest(9).propensity(np.array([3.0, 1.0])).tolist() == [0.5, 0.5]


def test_delay_is_shortest_by_another_name() -> None:
    view = fork((0.02, 1e6), (0.01, 1e6))
    request = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO)
    one, other = (RoutingEngine(name).find(request, view) for name in ("delay", "shortest"))
    assert (one.path, one.fallbacks) == (other.path, other.fallbacks)
    assert (one.policy, other.policy) == ("delay", "shortest")


@pytest.mark.parametrize("make_wrong", [lambda: Ecmp(0.0), lambda: Ecmp(float("nan")), lambda: KShortest(0)])
def test_impossible_options_of_policies_are_refused(make_wrong: Callable[[], Policy]) -> None:
    with pytest.raises(ConfigError):
        make_wrong()


def test_a_flow_is_a_number_of_63_bits() -> None:
    for wrong in (-1, 2**63):
        with pytest.raises(ValueError, match="flow"):
            RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO, flow=wrong)
