"""Background load: an Ornstein-Uhlenbeck process on the logit scale, in its stationary state from the first instant."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit

from meshsim.mesh.seeds import SeedTree
from meshsim.scenario.arrivals import Diurnal
from meshsim.scenario.network import Congestion, Drift
from meshsim.sim.drift import Background, Hours
from meshsim.testing import ProcessContract

K = 2000


def calm(**options: float) -> Drift:
    return Drift(congestion=Congestion(rate_per_edge_per_hour=0), **options)


def background(config: Drift, seed: int = 1, mean: float = 0.4, hours: Hours | None = None) -> Background:
    return Background(np.full(K, mean), config, SeedTree(seed), "drift.test", np.ones(K, dtype=bool), hours)


@given(
    volatility=st.floats(0.1, 1.5),
    reversion=st.floats(10, 500),
    period=st.floats(1, 100),
    mean=st.floats(0.05, 0.9),
    seed=st.integers(0, 10),
    steps=st.integers(0, 25),
)
@settings(max_examples=40, deadline=None)
def test_at_every_instant_the_logit_is_normal_around_the_mean(volatility, reversion, period, mean, seed, steps):
    load = background(calm(volatility=volatility, reversion=reversion, period=period), seed, mean)
    for _ in range(steps):
        load.step()
    found = stats.kstest(logit(load.utilisation), stats.norm(logit(mean), volatility).cdf)
    # one in 1e5 of right samples is worse; hypothesis tries forty
    assert found.pvalue > 1e-5


def test_a_wrong_volatility_is_found_out():
    load = background(calm(volatility=0.5))
    assert stats.kstest(logit(load.utilisation), stats.norm(logit(0.4), 0.4).cdf).pvalue < 1e-5


@pytest.mark.parametrize("lag", [1, 4, 12])
def test_what_is_remembered_fades_with_the_reversion(lag):
    load = background(calm(volatility=0.6, reversion=60, period=10))
    before = logit(load.utilisation)
    for _ in range(lag):
        load.step()
    found = np.corrcoef(before, logit(load.utilisation))[0, 1]
    assert found == pytest.approx(np.exp(-lag * 10 / 60), abs=4 / np.sqrt(K))


def test_congestion_covers_the_share_of_time_that_its_rate_and_length_make():
    config = Drift(volatility=0, period=2, congestion=Congestion(rate_per_edge_per_hour=12, duration=60))
    load, busy = background(config), []
    for step in range(400):
        load.step()
        if step >= 100:
            busy.append((load.utilisation > 0.5).mean())
    # an edge is free for 1 / rate and busy for the duration, in turns; a step of the clock rounds both up
    assert np.mean(busy) == pytest.approx(60 / (300 + 60), rel=0.06)


def test_load_follows_the_hours_of_its_place():
    diurnal = Diurnal(depth=0.6, peak=14)
    longitude = np.linspace(-180, 180, K, endpoint=False)
    hours = Hours(diurnal=diurnal, strength=1.0, longitude=longitude)
    load = background(calm(volatility=0, period=3600), hours=hours)
    for _ in range(5):
        load.step()
    assert load.utilisation == pytest.approx(expit(logit(0.4) + np.log(diurnal.factor(5 * 3600.0, longitude))))
    assert longitude[load.utilisation.argmax()] == pytest.approx((14 - 5) * 15.0, abs=0.2)


class TestHours(ProcessContract):
    clock: ClassVar = {"calls": {"rate": 0.5, "arrivals": {"diurnal": {"depth": 0, "weekend": 0, "period": 60}}}}
    off: ClassVar = {**clock, "underlay": {"drift": {"hours": 1.0}}}
    on: ClassVar = {
        "calls": {"rate": 0.5, "arrivals": {"diurnal": {"depth": 0.9, "period": 60}}},
        "underlay": {"drift": {"hours": 1.0}},
    }
    touches: ClassVar = frozenset({"calls"})
    streams: ClassVar = ("calls/activity",)
