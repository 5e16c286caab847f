from __future__ import annotations

import math
from typing import get_args

import pytest

from meshsim.links import JITTERS
from meshsim.mesh.errors import ConfigError
from meshsim.sim.kernel.network import Arrivals, DelayKind, Jitter, Loss, PacketLink, Queue, Sizes


@pytest.mark.parametrize(
    ("times", "values"),
    [
        ((0.0,), (1e6,)),
        ((1.0, 2.0), (1e6, 0.0)),
        ((0.0, 0.0), (1e6, 0.0)),
        ((0.0, 2.0, 1.0), (1e6, 1e6, 0.0)),
        ((0.0, math.nan, 1.0), (1e6, 1e6, 0.0)),
        ((0.0, math.inf), (1e6, 0.0)),
        ((0.0, 1.0), (1e6,)),
        ((0.0, 1.0), (-1.0, 0.0)),
        ((0.0, 1.0), (math.nan, 0.0)),
    ],
)
def test_a_rate_trace_that_cannot_be_repeated_is_refused(times: tuple[float, ...], values: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="rate_"):
        PacketLink(rate_bps=1e6, rate_trace=times, rate_values=values)


def test_a_rate_trace_may_be_silent_at_times() -> None:
    assert PacketLink(rate_bps=1e6, rate_trace=(0.0, 1.0, 2.0), rate_values=(0.0, 1e6, 0.0)).rate_values[0] == 0.0


def test_traces_hold_what_they_say_they_hold() -> None:
    with pytest.raises(ConfigError, match=r"loss\.trace"):
        Loss(kind="trace", trace=(0, 2))
    with pytest.raises(ConfigError, match=r"jitter\.trace"):
        Jitter(kind="trace", trace=(0.01, -0.01))


@pytest.mark.parametrize("wrong", [{"quantum": 0.5}, {"buckets": 0}, {"interval": 0.0}])
def test_rounds_that_would_serve_next_to_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="queue"):
        Queue(kind="fq_codel", **wrong)


@pytest.mark.parametrize(
    "red", [(5.0, 4.0, 0.1, 0.1), (-1.0, 4.0, 0.1, 0.1), (1.0, 4.0, 1.5, 0.1), (1.0, 4.0, 0.1, 3.0), (math.nan,) * 4]
)
def test_bounds_and_shares_that_red_cannot_work_with_are_refused(red: tuple[float, float, float, float]) -> None:
    with pytest.raises(ConfigError, match=r"queue\.red"):
        Queue(kind="red", red=red)


def test_red_is_refused_where_there_are_several_servers() -> None:
    with pytest.raises(ConfigError, match="servers"):
        PacketLink(rate_bps=1e6, servers=2, queue=Queue(kind="red"))


@pytest.mark.parametrize("size", [0.0, -1.0, math.inf, math.nan])
def test_a_packet_has_a_size_between_nothing_and_infinity(size: float) -> None:
    for sizes in ({"mean": size}, {"kind": "each", "values": (100.0, size)}):
        with pytest.raises(ConfigError, match=r"sizes\."):
            Sizes(**sizes)


def test_the_kinds_of_jitter_are_those_of_the_links() -> None:
    assert get_args(DelayKind) == JITTERS


def test_a_key_is_a_number_of_63_bits() -> None:
    assert PacketLink(rate_bps=1e6, key=2**63 - 1).key == 2**63 - 1
    with pytest.raises(ConfigError, match="key"):
        PacketLink(rate_bps=1e6, key=2**63)


@pytest.mark.parametrize("times", [(1.0, 0.5), (-1.0,), (math.nan,), (0.0, math.inf), ((0.0, 1.0), (2.0, 3.0))])
def test_instants_that_cannot_come_one_after_the_other_are_refused(times: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"arrivals\.times"):
        Arrivals(kind="times", times=times)
