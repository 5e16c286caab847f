"""Google congestion control: what the delay, the losses and the arriving rate make of the sending rate."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.rtc.gcc import BETA, ETA, Capacity, Gcc, Trendline, Usage

STEP = 0.05
SIZE = 300.0


def talk(control, *, seconds, delay, lost=0.0, until=None, start=0.0, rtt=0.1):
    """Reports of a sender at its own rate, whose packets take `delay(t)` seconds; returns the rates and the time."""
    rates, t = [], start
    count = 0
    while t < start + seconds:
        packets = max(int(control.rate * STEP / 8 / SIZE), 1)
        sent = t + np.arange(packets) * STEP / packets
        arrived = sent + np.array([delay(at) for at in sent])
        number = count + np.arange(packets)
        arrived[np.floor((number + 1) * lost) > np.floor(number * lost)] = np.nan
        count += packets
        t += STEP
        rates.append(control.feedback(sent, arrived, np.full(packets, SIZE), t + rtt / 2, rtt))
        if until is not None and until(control):
            break
    return np.array(rates), t


def test_on_a_quiet_path_the_rate_grows_by_eight_percent_a_second_up_to_its_most():
    control = Gcc(300e3, 50e3, 2e6)
    rates, _ = talk(control, seconds=5.0, delay=lambda _: 0.05)
    growth = (rates[-1] / rates[20]) ** (1 / ((len(rates) - 21) * STEP))
    assert ETA - 0.005 < growth < ETA + 0.01
    rates, _ = talk(control, seconds=40.0, delay=lambda _: 0.05, start=5.0)
    assert rates[-1] == 2e6


def test_a_queue_that_builds_up_lowers_the_rate_to_most_of_what_arrives():
    control = Gcc(1e6, 50e3, 2e6)
    talk(control, seconds=3.0, delay=lambda _: 0.05)
    before = control.rate
    grows = lambda t: 0.05 + 0.15 * (t - 3.0)  # noqa: E731 - 150 ms of queue a second
    talk(control, seconds=2.0, delay=grows, start=3.0, until=lambda control: control.rate < 0.95 * before)
    assert control.detector.usage is Usage.OVER
    assert control.rate == pytest.approx(BETA * control.arriving(), rel=0.02)


def test_a_queue_that_drains_holds_the_rate():
    control = Gcc(1e6, 50e3, 2e6)
    talk(control, seconds=2.0, delay=lambda _: 0.3)
    drains = lambda t: 0.3 - 0.1 * (t - 2.0)  # noqa: E731 - 100 ms of queue less each second
    under = lambda control: control.detector.usage is Usage.UNDER  # noqa: E731 - read at once
    _, t = talk(control, seconds=2.0, delay=drains, start=2.0, until=under)
    before = control.delay_rate
    talk(control, seconds=0.2, delay=drains, start=t)
    assert control.detector.usage is Usage.UNDER
    assert control.delay_rate == before


@pytest.mark.parametrize(("lost", "sign"), [(0.0, 1), (0.05, 0), (0.3, -1)])
def test_losses_raise_hold_or_lower_the_rate(lost, sign):
    control = Gcc(1e6, 50e3, 2e6)
    talk(control, seconds=4.0, delay=lambda _: 0.05)
    before = control.loss_rate
    talk(control, seconds=3.0, delay=lambda _: 0.05, lost=lost, start=4.0)
    assert np.sign(round(control.loss_rate - before)) == sign


def test_the_threshold_follows_large_slopes_up_slowly_and_small_ones_down_fast_within_its_bounds():
    calm = Trendline()
    for k in range(400):
        calm.add(0.0, 0.033, 0.033 * k)
    assert calm.threshold == 6.0
    steep = Trendline()
    for k in range(400):
        steep.add(0.0022, 0.033, 0.033 * k)  # a slope of 1/15: 16 ms as it is compared
    assert 12.5 < steep.threshold < 16.5
    spiky = Trendline()
    for k in range(400):
        spiky.add(0.02, 0.033, 0.033 * k)  # far beyond the threshold: no new normal
    assert spiky.threshold == 6.0  # it fell while there was too little to tell a slope, and stayed


def test_capacity_is_the_mean_of_what_arrived_at_overuse():
    capacity = Capacity()
    assert not capacity.known
    for sample in (1000.0, 1000.0, 1100.0):
        capacity.add(sample)
    assert capacity.estimate == pytest.approx(1005.0)
    assert capacity.spread > 0


@given(
    st.lists(
        st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 1.0), st.integers(1, 30), st.floats(0.001, 2.0)),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_fed_back_the_rate_stays_within_its_bounds(reports):
    control, t = Gcc(300e3, 100e3, 1.5e6), 0.0
    for delay, lost, packets, rtt in reports:
        sent = t + np.sort(np.linspace(0.0, STEP, packets))
        arrived = sent + delay
        arrived[: int(lost * packets)] = np.nan
        t += STEP
        assert 100e3 <= control.feedback(sent, arrived, np.full(packets, 1000.0), t + rtt, rtt) <= 1.5e6


def test_a_copy_and_a_pickle_go_on_as_the_original_does():
    control = Gcc()
    talk(control, seconds=3.0, delay=lambda t: 0.05 + 0.01 * np.sin(9 * t))
    others = copy.deepcopy(control), pickle.loads(pickle.dumps(control))  # noqa: S301 - our own
    told = [talk(one, seconds=2.0, delay=lambda t: 0.05 + 0.02 * t, start=3.0)[0] for one in (control, *others)]
    assert np.array_equal(told[0], told[1])
    assert np.array_equal(told[0], told[2])


def test_rates_out_of_order_are_refused():
    with pytest.raises(ValueError, match="in order"):
        Gcc(100e3, 200e3, 300e3)
