"""How fast an end sends: what it learns from transport-wide feedback, and rules that make a rate of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RateControl(Protocol):
    """A sender's rule; `rtc.gcc.Gcc` is one, with memory."""

    def feedback(
        self,
        sent: NDArray[np.float64],
        arrived: NDArray[np.float64],
        size: NDArray[np.float64],
        now: float,
        rtt: float,
    ) -> float:
        """Target in bits per second on the wire, told of K packets in the order sent.

        Args:
            sent: (K,) when each set out, seconds.
            arrived: (K,) when each arrived by the receiver's clock, seconds; NaN for those lost.
            size: (K,) bytes on the wire.
            now: When the feedback came, seconds.
            rtt: Round trip by RTCP, seconds.
        """
        ...


class Fixed:
    """Always the same rate.

    Args:
        rate_bps: Bits per second on the wire.
    """

    def __init__(self, rate_bps: float) -> None:
        self._rate = rate_bps

    def feedback(
        self,
        sent: NDArray[np.float64],  # noqa: ARG002 - the protocol's
        arrived: NDArray[np.float64],  # noqa: ARG002 - the protocol's
        size: NDArray[np.float64],  # noqa: ARG002 - the protocol's
        now: float,  # noqa: ARG002 - the protocol's
        rtt: float,  # noqa: ARG002 - the protocol's
    ) -> float:
        """The rate."""
        return self._rate


RESPONSE = 0.1
"""Seconds that feedback takes beyond a round trip, about."""


class Aimd:
    """Additive increase, multiplicative decrease: one packet more each response time, half after a loss.

    Source: D.-M. Chiu, R. Jain, Computer Networks and ISDN Systems 17(1), 1989; a window's packet and half, as in
    RFC 5681, said as a rate. The response time is a round trip and the wait for feedback; losses of packets that were
    sent before the last decrease count with it.

    Args:
        start_bps: First rate, bits per second on the wire.
        min_bps: Never less.
        max_bps: Never more.
    """

    def __init__(self, start_bps: float, min_bps: float, max_bps: float) -> None:
        self._rate, self._least, self._most = start_bps, min_bps, max_bps
        self._halved_at = -np.inf
        self._asked_at = 0.0

    def feedback(
        self,
        sent: NDArray[np.float64],
        arrived: NDArray[np.float64],
        size: NDArray[np.float64],
        now: float,
        rtt: float,
    ) -> float:
        """The rate; arguments as of `RateControl`."""
        lost = np.isnan(arrived)
        if lost.any() and float(sent[lost][-1]) > self._halved_at:
            self._rate, self._halved_at = self._rate / 2.0, now
        elif not lost.any():
            packet = 8.0 * float(size.mean()) if len(size) else 0.0
            self._rate += packet * (now - self._asked_at) / (rtt + RESPONSE) ** 2
        self._asked_at = now
        self._rate = min(max(self._rate, self._least), self._most)
        return self._rate
