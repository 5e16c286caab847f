"""What programs send each other over a call: messages, in order and once, with credit on each hop.

A hop has at most `WINDOW` messages of a flow under way or waiting beyond it; the node at its far end says how many it
has passed on (`CREDIT`), so that no relay ever holds more. From end to end the receiver confirms what it has in order
(`RECEIVED`): what it has not is sent again over the route that takes the place of a lost one, or when nothing was
confirmed for long, for a link that is dialled anew loses what was under way in it.
"""

from __future__ import annotations

import asyncio
import collections
import time
from typing import TYPE_CHECKING

from meshsim.mesh.errors import CallFailed, ConfigError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.mesh.ids import CallId, NodeId

MESSAGE, CREDIT, RECEIVED = 2, 3, 4
"""Kinds of frames, after the probes' 0 and 1."""
MESSAGE_BYTES = 16_000
"""No message of a program is longer."""
WINDOW = 32
"""Messages of a flow on one hop that the next node has not passed on."""
UNCONFIRMED = 64
"""Messages of a call that the other end has not confirmed; a sender waits."""
TELL_EVERY = 8
"""Messages after which credit is given, and receipt confirmed."""
CONFIRM_AFTER = 0.02
"""Seconds after which receipt is confirmed all the same."""
RETRY = 0.01
"""Seconds until a link that took no more is tried again."""
GONE_AFTER = 5.0
"""Seconds without credit after which messages under way on a hop are taken to be lost with it."""
RESEND_AFTER, RESEND_FIRST = 2.0, 0.3
"""Seconds without confirmation after which everything unconfirmed is sent again; and before the first confirmation, for
one end opens a route before the other does: twice as many each time."""

HEAD_BYTES = 13
_NUMBER_BYTES = 8


def make_frame(label: int, kind: int, number: int, payload: bytes = b"") -> bytes:
    """A frame: label (4 bytes), kind (1), number (8), payload."""
    return label.to_bytes(4, "big") + bytes([kind]) + number.to_bytes(_NUMBER_BYTES, "big") + payload


def read_number(frame: bytes) -> int:
    """The number in a frame.

    Raises:
        RemoteProtocolError: If it is too short or too long for its kind.
    """
    longest = HEAD_BYTES + (MESSAGE_BYTES if frame[4:5] == bytes([MESSAGE]) else 0)
    if not HEAD_BYTES <= len(frame) <= longest:
        raise RemoteProtocolError(f"a data frame of {len(frame)} bytes")
    return int.from_bytes(frame[HEAD_BYTES - _NUMBER_BYTES : HEAD_BYTES], "big")


class Lane:
    """One flow in one direction, on the hop that leaves this node: what waits for it, and what it may still take.

    Args:
        send: Hands a frame to the link; False if it can take no more now.
        give_credit: Tells who sends the flow here how many frames have left in all.

    Attributes:
        passed: Frames that left.
    """

    def __init__(self, send: Callable[[bytes], bool], give_credit: Callable[[int], object] = lambda _: None) -> None:
        self.passed = self._told = 0
        self._send = send
        self._give_credit = give_credit
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
        now = time.monotonic()
        while self._under_way and now - self._under_way[0] > GONE_AFTER:
            self._under_way.popleft()
        while self._waiting and len(self._under_way) < WINDOW and self._send(self._waiting[0]):
            self._waiting.popleft()
            self._under_way.append(now)
            self.passed += 1
        if self.passed - self._told >= TELL_EVERY:
            self._told = self.passed
            self._give_credit(self.passed)
        if self._waiting and self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(RETRY, self._try_again)

    def close(self) -> None:
        """Sends nothing any more."""
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _try_again(self) -> None:
        self._alarm = None
        self.pump()


