"""Messages on one hop: their frames, what waits for the link, and the credit that the next node gives.

What they mean to the ends of a call is in `data`.
"""

from __future__ import annotations

import asyncio
import collections
import time
from typing import TYPE_CHECKING

from meshsim.mesh.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE, CREDIT, RECEIVED = 2, 3, 4
"""Kinds of frames, after the probes' 0 and 1."""
MESSAGE_BYTES = 16_000
"""No message of a program is longer."""
WINDOW = 32
"""Messages of a flow on one hop that the next node has not passed on."""
TELL_EVERY = 8
"""Messages after which credit is given, and receipt confirmed."""
TELL_WITHIN = 0.02
"""Seconds after which it is all the same."""
RETRY = 0.01
"""Seconds until a link that took no more is tried again."""
GONE_AFTER = 5.0
"""Seconds without credit after which messages under way on a hop are taken to be lost with it."""

HEAD_BYTES = 13
_LABEL_BYTES, _NUMBER_BYTES = 4, 8


def make_frame(label: int, kind: int, number: int, payload: bytes = b"") -> bytes:
    """A frame: label (4 bytes), kind (1), number (8), payload."""
    return label.to_bytes(_LABEL_BYTES, "big") + bytes([kind]) + number.to_bytes(_NUMBER_BYTES, "big") + payload


def read_frame(frame: bytes) -> tuple[int, int]:
    """Kind and number of a frame.

    Raises:
        RemoteProtocolError: If it is of no known kind, or too short or too long for its own.
    """
    kind = frame[_LABEL_BYTES] if len(frame) >= HEAD_BYTES else -1
    longest = HEAD_BYTES + (MESSAGE_BYTES if kind == MESSAGE else 0)
    if not HEAD_BYTES <= len(frame) <= longest:
        raise RemoteProtocolError(f"a data frame of {len(frame)} bytes")
    if kind not in (MESSAGE, CREDIT, RECEIVED):
        raise RemoteProtocolError(f"a data frame of kind {kind}")
    return kind, int.from_bytes(frame[HEAD_BYTES - _NUMBER_BYTES : HEAD_BYTES], "big")


class Notice:
    """A count that grows and that a neighbour is to know, however full its link is: the newest is what it is told.

    Args:
        send: Tells the neighbour; False if its link can take no more now.
    """

    def __init__(self, send: Callable[[int], bool]) -> None:
        self._send = send
        self._count = self._told = 0
        self._alarm: asyncio.TimerHandle | None = None

    def tell(self, count: int) -> None:
        """Tells it after every few, or in a moment."""
        self._count = max(self._count, count)
        if self._count - self._told >= TELL_EVERY:
            self._tell()
        elif self._alarm is None:
            self._wait(TELL_WITHIN)

    def tell_now(self, count: int) -> None:
        """Tells it at once, even what was told before."""
        self._count = max(self._count, count)
        self._tell()

    def close(self) -> None:
        """Tells nothing any more."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None

    def _tell(self) -> None:
        self.close()
        if self._send(self._count):
            self._told = self._count
        else:
            self._wait(RETRY)

    def _wait(self, seconds: float) -> None:
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._tell)


class Lane:
    """One flow in one direction, on the hop that leaves this node: what waits for it, and what it may still take.

    Args:
        send: Hands a frame to the link; False if it can take no more now.
        credit: Tells who sends the flow here how many frames have left in all; None where they begin here.

    Attributes:
        passed: Frames that left.
    """

    def __init__(self, send: Callable[[bytes], bool], credit: Notice | None = None) -> None:
        self.passed = 0
        self._send = send
        self._credit = credit
        self._waiting: collections.deque[bytes] = collections.deque()
        self._under_way: collections.deque[float] = collections.deque()
        self._credited = 0
        self._alarm: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, frame: bytes) -> None:
        """Sends `frame` as soon as it may leave."""
        self._waiting.append(frame)
        self.pump()

    def credit(self, passed: int) -> None:
        """The next node has passed on so many frames in all; what came out of turn says nothing new.

        Raises:
            RemoteProtocolError: If that is more than it was sent.
        """
        if passed > self.passed:
            raise RemoteProtocolError(f"credit for {passed} of {self.passed} messages")
        for _ in range(min(passed - self._credited, len(self._under_way))):
            self._under_way.popleft()
        self._credited = max(self._credited, passed)
        self.pump()

    def pump(self) -> None:
        """Sends what may leave now."""
        now, before = time.monotonic(), self.passed
        while self._under_way and now - self._under_way[0] > GONE_AFTER:
            self._under_way.popleft()
        while self._waiting and len(self._under_way) < WINDOW and self._send(self._waiting[0]):
            self._waiting.popleft()
            self._under_way.append(now)
            self.passed += 1
        if self._credit is not None and self.passed > before:
            self._credit.tell(self.passed)
        if self._waiting and self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(RETRY, self._try_again)

    def clear(self) -> None:
        """Forgets what waits."""
        self._waiting.clear()

    def close(self) -> None:
        """Sends nothing any more."""
        self.clear()
        if self._credit is not None:
            self._credit.close()
        if self._alarm is not None:
            self._alarm.cancel()

    def _try_again(self) -> None:
        self._alarm = None
        self.pump()
