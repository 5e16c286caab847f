from __future__ import annotations

import copy
import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.seeds import SeedTree

seeds = st.integers(-(2**70), 2**70)
names = st.text(max_size=10)
draws = st.integers(0, 10_000)


@given(seeds, names, draws, st.integers(1, 40), st.integers(0, 39))
def test_the_nth_draw_is_a_function_of_n(seed: int, name: str, n: int, size: int, place: int) -> None:
    stream = SeedTree(seed).stream(name, 3)
    block = stream.uniform(n, size)
    assert block.shape == (size,)
    assert ((block >= 0.0) & (block < 1.0)).all()
    assert block[place % size] == stream.at(n + place % size)


@given(seeds, names, st.integers(0, 1000))
def test_the_same_seed_name_and_entity_give_the_same_stream(seed: int, name: str, entity: int) -> None:
    one, other = SeedTree(seed).stream(name, entity), SeedTree(seed).stream(name, entity)
    assert one == other == pickle.loads(pickle.dumps(copy.deepcopy(one)))  # noqa: S301 - our own
    assert (one.generator().random(5) == other.generator().random(5)).all()


def test_streams_of_other_names_entities_and_seeds_are_unrelated() -> None:
    streams = [
        SeedTree(seed).stream(name, entity).uniform(0, 4000)
        for seed in (1, 2)
        for name in ("churn", "calls")
        for entity in (0, 1, 12)
    ]
    correlation = np.corrcoef(np.stack(streams)) - np.eye(len(streams))
    assert np.abs(correlation).max() < 0.08  # 5 standard deviations of 4000 independent pairs


def test_names_and_entities_do_not_run_into_each_other() -> None:
    tree = SeedTree(1)
    assert len({tree.stream("a", 11).key, tree.stream("a1", 1).key, tree.stream("a/1", 1).key}) == 3


def test_draws_are_uniform() -> None:
    x = SeedTree(7).stream("uniform").uniform(0, 100_000)
    counts, _ = np.histogram(x, bins=100, range=(0.0, 1.0))
    assert ((counts - 1000.0) ** 2 / 1000.0).sum() < 148.2  # chi-square, 99 degrees of freedom, 0.1 %


def test_a_trees_generator_is_its_streams_and_fresh_each_time() -> None:
    tree = SeedTree(5)
    first = tree.generator("churn", 2)
    first.random(100)
    assert tree.generator("churn", 2).random() == tree.stream("churn", 2).generator().random()


def test_values_are_the_same_on_every_machine_and_version() -> None:
    golden = [0.042516912602958645, 0.23584433784034642, 0.5360606594196327]
    assert SeedTree(1).stream("churn", 7).uniform(0, 3).tolist() == golden
