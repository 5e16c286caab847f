from __future__ import annotations

import math

import pytest

from meshsim.mesh.errors import ConfigError
from meshsim.sim.kernel.network import Jitter, Loss, PacketLink, Queue


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
