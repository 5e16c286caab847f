"""Video hop by hop: what a node keeps for its downstream, what it asks its upstream for, how fast that may send.

Voice is not asked for again: Opus conceals a frame, and one that comes late is worth nothing.
"""

from __future__ import annotations

import asyncio
import collections
import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.media import VIDEO_WIRE_RATE
from meshsim.node.rtcp import MOST_MISSING
from meshsim.node.rtp import read_place
from meshsim.rtc.compound import encode
from meshsim.rtc.gcc import Gcc
from meshsim.rtc.nacks import MARGIN, Nacks
from meshsim.rtc.rtcp import Nack

if TYPE_CHECKING:
    from collections.abc import Callable

BYTES_KEPT = 128 * 1024
"""Of one flow in one direction; the oldest packets go first."""
RESENDS = 4
"""No packet is sent again more often: who asks cannot make this node flood."""
LARGEST_GAP = 512
"""A jump by more packets is a new beginning, not a loss."""
PATIENCE = 0.8
"""Seconds for which a lost packet is of use."""
FIRST_RTT, LEAST_RTT, MOST_RTT = 0.05, 0.005, 0.4
"""Seconds until an answer comes: before any did, and in bounds."""
FEEDBACK = 0.2
"""Seconds of arrivals that the rate control takes in at once."""
START_RATE, LEAST_RATE = 300e3, 100e3
"""Bits per second that a flow may have before anything is known of its way, and ever at least."""
SEQUENCES = 1 << 16

_AROUND_BYTES = 38  # UDP, IPv4, SRTP tag
_RTT_GAIN = 0.25


class Kept:
    """The last packets of one flow, by sequence number, within a bound of bytes.

    Args:
        limit: Bytes.

    Attributes:
        resent: Packets handed out again.
    """

    def __init__(self, limit: int = BYTES_KEPT) -> None:
        self.resent = 0
        self._limit = limit
        self._bytes = 0
        self._packets: collections.OrderedDict[int, bytes] = collections.OrderedDict()
        self._resends: dict[int, int] = {}

    def keep(self, sequence: int, packet: bytes) -> None:
        """Remembers `packet`, and forgets the oldest beyond the bound."""
        self._forget(sequence)
        self._packets[sequence] = packet
        self._bytes += len(packet)
        while self._bytes > self._limit:
            self._forget(next(iter(self._packets)))

    def again(self, sequence: int) -> bytes | None:
        """The packet, to be sent again; None when it is not kept, or was sent often enough."""
        packet, times = self._packets.get(sequence), self._resends.get(sequence, 0)
        if packet is None or times >= RESENDS:
            return None
        self._resends[sequence] = times + 1
        self.resent += 1
        return packet

    def _forget(self, sequence: int) -> None:
        packet = self._packets.pop(sequence, None)
        self._bytes -= 0 if packet is None else len(packet)
        self._resends.pop(sequence, None)


