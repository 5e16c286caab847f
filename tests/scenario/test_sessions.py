"""Laws of sessions: what is drawn follows them, episodes begin in their stationary state, ages are read as ages."""

from __future__ import annotations

import gzip
import math
import os
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats
from scipy.special import gammainc

from meshsim import scenario
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.scenario.lengths import DATA, of_ages, read_ages
from meshsim.scenario.sessions import (
    NAMED,
    Churn,
    Exponential,
    Law,
    LogNormal,
    Measured,
    Mixed,
    Pareto,
    SessionLaw,
    Weibull,
)
from meshsim.scenario.sessions import renewals as lives

sys.path.insert(0, str(Path(__file__).parent))
from chance import agree

SEEDS = range(20)
DRAWS = 600
LAWS = {
    **NAMED,
    "exponential": Exponential(mean=300.0),
    "pareto": Pareto(alpha=2.5, least=60.0),
    "steep": Weibull(shape=2.0, scale=100.0),
    "fixed": LogNormal(median=60.0, sigma=0.05),
}


def distribution(law: Law):
    """F, said independently of the drawing."""
    if isinstance(law, Exponential):
        return stats.expon(scale=law.mean).cdf
    if isinstance(law, Weibull):
        return stats.weibull_min(law.shape, scale=law.scale).cdf
    if isinstance(law, Pareto):
        return stats.pareto(law.alpha, scale=law.least).cdf
    if isinstance(law, LogNormal):
        return stats.lognorm(law.sigma, scale=law.median).cdf
    assert isinstance(law, Mixed)
    parts = list(zip(law.shares, law.means, strict=True))
    return lambda x: sum(share * -np.expm1(-np.asarray(x) / mean) for share, mean in parts)


def equilibrium(law: Law):
    """The integral of 1 - F over the mean, in closed form where it has one."""
    if isinstance(law, Exponential):
        return distribution(law)
    if isinstance(law, Weibull):
        return lambda x: gammainc(1.0 / law.shape, (np.asarray(x) / law.scale) ** law.shape)
    if isinstance(law, Pareto):
        return lambda x: np.where(
            x < law.least,
            x / law.expected,
            1.0 - (law.least / np.maximum(x, law.least)) ** (law.alpha - 1.0) / law.alpha,
        )
    if isinstance(law, LogNormal):
        longer = stats.lognorm(law.sigma, scale=law.median * math.exp(law.sigma**2))
        return lambda x: longer.cdf(x) + np.asarray(x) / law.expected * (1.0 - distribution(law)(x))
    assert isinstance(law, Mixed)
    parts = [(s * m / law.expected, m) for s, m in zip(law.shares, law.means, strict=True)]
    return lambda x: sum(share * -np.expm1(-np.asarray(x) / mean) for share, mean in parts)


def follows(draw, cdf) -> bool:
    """Whether what is drawn, for each seed, agrees with a distribution function."""
    generators = [SeedTree(seed).generator("test") for seed in SEEDS]
    return agree([[draw(generator) for _ in range(DRAWS)] for generator in generators], cdf)


@pytest.mark.parametrize("name", LAWS)
def test_sessions_follow_their_law_and_what_is_left_of_them_its_equilibrium(name):
    law = LAWS[name]
    assert follows(law.draw, distribution(law))
    assert follows(law.residual, equilibrium(law))


@pytest.mark.parametrize("name", ["bittorrent", "p2p_viewer", "mesh_router", "pareto"])
def test_a_wrong_law_is_found_out(name):
    law = LAWS[name]
    assert not follows(lambda draws: 1.1 * law.draw(draws), distribution(law))
    # to begin with a whole new session is the mistake that the equilibrium is there to avoid
    assert not follows(law.draw, equilibrium(law))


def test_the_mean_that_a_law_tells_is_that_of_its_draws():
    for name, law in LAWS.items():
        draws = SeedTree(1).generator("mean")
        # the biased draw has finite moments that the plain one lacks: E[1 / biased] = 1 / E[X]
        inverse = np.array([1.0 / law.biased(draws) for _ in range(4000)])
        error = inverse.std() / math.sqrt(len(inverse))
        assert abs(inverse.mean() - 1.0 / law.expected) < 5 * error, name


