"""When calls come: by their callers' hour, in crowds, within circles of acquaintances; and how long they last."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from meshsim import scenario
from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import Scenario
from meshsim.scenario.arrivals import Diurnal

sys.path.insert(0, str(Path(__file__).parent))
from chance import agree
from plans import digest

DAY = 86400.0
GRID = {"topology": {"generator": "grid", "rows": 2, "columns": 6, "spacing": "900 km"}}
WORLD = {"nodes": {"count": 60, "roles": {"relay": 4, "super_node": 0}, "scatter": 0}, "underlay": GRID}


def plan(until: float = DAY, seed: int = 1, rate: float = 0.2, **calls: object) -> scenario.Plan:
    said = {**WORLD, "duration": until, "warmup": 0, "calls": {"rate": rate, **calls}}
    return scenario.compile(Scenario.model_validate(said), seed)


def hours(found: scenario.Plan, callers: np.ndarray) -> np.ndarray:
    """Local hour of each call's caller."""
    return (found.calls.start / 3600.0 + found.nodes.longitude[callers] / 15.0) % 24.0


# Hours ----------------------------------------------------------------------------------------------------------------


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 24), st.floats(0, 168), st.floats(-180, 180))
def test_over_a_week_the_factor_has_mean_one_and_never_exceeds_its_bound(depth, weekend, peak, starts, longitude):
    diurnal = Diurnal(depth=depth, weekend=weekend, peak=peak, starts=starts)
    factor = diurnal.factor((np.arange(7 * 480) + 0.5) * DAY / 480, longitude)
    # the weekend begins and ends at the same hour, so that the days' waves cancel out
    assert factor.mean() == pytest.approx(1.0, abs=1e-3)
    assert factor.min() >= 0.0
    assert factor.max() <= diurnal.most + 1e-9


def test_the_quietest_hour_has_as_many_fewer_calls_as_asked_and_the_busiest_is_where_asked():
    diurnal = Diurnal(depth=0.45, peak=14.0)
    hour = np.arange(0, 24, 0.25)
    factor = diurnal.factor(hour * 3600.0, 0.0)
    assert factor.min() / factor.max() == pytest.approx(0.55)
    assert hour[factor.argmax()] == 14.0
    assert hour[diurnal.factor(hour * 3600.0, 90.0).argmax()] == 8.0  # the sun is six hours ahead there


def test_callers_call_by_their_own_clock():
    for seed in (1, 2, 3):
        found = plan(seed=seed, arrivals={"diurnal": {"depth": 0.8, "peak": 14}})
        local = hours(found, found.calls.caller)
        expected = Diurnal(depth=0.8, peak=14).factor((np.arange(24) + 0.5) * 3600.0, 0.0)
        counts = np.histogram(local, bins=np.arange(25))[0]
        assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 0.01
        # and by no other: the same counts are far from even, which is what a flat day would bring
        assert stats.chisquare(counts).pvalue < 1e-9
        assert len(local) == pytest.approx(0.2 * DAY, rel=0.04)


def test_weekends_are_quieter_by_the_share_asked():
    found = plan(7 * DAY, rate=0.05, arrivals={"diurnal": {"weekend": 0.4}})
    day = np.floor(found.calls.start / DAY + found.nodes.longitude[found.calls.caller] / 360.0) % 7
    per_day = np.bincount(day.astype(int), minlength=7)
    assert per_day[5:].mean() / per_day[:5].mean() == pytest.approx(0.6, abs=0.04)
    assert len(day) == pytest.approx(0.05 * 7 * DAY, rel=0.03)


def test_flat_hours_keep_every_call_as_it_was():
    plain, said = (
        plan(),
        plan(arrivals={"diurnal": {"depth": 0, "peak": 3, "starts": 99}, "crowds": [{"at": 5, "factor": 1}]}),
    )
    assert digest(plain.calls) == digest(said.calls)


# Crowds ---------------------------------------------------------------------------------------------------------------


def test_a_crowd_adds_calls_and_changes_none():
    crowd = {"at": 3600, "duration": 1800, "factor": 6}
    plain, busy = plan(3 * 3600), plan(3 * 3600, arrivals={"crowds": [crowd]})
    added = ~np.isin(busy.calls.start, plain.calls.start)
    assert np.isin(plain.calls.start, busy.calls.start).all()
    assert added.sum() == pytest.approx(5 * 0.2 * 1800, abs=5 * np.sqrt(1800))
    assert ((busy.calls.start[added] >= 3600) & (busy.calls.start[added] < 5400)).all()


