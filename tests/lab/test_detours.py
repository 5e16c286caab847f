"""Detours over a third place, against triangles done by hand and against all paths tried one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from meshsim import scenario
from meshsim.lab.detours import Detours, best_detours, detours


def test_of_a_triangle_one_side_may_be_longer_than_the_other_two():
    best, violations = best_detours(np.array([[0.0, 10.0, 4.0], [10.0, 0.0, 5.0], [4.0, 5.0, 0.0]]))
    assert best[0, 1] == 9.0
    assert best[0, 2] == 15.0
    assert violations == pytest.approx(1 / 3)


def test_the_best_detour_is_the_least_of_all_that_there_are():
    half = np.random.default_rng(4).uniform(1.0, 2.0, (7, 7)) ** 3
    trip = np.triu(half, 1) + np.triu(half, 1).T
    best, violations = best_detours(trip)
    shorter = 0
    for a, b in itertools.permutations(range(7), 2):
        over = [trip[a, c] + trip[c, b] for c in range(7) if c not in (a, b)]
        assert best[a, b] == pytest.approx(min(over))
        shorter += sum(way < trip[a, b] for way in over)
    assert violations == pytest.approx(shorter / (7 * 6 * 5))


def test_distances_as_the_crow_flies_leave_nothing_to_gain():
    at = np.random.default_rng(5).uniform(0.0, 1.0, (20, 2))
    trip = np.linalg.norm(at[:, None] - at, axis=2)
    best, violations = best_detours(trip)
    off = ~np.eye(20, dtype=bool)
    assert violations == 0.0
    assert (best[off] >= trip[off]).all()


def test_a_place_on_the_route_saves_nothing():
    stops = np.cumsum(np.random.default_rng(6).uniform(0.01, 1.0, 30))
    best, violations = best_detours(np.abs(stops[:, None] - stops))
    first, last = np.triu_indices(30, 1)
    direct = stops[last] - stops[first]
    pairs = Detours(direct=direct, detour=best[first, last], distance=direct, violations=violations)
    assert violations == pairs.share() == 0.0


def test_pairs_of_a_backbone_are_counted_once_and_shares_fall_with_the_gain():
    found = detours(scenario.compile(scenario.load("demo"), 1).underlay)
    assert len(found.direct) == len(found.detour) == len(found.distance) == 24 * 23 / 2
    shares = [found.share(gain) for gain in (-1e9, 0.0, 0.1, 0.5, 1.0)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 1.0
    assert 0.0 < shares[1] < 1.0