def test_a_node_is_up_as_often_at_the_start_as_at_any_time():
    up, down = Weibull(shape=0.5, scale=300.0), LogNormal(median=200.0, sigma=1.0)
    share = up.expected / (up.expected + down.expected)
    online = np.zeros(4)
    instants, nodes = (0.0, 500.0, 2000.0, 5000.0), 3000
    for node in range(nodes):
        changes = list(lives(up, down, SeedTree(3).generator("churn", node), 6000.0))
        for i, t in enumerate(instants):
            before = [kind for at, kind in changes if at <= t]
            online[i] += not before or before[-1] == "up"
    assert np.abs(online / nodes - share).max() < 4 * math.sqrt(share * (1 - share) / nodes)


def test_a_longer_life_begins_like_a_shorter_one_and_alternates():
    up, down = NAMED["p2p_viewer"], Exponential(mean=60.0)
    long = list(lives(up, down, SeedTree(1).generator("a"), 50_000.0))
    short = list(lives(up, down, SeedTree(1).generator("a"), 9_000.0))
    assert long[: len(short)] == short
    assert all(a[1] != b[1] for a, b in pairwise(long))
    assert (np.diff([at for at, _ in long]) > 0).all()


# Goodbyes -------------------------------------------------------------------------------------------------------------


@given(goodbye=st.floats(0.0, 1.0), notice=st.floats(0.1, 300.0), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_goodbyes_move_no_departure_and_fall_between_coming_and_leaving(goodbye, notice, seed):
    churn = Churn(session_mean=60.0, downtime_mean=20.0, goodbye=goodbye, notice=notice)
    silent = Churn(session_mean=60.0, downtime_mean=20.0)
    told, short = (list(churn.lives("n", SeedTree(seed), until)) for until in (1000.0, 500.0))
    assert told[: len(short)] == short
    moves = [move for move in told if move[1] != "goodbye"]
    assert moves == list(silent.lives("n", SeedTree(seed), 1000.0))
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    for before, (at, kind), after in zip([(0.0, "up"), *told], told, [*told[1:], (math.inf, "down")], strict=False):
        if kind == "goodbye":
            assert (before[1], after[1]) == ("up", "down")
            assert before[0] < at < after[0]
            assert after[0] == math.inf or after[0] - at <= notice * (1 + 1e-9)


def test_as_many_departures_are_announced_as_was_said():
    churn = Churn(session_mean=60.0, downtime_mean=20.0, goodbye=0.3)
    kinds = [kind for node in range(200) for _, kind in churn.lives(f"n{node}", SeedTree(1), 1000.0)]
    announced, departures = kinds.count("goodbye"), kinds.count("down")
    # 5 standard errors, and the few who are away at the start have not left
    assert abs(announced / departures - 0.3) < 5 * math.sqrt(0.3 * 0.7 / departures) + 0.25 * 200 / departures * 0.3


# What may be said -----------------------------------------------------------------------------------------------------


def law_of(value: object) -> Law:
    found: Law = TypeAdapter(SessionLaw).validate_python(value)
    return found


def test_laws_are_said_by_name_or_by_their_parameters():
    assert law_of("skype_relay") == NAMED["skype_relay"]
    assert law_of({"law": "weibull", "shape": 0.6, "scale": "4 h"}) == NAMED["bittorrent"]
    assert law_of({"law": "exponential", "mean": "20 min"}).expected == 1200.0


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("churn.session=skype_rely", "skype_relay"),
        ("churn.session={law: weibul, shape: 1, scale: 5 min}", "weibull"),
        ("churn.session={shape: 1, scale: 5 min}", "the key 'law' is missing"),
        ("churn.session={law: pareto, alpha: 0.9, least: 1 min}", "no finite mean"),
        ("churn.session={law: pareto, alpha: 1, least: 1 min}", "no stationary start"),
        ("churn.session={law: weibull, shape: 1, scale: 0.2}", "mean length is 0.2 s"),
        ("churn.downtime={law: mixed, shares: [0.5, 0.4], means: [1 min, 2 min]}", "sum to 0.9"),
        ("churn.downtime={law: mixed, shares: [1], means: [1 min, 2 min]}", "1 shares and 2 means"),
        ("churn.session={law: trace, file: nowhere.csv}", "no file 'nowhere.csv'"),
        ("churn.session={law: weibull, shape: 1, scael: 5 min}", "scael"),
        ("churn.goodbye=1.5", "allowed: <= 1"),
        ("churn.notice=0", "allowed: > 0"),
        ("churn.goodby=1", "goodbye"),
    ],
)
def test_laws_that_are_none_are_refused_by_name(override, told):
    with pytest.raises(ConfigError) as refused:
        scenario.load("tiny", [override])
    assert told in str(refused.value)
    assert (refused.value.key or "").startswith("churn.")