def test_a_crowd_grows_and_ebbs_along_its_ramps():
    crowd = {"at": 1000, "duration": 4000, "factor": 21, "ramp": 1000}
    starts = [plan(6000, seed, arrivals={"crowds": [crowd]}).calls.start for seed in range(4)]
    plain = [plan(6000, seed).calls.start for seed in range(4)]
    added = np.concatenate([a[~np.isin(a, b)] for a, b in zip(starts, plain, strict=True)]) - 1000

    def trapezoid(t: np.ndarray) -> np.ndarray:
        area = np.where(t < 1000, t**2 / 2000, np.where(t < 3000, t - 500, 3000 - (4000 - t) ** 2 / 2000))
        return area / 3000

    assert stats.kstest(added, trapezoid).pvalue > 0.01
    assert stats.kstest(added, stats.uniform(0, 4000).cdf).pvalue < 1e-6


def test_a_regional_crowd_calls_from_there_and_a_crowd_with_a_callee_calls_him():
    crowd = {"at": 0, "duration": 3600, "factor": 30, "centre": 0, "radius": "1000 km", "callee": "@peer-003.aura"}
    plain, busy = plan(3600), plan(3600, arrivals={"crowds": [crowd]})
    added = np.flatnonzero(~np.isin(busy.calls.start, plain.calls.start))
    assert len(added) > 300
    topology = busy.underlay.topology
    callers = busy.calls.caller[added]
    away = geo.distance(
        topology.latitude[0], topology.longitude[0], busy.nodes.latitude[callers], busy.nodes.longitude[callers]
    )
    assert away.max() <= 1000e3
    assert {busy.calls.callee[i] for i in added} == {"@peer-003.aura"}
    assert "@peer-003.aura" not in {busy.nodes.auras[i] for i in callers}


# Whom -----------------------------------------------------------------------------------------------------------------


def spans(found: scenario.Plan) -> np.ndarray:
    ends = found.calls.caller, found.calls.callee_node
    a, b = ((found.nodes.latitude[e], found.nodes.longitude[e]) for e in ends)
    return geo.distance(*a, *b)


def test_local_calls_stay_near_and_the_others_go_anywhere():
    near, far = (spans(plan(20_000, locality={"share": share, "radius": "1000 km"})) <= 1000e3 for share in (0.8, 0.0))
    assert near.mean() == pytest.approx(0.8 + 0.2 * far.mean(), abs=0.03)


def test_people_call_their_acquaintances_only_and_never_themselves():
    found = plan(50_000, locality={"acquaintances": 4, "share": 0.5})
    called: dict[int, set[str]] = {}
    for caller, callee in zip(found.calls.caller.tolist(), found.calls.callee, strict=True):
        called.setdefault(caller, set()).add(callee)
        assert found.nodes.auras[caller] != callee
    assert max(len(whom) for whom in called.values()) <= 4
    assert np.mean([len(whom) for whom in called.values()]) > 3


# How long -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "law"),
    [
        ("skype", stats.lognorm(1.74, scale=170.0)),
        ("pstn", stats.expon(scale=180.0)),
        ({"law": "exponential", "median": "1 min"}, stats.expon(scale=60.0 / np.log(2))),
        ({"median": 70, "sigma": 0.8}, stats.lognorm(0.8, scale=70.0)),
    ],
)
def test_calls_last_as_their_law_says(said, law):
    lengths = [plan(9000, seed, duration=said).calls.duration for seed in range(8)]
    assert agree(lengths, law.cdf)
    assert not agree([1.1 * each for each in lengths], law.cdf)


def test_fixed_calls_are_all_alike():
    assert set(plan(2000, duration={"law": "fixed", "median": 33}).calls.duration) == {33.0}


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "key", "told"),
    [
        ("calls.arrivals={crowds: [{at: 5, duration: 10 s, ramp: 6 s}]}", "calls.arrivals.crowds.0", "two ramps"),
        ("calls.arrivals={crowds: [{at: 5, callee: '@nobody.aura'}]}", "calls.arrivals.crowds.0.callee", "nobody"),
        ("calls.arrivals={crowds: [{at: 5, centre: Atlantis}]}", "calls.arrivals.crowds.0.centre", "Atlantis"),
        ("calls.arrivals={crowds: [{at: 5, centre: 5000}]}", "calls.arrivals.crowds.0.centre", "no place 5000"),
        ("calls.arrivals={crowds: [{at: 5, factor: 0.5}]}", "calls.arrivals.crowds.0.factor", ">= 1"),
        ("calls.duration=pstm", "calls.duration", "pstn"),
    ],
)
def test_what_cannot_be_is_refused_by_key(override, key, told):
    with pytest.raises(ConfigError) as refused:
        scenario.load("demo", [override])
    assert refused.value.key == key
    assert told in str(refused.value)


def test_the_most_calls_of_a_scenario_are_those_of_its_peak():
    rate = 4e6 / 86400
    scenario.load("demo", [f"calls.rate={rate}", "duration=1 d"])
    for more in ("{diurnal: {depth: 0.9}}", "{crowds: [{at: 0, duration: 12 h, factor: 2}]}"):
        with pytest.raises(ConfigError, match="calls are too many"):
            scenario.load("demo", [f"calls.rate={rate}", "duration=1 d", f"calls.arrivals={more}"])