class Talk:
    """What two programs say to each other in one call, at one end."""

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}
        self._sends: dict[int, Callable[[bytes], bool]] = {}
        self._said = 0
        self._unconfirmed: dict[int, bytes] = {}
        self._room = asyncio.Event()
        self._confirmed_at, self._patience = 0.0, RESEND_FIRST
        self._next = self._told = 0
        self._consumed: dict[int, int] = {}
        self._ahead: dict[int, bytes] = {}
        self._listeners: list[Callable[[bytes], object]] = []
        self._over = False
        self._alarm: asyncio.TimerHandle | None = None
        self._checking: asyncio.TimerHandle | None = None

    async def send(self, data: bytes) -> None:
        """Sends a message; waits while too much is under way.

        Raises:
            CallFailed: If the call has ended.
            ConfigError: If it is longer than `MESSAGE_BYTES`.
        """
        if len(data) > MESSAGE_BYTES:
            raise ConfigError(f"a message of {len(data)} bytes", key="data", allowed=[f"at most {MESSAGE_BYTES} bytes"])
        while len(self._unconfirmed) >= UNCONFIRMED and not self._over:
            self._room.clear()
            await self._room.wait()
        if self._over:
            raise CallFailed("the call has ended")
        number, self._said = self._said, self._said + 1
        if not self._unconfirmed:
            self._confirmed_at = time.monotonic()
        self._unconfirmed[number] = bytes(data)
        if self._lanes:
            label, lane = list(self._lanes.items())[-1]
            lane.push(make_frame(label, MESSAGE, number, data))
        self._watch()

    def listen(self, callback: Callable[[bytes], object]) -> Callable[[], None]:
        """Calls `callback` with each message, in order; while nobody listens none is taken. What comes back ends it."""
        self._listeners.append(callback)
        self._deliver()
        return lambda: self._listeners.remove(callback)

    def open(self, label: int, send: Callable[[bytes], bool]) -> None:
        """A route is there: what was not confirmed goes over it."""
        self._lanes[label], self._sends[label], self._consumed[label] = Lane(send), send, 0
        self._say_again(label)

    def close(self, label: int) -> bool:
        """A route is gone; whether it was the last, and the call so has ended."""
        self._lanes.pop(label).close()
        del self._sends[label], self._consumed[label]
        if self._lanes:
            return False
        self._over = True
        self._room.set()
        for alarm in (self._alarm, self._checking):
            if alarm is not None:
                alarm.cancel()
        return True

    def receive(self, label: int, kind: int, number: int, payload: bytes) -> None:
        """A frame came over a route.

        Raises:
            RemoteProtocolError: If it confirms what was not sent.
        """
        if kind == CREDIT:
            self._lanes[label].credit(number)
        elif kind == RECEIVED:
            self._confirm(number)
        else:
            self._take(label, number, payload)

    def _take(self, label: int, number: int, payload: bytes) -> None:
        self._consumed[label] += 1
        if self._consumed[label] % TELL_EVERY == 0:
            self._sends[label](make_frame(label, CREDIT, self._consumed[label]))
        if self._next <= number < self._next + 2 * UNCONFIRMED:
            self._ahead.setdefault(number, payload)
            self._deliver()
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(CONFIRM_AFTER, self._tell)

    def _deliver(self) -> None:
        while self._listeners and self._next in self._ahead:
            message = self._ahead.pop(self._next)
            self._next += 1
            for listener in self._listeners:
                asyncio.get_running_loop().call_soon(listener, message)
        if self._next - self._told >= TELL_EVERY:
            self._tell()

    def _tell(self) -> None:
        """Confirms what was taken, over the newest route."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if self._sends:
            label, send = list(self._sends.items())[-1]
            self._told = self._next
            send(make_frame(label, RECEIVED, self._next))

    def _confirm(self, below: int) -> None:
        if below > self._said:
            raise RemoteProtocolError(f"{below} of {self._said} messages confirmed")
        known = [number for number in self._unconfirmed if number < below]
        for number in known:
            del self._unconfirmed[number]
        if known:
            self._confirmed_at, self._patience = time.monotonic(), RESEND_AFTER
            self._room.set()

    def _watch(self) -> None:
        if self._checking is None and self._unconfirmed and not self._over:
            self._checking = asyncio.get_running_loop().call_later(self._patience / 4, self._check)

    def _check(self) -> None:
        """Sends everything again that was not confirmed for long, unless it still waits to leave."""
        self._checking = None
        label, lane = list(self._lanes.items())[-1]
        if self._unconfirmed and time.monotonic() - self._confirmed_at > self._patience and not len(lane):
            self._patience = min(2 * self._patience, RESEND_AFTER)
            self._say_again(label)
        self._watch()

    def _say_again(self, label: int) -> None:
        self._confirmed_at = time.monotonic()
        for number, payload in self._unconfirmed.items():
            self._lanes[label].push(make_frame(label, MESSAGE, number, payload))


class DataPlane:
    """The messages of all calls that end at this node, or pass through it.

    Args:
        send: Hands a frame to a neighbour; False if it can take no more now.
        onward: Where what comes from a neighbour on a route goes; None where no such route passes.

    Attributes:
        talks: Of calls that end here, as long as they last.
        overrun: Messages of neighbours that sent more than they had credit for: dropped.
    """

    def __init__(self, send: Callable[[NodeId, bytes], bool], onward: Callable[[NodeId, int], NodeId | None]) -> None:
        self.talks: dict[CallId, Talk] = {}
        self.overrun = 0
        self._send = send
        self._onward = onward
        self._ends: dict[int, tuple[CallId, NodeId]] = {}
        self._lanes: dict[tuple[NodeId, int], Lane] = {}

    def open(self, call: CallId, label: int, neighbour: NodeId) -> None:
        """A route that ends here."""
        self._ends[label] = call, neighbour
        self.talks.setdefault(call, Talk()).open(label, lambda frame: self._send(neighbour, frame))

    def close(self, label: int) -> None:
        """A route that ended here, or passed through, is gone."""
        for key in [key for key in self._lanes if key[1] == label]:
            self._lanes.pop(key).close()
        call, _ = self._ends.pop(label, (None, None))
        if call is not None and self.talks[call].close(label):
            del self.talks[call]

    def receive(self, source: NodeId, label: int, frame: bytes) -> bool:
        """A frame came; False if it is on no route.

        Raises:
            RemoteProtocolError: If it is none, or gives credit for what was not sent.
        """
        kind, number = frame[4], read_number(frame)
        if kind not in (MESSAGE, CREDIT, RECEIVED):
            raise RemoteProtocolError(f"a data frame of kind {kind}")
        call, neighbour = self._ends.get(label, (None, None))
        if call is not None and neighbour == source:
            self.talks[call].receive(label, kind, number, frame[HEAD_BYTES:])
            return True
        out = self._onward(source, label)
        if out is None:
            return False
        if kind == MESSAGE:
            self._pass(source, label, out, frame)
        elif kind == CREDIT:
            self._lane(out, label, source).credit(number)
        else:
            self._send(out, frame)
        return True

    def _pass(self, source: NodeId, label: int, out: NodeId, frame: bytes) -> None:
        lane = self._lane(source, label, out)
        if len(lane) >= WINDOW:
            self.overrun += 1
            return
        lane.push(frame)

    def _lane(self, source: NodeId, label: int, out: NodeId) -> Lane:
        """Of what comes from `source` on a route and goes to `out`."""
        lane = self._lanes.get((source, label))
        if lane is None:
            lane = self._lanes[source, label] = Lane(
                lambda frame: self._send(out, frame),
                lambda passed: self._send(source, make_frame(label, CREDIT, passed)),
            )
        return lane
