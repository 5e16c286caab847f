"""A whole directed link: loss, then queue, then transit, composed into one step per packet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from meshsim.links.delay import ordered, remembered, transit
from meshsim.links.loss import gilbert_elliott, gilbert_for
from meshsim.links.queue import fifo
from meshsim.mesh.errors import ConfigError


class Coefficients(NamedTuple):
    """A link's parameters in the form `step` computes with.

    Attributes:
        rate_bps: Rate of the queue, bits per second.
        propagation: One-way delay, seconds.
        jitter: Mean of the exponential jitter, seconds.
        p: Probability per packet that the channel goes bad.
        r: Probability per packet that it recovers.
        queue_bytes: Bytes that may wait or be in service at once.
        memory: Correlation time of the jitter, seconds.
    """

    rate_bps: float
    propagation: float
    jitter: float
    p: float
    r: float
    queue_bytes: float
    memory: float


class LinkState(NamedTuple):
    """What a link remembers between two packets.

    Attributes:
        free_at: When its queue will be empty, seconds.
        bad: Whether its channel loses packets at present.
        last_arrival: When the last delivered packet arrives, seconds.
        drawn_at: When the last jitter was drawn, seconds.
        mood: What it was drawn from, as a normal quantile.
    """

    free_at: float
    bad: bool
    last_arrival: float
    drawn_at: float
    mood: float


IDLE = LinkState(free_at=-math.inf, bad=False, last_arrival=-math.inf, drawn_at=-math.inf, mood=0.0)
"""A link that has not carried anything."""


class Passage(NamedTuple):
    """What became of one packet.

    Attributes:
        delivered: Whether it arrives.
        arrival: When, seconds; infinite unless delivered.
        lost: Whether the channel lost it. Neither delivered nor lost: the queue was full.
        state: The link's state afterwards.
    """

    delivered: bool
    arrival: float
    lost: bool
    state: LinkState


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkParameters:
    """How a directed link treats packets.

    Attributes:
        rate_bps: Bits per second, above 0.
        propagation: One-way delay without queueing and jitter, seconds.
        jitter: Mean of the exponential jitter, seconds.
        loss: Stationary probability that the channel loses a packet, in [0, 1].
        burst: Mean length of a run of losses, packets, at least 1; 1 means independent losses.
        queue_bytes: Bytes that may wait or be in service at once; a larger packet never passes.
        memory: Correlation time of the jitter, seconds: packets a moment apart stray alike, as behind one queue. With 0
            each strays by itself, and since a link does not reorder, jitter beyond the spacing of packets then adds to
            their mean delay.

    Raises:
        ConfigError: If a value is out of its range.
    """

    rate_bps: float
    propagation: float
    jitter: float = 0.0
    loss: float = 0.0
    burst: float = 1.0
    queue_bytes: float = 65536.0
    memory: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{value!r} is out of range", key=name, allowed=[f"{low:g} to {high:g}"])

    def coefficients(self) -> Coefficients:
        """The same link as `step` wants it."""
        p, r = gilbert_for(self.loss, self.burst)
        return Coefficients(self.rate_bps, self.propagation, self.jitter, p, r, self.queue_bytes, self.memory)


_LARGEST = 1e15
_RANGES = (
    ("rate_bps", 1e-3, _LARGEST),
    ("propagation", 0.0, _LARGEST),
    ("jitter", 0.0, _LARGEST),
    ("loss", 0.0, 1.0),
    ("burst", 1.0, _LARGEST),
    ("queue_bytes", 0.0, _LARGEST),
    ("memory", 0.0, _LARGEST),
)


def step(
    now: float,
    size_bytes: float,
    u_loss: float,
    u_jitter: float,
    state: LinkState,
    link: Coefficients,
) -> Passage:
    """One packet offered to a link. Packets are offered in order of time.

    Args:
        now: When it is offered, seconds.
        size_bytes: Its size on the wire.
        u_loss: A uniform draw in [0, 1) for the channel.
        u_jitter: Another for the jitter. Both are used up whatever happens, so that draw n belongs to packet n.
        state: The link's state before.
        link: The link's coefficients.

    >>> link = LinkParameters(rate_bps=1e6, propagation=0.02).coefficients()
    >>> step(0.0, 1250.0, 0.5, 0.5, IDLE, link).arrival
    0.03
    """
    # In the simple Gilbert channel (good_loss 0, bad_loss 1) any draw below 1 decides alike: no second draw is spent.
    bad, lost = gilbert_elliott(state.bad, u_loss, 0.0, link.p, link.r, 0.0, 1.0)
    drawn, mood = remembered(u_jitter, state.mood, now - state.drawn_at, link.memory)
    if lost:
        return Passage(False, math.inf, True, LinkState(state.free_at, bad, state.last_arrival, now, mood))
    departure, free_at, dropped = fifo(now, size_bytes, link.rate_bps, state.free_at, link.queue_bytes)
    if dropped:
        return Passage(False, math.inf, False, LinkState(free_at, bad, state.last_arrival, now, mood))
    arrival = ordered(transit(departure, link.propagation, link.jitter, drawn), state.last_arrival)
    return Passage(True, arrival, False, LinkState(free_at, bad, arrival, now, mood))
