from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from itertools import pairwise

import numba
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import IDLE, LinkParameters, LinkState, Passage, compiled, step
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree

unit = st.floats(0.0, 1.0, exclude_max=True)
parameters = st.builds(
    LinkParameters,
    rate_bps=st.floats(1e3, 1e10),
    propagation=st.floats(0.0, 1.0),
    jitter=st.floats(0.0, 0.1),
    loss=st.floats(0.0, 1.0),
    burst=st.floats(1.0, 50.0),
    queue_bytes=st.floats(0.0, 1e6),
    memory=st.floats(0.0, 1.0),
)
states = st.builds(
    LinkState,
    free_at=st.floats(0.0, 100.0),
    bad=st.booleans(),
    last_arrival=st.floats(0.0, 100.0),
    drawn_at=st.floats(0.0, 100.0),
    mood=st.floats(-8.0, 8.0),
)
times = st.floats(0.0, 100.0)
sizes = st.integers(1, 1500).map(float)

Step = Callable[..., Passage]


@pytest.fixture(scope="module")
def compiled_step() -> Step:
    return compiled(step, numba.njit)


@given(now=times, size=sizes, u=unit, v=unit, state=states, link=parameters)
def test_a_compiled_step_is_the_plain_one(
    compiled_step: Step, now: float, size: float, u: float, v: float, state: LinkState, link: LinkParameters
) -> None:
    arguments = (now, size, u, v, state, link.coefficients())
    assert compiled_step(*arguments) == step(*arguments)


@given(now=times, size=sizes, u=unit, v=unit, state=states, link=parameters)
def test_a_packet_is_delivered_after_propagation_or_lost_or_overflows(
    now: float, size: float, u: float, v: float, state: LinkState, link: LinkParameters
) -> None:
    passage = step(now, size, u, v, state, link.coefficients())
    assert passage.delivered == math.isfinite(passage.arrival)
    assert not (passage.delivered and passage.lost)
    if passage.delivered:
        assert passage.arrival >= max(now + link.propagation, state.last_arrival)
    else:
        drawn = passage.state
        assert drawn == state._replace(bad=drawn.bad, drawn_at=now, mood=drawn.mood)


def test_a_lost_packet_takes_no_place_in_the_queue() -> None:
    link = LinkParameters(rate_bps=1e6, propagation=0.0, loss=1.0).coefficients()
    passage = step(0.0, 1250.0, 0.5, 0.5, IDLE, link)
    assert (passage.lost, passage.state.free_at) == (True, -math.inf)


def test_a_full_queue_drops_without_a_loss_of_the_channel() -> None:
    link = LinkParameters(rate_bps=1e6, propagation=0.0, queue_bytes=2000.0).coefficients()
    first = step(0.0, 1250.0, 0.5, 0.5, IDLE, link)
    second = step(0.0, 1250.0, 0.5, 0.5, first.state, link)
    assert (first.delivered, second.delivered, second.lost) == (True, False, False)
    assert second.state == first.state


def test_a_packet_waits_for_the_one_before_it() -> None:
    link = LinkParameters(rate_bps=1e6, propagation=0.02).coefficients()
    first = step(0.0, 1250.0, 0.5, 0.5, IDLE, link)
    second = step(0.0, 1250.0, 0.5, 0.5, first.state, link)
    assert [first.arrival, second.arrival] == pytest.approx([0.03, 0.04])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate_bps", 0.0),
        ("propagation", -0.001),
        ("jitter", math.nan),
        ("loss", 1.01),
        ("burst", 0.5),
        ("queue_bytes", -1.0),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(ConfigError) as refused:
        LinkParameters(**({"rate_bps": 1e6, "propagation": 0.01} | {key: value}))
    assert refused.value.key == key


def test_parameters_and_states_are_plain_data() -> None:
    link = LinkParameters(rate_bps=1e6, propagation=0.01)
    assert pickle.loads(pickle.dumps((link, IDLE))) == copy.deepcopy((link, IDLE)) == (link, IDLE)  # noqa: S301 - our own


def delays(link: LinkParameters, packets: int, spacing: float) -> list[float]:
    """One-way delays of packets sent one after the other, by counter-based draws."""
    draws = SeedTree(1).stream("test/delays").uniform(0, 2 * packets)
    state, found = IDLE, []
    for n in range(packets):
        passage = step(n * spacing, 200.0, draws[2 * n], draws[2 * n + 1], state, link.coefficients())
        state = passage.state
        found.append(passage.arrival - n * spacing)
    return found


def test_jitter_with_memory_keeps_the_mean_that_jitter_without_it_exceeds() -> None:
    jitter, spacing = 0.012, 0.01
    forgetful, mindful = (
        LinkParameters(rate_bps=1e9, propagation=0.03, jitter=jitter, memory=memory) for memory in (0.0, 0.06)
    )
    expected = 0.03 + jitter
    assert sum(delays(forgetful, 20_000, spacing)) / 20_000 > 1.08 * expected
    assert sum(delays(mindful, 20_000, spacing)) / 20_000 == pytest.approx(expected, rel=0.03)


def test_packets_a_moment_apart_stray_alike_where_there_is_memory() -> None:
    link = LinkParameters(rate_bps=1e9, propagation=0.03, jitter=0.01, memory=0.5)
    found = delays(link, 5_000, 0.01)
    steps = [abs(b - a) for a, b in pairwise(found)]
    assert sum(steps) / len(steps) < 0.3 * 0.01
    assert max(found) - min(found) > 3 * 0.01