class Inflow:
    """One flow as it comes over the last hop: which packets are new, which are lost, how fast it may come.

    Attributes:
        received: New packets.
        lost: Packets that did not come at first.
        recovered: Of those, how many came after all.
        asked: Requests made, one for each packet and time.

    >>> flow = Inflow()
    >>> [flow.receive(sequence, 0, 100, 0.0) for sequence in (7, 8, 10, 10)]
    [True, True, True, False]
    >>> flow.due(0.01), flow.receive(9, 0, 100, 0.05), flow.due(0.5)
    ((9,), True, ())
    """

    def __init__(self) -> None:
        self.received = self.lost = self.recovered = self.asked = 0
        self._highest = -1
        self._nacks = Nacks()
        self._first_asked: dict[int, float] = {}
        self._asked_again: set[int] = set()
        self._rtt = FIRST_RTT
        self._control = Gcc(START_RATE, LEAST_RATE, 1.2 * VIDEO_WIRE_RATE)
        self._seen: list[tuple[float, float, float]] = []
        self._told = math.nan

    @property
    def rate(self) -> float:
        """What may come, bits per second on the wire, by when packets came and how many were lost on the way."""
        return self._control.rate

    @property
    def rtt(self) -> float:
        """Seconds from a request to its answer."""
        return self._rtt

    @property
    def wakes_in(self) -> float:
        """Seconds after which `due` has something to say again if nothing comes; infinity when nothing is lacking."""
        return self._rtt + MARGIN if len(self._nacks) else math.inf

    def receive(self, sequence: int, sent: int, size: int, now: float) -> bool:
        """A packet came; False if it came before, or when it was given up.

        Args:
            sequence: 16 bits.
            sent: When it was sent, nanoseconds of its sender.
            size: Bytes.
            now: Seconds.
        """
        number = self._extend(sequence)
        if number > self._highest:
            self._advance(number, sent, now)
        elif not self._nacks.take(number, now, now + PATIENCE):
            return False
        else:
            self._recover(number, now)
            self.received += 1
            return True
        self.received += 1
        self._seen.append((sent * 1e-9, now, size + _AROUND_BYTES))
        self._feed(now)
        return True

    def due(self, now: float) -> tuple[int, ...]:
        """16-bit sequence numbers to ask for at `now`, seconds; they count as asked for."""
        numbers = self._nacks.due(now, self._rtt)
        for number in numbers:
            if self._first_asked.setdefault(number, now) != now:
                self._asked_again.add(number)
        self.asked += len(numbers)
        if not len(self._nacks):
            self._first_asked.clear()
            self._asked_again.clear()
        return tuple(number % SEQUENCES for number in numbers)

    def _extend(self, sequence: int) -> int:
        """The sequence number without its wrap at 16 bits: the nearest to the highest."""
        if self._highest < 0:
            return sequence + SEQUENCES
        step = (sequence - self._highest) % SEQUENCES
        return self._highest + (step if step < SEQUENCES // 2 else step - SEQUENCES)

    def _advance(self, number: int, sent: int, now: float) -> None:
        if self._highest >= 0 and number - self._highest <= LARGEST_GAP:
            missing = number - self._highest - 1
            self.lost += missing
            self._seen += [(sent * 1e-9, math.nan, _AROUND_BYTES)] * missing
        else:
            self._nacks = Nacks()
        self._nacks.take(number, now, now + PATIENCE)
        if len(self._nacks) > LARGEST_GAP:
            self._nacks.clear()  # nobody loses so much who does not want others to work
        self._highest = number

    def _recover(self, number: int, now: float) -> None:
        self.recovered += 1
        asked = self._first_asked.pop(number, None)
        if asked is not None and number not in self._asked_again:
            self._rtt += _RTT_GAIN * (now - asked - self._rtt)
            self._rtt = min(max(self._rtt, LEAST_RTT), MOST_RTT)

    def _feed(self, now: float) -> None:
        """Hands the rate control what came in about the last fifth of a second."""
        if math.isnan(self._told):
            self._told = now
        if now - self._told < FEEDBACK:
            return
        self._told = now
        sent, arrived, size = np.array(sorted(self._seen, key=_by_sent)).T
        self._seen.clear()
        self._control.feedback(sent, arrived, size, now, self._rtt)


class VideoHop:
    """One video as it comes from a neighbour: packets that are lacking are asked for until it is too late for them.

    Args:
        ssrc: Of the video.
        ask: Sends RTCP to that neighbour.

    Attributes:
        flow: What came, and what is lacking.
    """

    def __init__(self, ssrc: int, ask: Callable[[bytes], object]) -> None:
        self.flow = Inflow()
        self._ssrc = ssrc
        self._send = ask
        self._alarm: asyncio.TimerHandle | None = None

    def receive(self, packet: bytes, now: float) -> bool:
        """An RTP packet came at `now`, monotonic seconds; False if it came before.

        Raises:
            RemoteProtocolError: If it is none of this mesh's.
        """
        is_new = self.flow.receive(*read_place(packet), len(packet), now)
        self._ask(now)
        return is_new

    def close(self) -> None:
        """Nothing is asked for any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _ask(self, now: float) -> None:
        missing = self.flow.due(now)[:MOST_MISSING]
        if missing:
            self._send(encode(Nack(self._ssrc, self._ssrc, missing)))
        if self._alarm is None and self.flow.wakes_in < math.inf:
            self._alarm = asyncio.get_running_loop().call_later(self.flow.wakes_in, self._wake)

    def _wake(self) -> None:
        self._alarm = None
        self._ask(asyncio.get_running_loop().time())


def _by_sent(packet: tuple[float, float, float]) -> float:
    return packet[0]
