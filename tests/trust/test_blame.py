from __future__ import annotations

import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from meshsim.mesh.seeds import SeedTree
from meshsim.trust import blame as module
from meshsim.trust.blame import CULPRIT, LEAK, LEAK_EVIDENCE, PRIOR, Blame, infer

RELAYS = 6
outcomes = st.lists(
    st.tuples(st.lists(st.integers(0, RELAYS - 1), max_size=3, unique=True), st.booleans()), max_size=25
)
World = tuple[np.ndarray, list[list[int]], list[bool]]


def world(relays: int, calls: int, bad: tuple[float, float], seed: int) -> World:
    """Failure shares of relays, a twentieth of them bad, and paths of one to three of them with outcomes."""
    rng = SeedTree(seed).generator("blame", 0)
    rate = rng.uniform(0.01, 0.02, relays)
    rate[: relays // 20] = rng.uniform(*bad, relays // 20)
    paths = [rng.permutation(relays)[: rng.integers(1, 4)].tolist() for _ in range(relays * calls // 2)]
    failed = [bool(rng.random() < 1.0 - (1.0 - LEAK) * np.prod(1.0 - rate[path])) for path in paths]
    return rate, paths, failed


def loss(hazard: np.ndarray, paths: list[list[int]], failed: list[bool]) -> float:
    """Negative logarithm of the posterior by its definition, the leak being the last relay."""
    share = -np.expm1(-hazard)
    a = np.append(np.full(len(share) - 1, PRIOR[0]), LEAK * LEAK_EVIDENCE)
    b = np.append(np.full(len(share) - 1, PRIOR[1]), (1.0 - LEAK) * LEAK_EVIDENCE)
    value = -(a * np.log(share) + b * np.log1p(-share)).sum()
    for path, fails in zip(paths, failed, strict=True):
        whole = hazard[path].sum() + hazard[-1]
        value -= math.log(-math.expm1(-whole)) if fails else -whole
    return float(value)


def test_the_one_relay_that_all_failures_share_is_found_out() -> None:
    guilt = infer([[0, 1], [1, 2], [0, 2]] * 40, [True, True, False] * 40, 3)
    assert guilt.culprits().tolist() == [1]
    assert guilt.mean[1] > 0.85
    assert guilt.paths.tolist() == [80.0, 80.0, 80.0]


def test_direct_calls_tell_of_the_leak_alone() -> None:
    guilt = infer([[]] * 1000, [True, *[False] * 9] * 100, 2)
    assert guilt.leak == pytest.approx((100.0 + LEAK * LEAK_EVIDENCE) / (1000.0 + LEAK_EVIDENCE))
    np.testing.assert_allclose(guilt.mean, PRIOR[0] / sum(PRIOR))


@given(outcomes)
def test_em_finds_the_maximum_of_the_posterior(seen: list[tuple[list[int], bool]]) -> None:
    paths, failed = [path for path, _ in seen], [fails for _, fails in seen]
    guilt = infer(paths, failed, RELAYS)
    hazard = -np.log1p(-np.append(guilt.mean, guilt.leak))
    best = optimize.minimize(
        loss, np.full(RELAYS + 1, 0.05), (paths, failed), bounds=[(1e-9, None)] * (RELAYS + 1), tol=1e-12
    )
    assert loss(hazard, paths, failed) <= best.fun + 1e-3


@given(outcomes, st.integers(0, RELAYS - 1))
def test_the_interval_is_laplaces(seen: list[tuple[list[int], bool]], relay: int) -> None:
    hops = [path for path, _ in seen], [fails for _, fails in seen]
    guilt = infer(*hops, RELAYS)
    hazard = -np.log1p(-np.append(guilt.mean, guilt.leak))
    shares = np.append(guilt.mean, guilt.leak)
    a = np.append(np.full(RELAYS, PRIOR[0]), LEAK * LEAK_EVIDENCE)
    curvature = np.diag(a * (1.0 - shares) / shares**2)
    for path, fails in zip(*hops, strict=True):
        there = np.array([*path, RELAYS])
        whole = hazard[there].sum()
        curvature[np.ix_(there, there)] += math.exp(-whole) / math.expm1(-whole) ** 2 if fails else 0.0
    deviation = (1.0 - shares[relay]) * math.sqrt(np.linalg.inv(curvature)[relay, relay])
    mean = shares[relay]
    deviation = min(deviation, math.sqrt(0.999 * mean * (1.0 - mean)))
    strength = mean * (1.0 - mean) / deviation**2 - 1.0
    low, high = module.beta_quantiles(np.array([mean * strength]), np.array([(1.0 - mean) * strength]), (0.025, 0.975))
    assert (guilt.low[relay], guilt.high[relay]) == pytest.approx((low[0], high[0]), rel=1e-6, abs=1e-9)


@given(outcomes)
def test_shares_are_probabilities_within_their_intervals(seen: list[tuple[list[int], bool]]) -> None:
    guilt = infer([path for path, _ in seen], [fails for _, fails in seen], RELAYS)
    assert ((guilt.low >= 0.0) & (guilt.high <= 1.0) & (guilt.low <= guilt.high)).all()
    assert ((guilt.mean > 0.0) & (guilt.mean < 1.0) & (guilt.mean <= guilt.high)).all()


@given(outcomes, st.permutations(range(RELAYS)))
def test_relabelling_relays_relabels_their_guilt(seen: list[tuple[list[int], bool]], order: list[int]) -> None:
    plain = infer([path for path, _ in seen], [fails for _, fails in seen], RELAYS)
    named = infer([[order[relay] for relay in path] for path, _ in seen], [fails for _, fails in seen], RELAYS)
    np.testing.assert_allclose(plain.mean, named.mean[order], rtol=1e-6)
    np.testing.assert_allclose(plain.high, named.high[order], rtol=1e-4, atol=1e-9)


def test_relays_that_always_fly_together_share_the_blame_with_wide_intervals() -> None:
    together = infer([[0, 1]] * 100, [True, False, False, False, False] * 20, 2)
    alone = infer([[0]] * 100, [True, False, False, False, False] * 20, 1)
    assert together.mean[0] == pytest.approx(together.mean[1])
    assert together.high[0] - together.low[0] > 1.3 * (alone.high[0] - alone.low[0])


def test_many_relays_have_the_curvature_of_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    paths, failed = [[0], [1], [1, 2]] * 60, [False, True, False] * 30 + [False] * 90
    exact = infer(paths, failed, 3)
    monkeypatch.setattr(module, "_MOST_EXACT", 2)
    rough = infer(paths, failed, 3)
    assert (rough.mean == exact.mean).all()
    assert (rough.high - rough.low <= exact.high - exact.low + 1e-9).all()
    assert rough.high[0] == pytest.approx(exact.high[0], rel=0.1)


@pytest.mark.parametrize(("bad", "recall"), [((0.2, 0.3), 0.9), ((0.1, 0.1), 0.5)])
def test_after_200_calls_a_relay_the_bad_are_known(bad: tuple[float, float], recall: float) -> None:
    hits = named = there = 0
    for seed in range(3):
        _, paths, failed = world(200, 200, bad, seed)
        found = infer(paths, failed, 200).culprits()
        hits, named, there = hits + int((found < 10).sum()), named + len(found), there + 10
    assert hits / named >= 0.95
    assert hits / there >= recall


def test_intervals_hold_the_truth_nine_times_in_ten() -> None:
    rate, paths, failed = world(200, 200, (0.2, 0.3), 3)
    guilt = infer(paths, failed, 200)
    assert ((guilt.low <= rate) & (rate <= guilt.high)).mean() > 0.9


def test_culprits_are_those_above_the_bar() -> None:
    guilt = infer([[0], [1]] * 50, [True, False] * 50, 2)
    assert guilt.culprits(bar=0.999).tolist() == []
    assert guilt.culprits(bar=0.0).tolist() == [0, 1]
    assert pytest.approx(0.08) == CULPRIT


@pytest.mark.parametrize(
    "wrong", [{"prior": (0.0, 1.0)}, {"leak": 0.0}, {"leak": 1.0}, {"confidence": 1.0}, {"confidence": 0.0}]
)
def test_what_cannot_be_inferred_from_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no paths to infer from"):
        infer([[0]], [True], 1, **wrong)  # type: ignore[arg-type]


def test_every_path_needs_its_outcome() -> None:
    with pytest.raises(ValueError, match=r"len\(paths\)=1, len\(failed\)=2"):
        infer([[0]], [True, False], 1)


def test_nothing_seen_leaves_the_prior() -> None:
    guilt = infer([], [], 2)
    np.testing.assert_allclose(guilt.mean, PRIOR[0] / sum(PRIOR))
    assert guilt.leak == pytest.approx(LEAK)


paths_of_names = st.lists(
    st.tuples(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True), st.booleans()), max_size=30
)


def taught(seen: list[tuple[list[str], bool]], **options: float) -> Blame:
    blame = Blame(**options)  # type: ignore[arg-type]
    for relays, failed in seen:
        blame.learn(relays, failed, 0.0)
    return blame


@given(paths_of_names, st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True))
def test_a_failure_is_laid_to_one_cause(seen: list[tuple[list[str], bool]], relays: list[str]) -> None:
    blame = taught(seen)
    shares = blame.shares(relays, True, 0.0)
    assert all(share > 0.0 for share in shares)
    assert sum(shares) < 1.0
    leak = -math.log1p(-LEAK)
    for relay, share in zip(relays, shares, strict=True):
        assert share / (1.0 - sum(shares)) == pytest.approx(-math.log1p(-blame.rate(relay, 0.0)) / leak)
    assert blame.shares(relays, False, 0.0) == (0.0,) * len(relays)


@given(paths_of_names, st.sampled_from("abcdef"))
def test_failing_alone_only_makes_a_relay_guiltier(seen: list[tuple[list[str], bool]], relay: str) -> None:
    blame = taught(seen)
    before = blame.rate(relay, 0.0)
    worse, better = pickle.loads(pickle.dumps(blame)), pickle.loads(pickle.dumps(blame))  # noqa: S301 - our own
    worse.learn([relay], True, 0.0)
    better.learn([relay], False, 0.0)
    assert better.rate(relay, 0.0) < before < worse.rate(relay, 0.0)


def test_a_path_counts_once_for_each_relay() -> None:
    blame = Blame(prior=(1.0, 9.0))
    share = blame.shares(["a", "b"], True, 0.0)[0]
    assert share == pytest.approx(math.log(0.9) / (2.0 * math.log(0.9) + math.log(1.0 - LEAK)))
    blame.learn(["a", "b"], True, 0.0)
    blame.learn(["a"], False, 0.0)
    assert blame.rate("a", 0.0) == pytest.approx((1.0 + share) / 12.0)
    assert blame.rate("b", 0.0) == pytest.approx((1.0 + share) / 11.0)


def test_what_was_learned_halves_in_a_half_life_and_the_past_magnifies_nothing() -> None:
    blame = taught([(["a"], False)] * 10, half_life=60.0, prior=(1.0, 1.0))
    assert blame.rate("a", 0.0) == pytest.approx(1.0 / 12.0)
    assert blame.rate("a", 60.0) == pytest.approx(1.0 / 7.0)
    assert blame.rate("a", -60.0) == blame.rate("a", 0.0)
    blame.learn(["a"], False, 60.0)
    assert blame.rate("a", 60.0) == pytest.approx(1.0 / 8.0)
    assert blame.rate("a", 120.0) == pytest.approx(1.0 / 5.0)
    blame.learn(["a"], False, 0.0)
    assert blame.rate("a", 60.0) == pytest.approx(1.0 / 9.0)


def test_the_relay_heard_of_longest_ago_makes_room() -> None:
    blame = taught([(["a"], False), (["b"], False), (["a"], False), (["c"], False)], capacity=2)
    assert blame.size == 2
    assert blame.rate("b", 0.0) == blame.rate("nobody", 0.0) == pytest.approx(PRIOR[0] / sum(PRIOR))
    assert blame.rate("a", 0.0) < blame.rate("c", 0.0) < blame.rate("b", 0.0)


def test_a_forgotten_relay_is_a_stranger() -> None:
    blame = taught([(["a", "b"], True)] * 5)
    before = blame.rate("b", 0.0)
    blame.forget("a")
    blame.forget("nobody")
    assert (blame.rate("a", 0.0), blame.rate("b", 0.0)) == (blame.rate("nobody", 0.0), before)


def test_learning_path_by_path_finds_the_bad_too() -> None:
    _, paths, failed = world(200, 200, (0.2, 0.3), 1)
    blame = Blame()
    for path, fails in zip(paths, failed, strict=True):
        blame.learn(path, fails, 0.0)
    found = [relay for relay in range(200) if blame.rate(relay, 0.0) > CULPRIT]
    assert len([relay for relay in found if relay < 10]) / max(1, len(found)) >= 0.95
    assert len([relay for relay in found if relay < 10]) >= 9


def test_relays_may_be_named_by_anything_hashable() -> None:
    for one, other in itertools.pairwise([1, "a", b"key", (1, 2)]):
        assert len(Blame().shares([one, other], True, 0.0)) == 2


@pytest.mark.parametrize(
    "wrong", [{"half_life": 0.0}, {"leak": 0.0}, {"leak": 1.0}, {"prior": (1.0, 0.0)}, {"capacity": 0}]
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"nobody to blame by: .*{next(iter(wrong))}="):
        Blame(**wrong)  # type: ignore[arg-type]