def test_a_scenario_survives_its_canonical_text():
    loaded = scenario.load("tiny", ["churn.session=ipfs", "churn.downtime={law: pareto, alpha: 3, least: 1 min}"])
    assert scenario.Scenario.model_validate_json(scenario.canonical(loaded)) == loaded


def test_presence_of_a_law_changes_faults_alone():
    plain, other = (
        scenario.compile(scenario.load("demo", ["churn.enabled=true", *o]), 1)
        for o in ([], ["churn.session=stutzbach"])
    )
    assert not np.array_equal(plain.faults.at, other.faults.at)
    assert np.array_equal(plain.calls.start, other.calls.start)


# Measured lengths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_measured_lengths_come_as_often_as_in_the_file(suffix, tmp_path):
    path = tmp_path / f"lengths{suffix}"
    text = "node,minutes\na,1\nb,2\nc,\nd,2\ne,5\n"
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    law = law_of({"law": "trace", "file": str(path), "column": "minutes", "unit": "min"})
    assert law.expected == 150.0
    draws = [law.draw(SeedTree(seed).generator("x")) for seed in range(800)]
    assert np.bincount(np.array(draws, dtype=int))[[60, 120, 300]] / 800 == pytest.approx([0.25, 0.5, 0.25], abs=0.06)
    biased = [law.biased(SeedTree(seed).generator("x")) for seed in range(800)]
    assert np.bincount(np.array(biased, dtype=int))[[60, 120, 300]] / 800 == pytest.approx([0.1, 0.4, 0.5], abs=0.06)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no lengths"),
        ("5\nx\n", "line 2: not a length: 'x'"),
        ("5\n-1\n", "line 2"),
        ("0\n", "no lengths"),
        ("\x00", "(NUL|no lengths|not a length)"),
    ],
)
def test_files_without_lengths_are_refused_by_line(content, told, tmp_path):
    path = tmp_path / "lengths.csv"
    path.write_text(content)
    with pytest.raises(ValidationError, match=told):
        law_of({"law": "trace", "file": str(path)})


def test_a_damaged_file_of_lengths_is_refused(tmp_path):
    path = tmp_path / "lengths.csv.gz"
    whole = bytearray(gzip.compress(b"5\n" * 5000))
    whole[12:16] = b"\xff" * 4
    path.write_bytes(bytes(whole))
    with pytest.raises(ValidationError, match="cannot be read"):
        law_of({"law": "trace", "file": str(path)})


@pytest.mark.parametrize("name", ["bittorrent", "p2p_viewer", "bitcoin"])
def test_lengths_found_from_ages_bring_those_ages_back(name):
    law = NAMED[name]
    ages = np.sort([law.residual(SeedTree(1).generator("age", i)) for i in range(4000)])
    lengths, chance = of_ages(ages)
    assert chance.sum() == pytest.approx(1.0)
    assert (chance >= 0).all()
    # the ages that sessions so drawn would have, against those that were seen
    mean = lengths @ chance
    seen = np.quantile(ages, [0.25, 0.5, 0.75, 0.9])
    implied = [np.minimum(lengths, x) @ chance / mean for x in seen]
    assert implied == pytest.approx([0.25, 0.5, 0.75, 0.9], abs=0.03)
    # read as lengths they would last far too long
    assert ages.mean() > 1.5 * law.expected


data = os.environ.get("MESHSIM_DATA_DIR")


@pytest.mark.skipif(not data, reason="measured data are not here")
@pytest.mark.parametrize(
    ("name", "fit", "distance"), [("mesh_router_uptime", "mesh_router", 0.144), ("bitnodes_2022", "bitcoin", 0.037)]
)
def test_named_laws_of_measured_ages_are_as_far_from_them_as_the_docs_say(name, fit, distance):
    known = DATA[name]
    rows = np.genfromtxt(
        Path(data) / known.path, delimiter=",", names=True, dtype=None, encoding="utf-8", usecols=[known.column]
    )
    ages = rows[known.column].astype(float) * 3600.0
    ages = np.sort(ages[(ages > 0) & (ages <= known.most)])
    assert read_ages(name) == pytest.approx(ages)
    assert stats.kstest(ages, equilibrium(NAMED[fit])).statistic == pytest.approx(distance, abs=0.01)
    measured = Measured(file=name)
    assert measured.expected < 0.7 * ages.mean()


def test_a_file_that_is_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "lengths.csv"
    for length in (100, 200):
        path.write_text(f"{length}\n")
        os.utime(path, ns=(length, length))
        assert law_of({"law": "trace", "file": str(path)}).expected == length
