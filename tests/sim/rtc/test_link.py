"""Links that change in time are the links of `meshsim.links`."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.links import IDLE, LinkParameters, step
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.sim.rtc.link import Carrier, TimedLink

SEEDS = SeedTree(5)


def carrier(*rows: tuple[float, LinkParameters], reorders: bool = False) -> Carrier:
    link = TimedLink(at=tuple(at for at, _ in rows), rows=tuple(row for _, row in rows), reorders=reorders)
    return Carrier(link, SEEDS, 3)


@settings(max_examples=40)
@given(
    offers=st.lists(st.tuples(st.floats(0.0, 0.05), st.floats(40.0, 1500.0)), min_size=1, max_size=40),
    loss=st.floats(0.0, 0.5),
    burst=st.floats(1.0, 5.0),
    jitter=st.floats(0.0, 0.02),
)
def test_a_link_that_never_changes_is_links_step(offers, loss, burst, jitter) -> None:
    row = LinkParameters(rate_bps=5e5, propagation=0.02, jitter=jitter, loss=loss, burst=burst, queue_bytes=6000.0)
    link, state, now = carrier((0.0, row)), IDLE, 0.0
    draws = {name: SEEDS.stream(f"rtc.{name}", 3) for name in ("loss", "jitter")}
    for n, (wait, size) in enumerate(offers):
        now += wait
        passage = step(now, size, draws["loss"].at(n), draws["jitter"].at(n), state, row.coefficients())
        state = passage.state
        assert link.carry(size, now) == pytest.approx(passage.arrival, abs=1e-9)


def test_what_waits_while_the_rate_falls_is_sent_at_the_rate_of_each_moment() -> None:
    fast, slow = (LinkParameters(rate_bps=rate, propagation=0.0) for rate in (1e6, 1e5))
    link = carrier((0.0, fast), (0.1, slow))
    arrivals = [link.carry(1250.0, 0.0) for _ in range(12)]
    assert arrivals[9] == pytest.approx(0.1)
    assert arrivals[10:] == pytest.approx([0.2, 0.3])
    assert link.carry(1250.0, 0.05) == pytest.approx(0.4)


def test_a_queue_holds_its_bytes_at_whatever_rate() -> None:
    fast, slow = (LinkParameters(rate_bps=rate, propagation=0.0, queue_bytes=5000.0) for rate in (1e6, 1e4))
    link = carrier((0.0, fast), (0.01, slow))
    assert [math.isfinite(link.carry(1000.0, 0.0)) for _ in range(6)] == [True] * 5 + [False]
    # 1,250 bytes have left by 0.01 s, 12.5 more by 0.02 s: 3,737.5 are held
    assert math.isfinite(link.carry(1262.0, 0.02))
    assert not math.isfinite(link.carry(1.0, 0.02))
    assert (link.offered, link.overflowed, link.lost) == (8, 2, 0)


def test_a_link_overtakes_only_if_it_may() -> None:
    row = LinkParameters(rate_bps=1e9, propagation=0.02, jitter=0.05)
    for reorders in (False, True):
        link = carrier((0.0, row), reorders=reorders)
        arrivals = [link.carry(100.0, 0.01 * n) for n in range(200)]
        assert (arrivals == sorted(arrivals)) is not reorders


@pytest.mark.parametrize("at", [(), (1.0,), (0.0, 2.0, 1.0), (0.0, 0.0)])
def test_rows_that_do_not_ascend_from_zero_are_refused(at) -> None:
    with pytest.raises(ConfigError, match="ascend"):
        TimedLink(at=at, rows=tuple(LinkParameters(rate_bps=1.0, propagation=0.0) for _ in at))
