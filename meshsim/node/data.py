"""What programs send each other over a call: messages, in order and once, with credit on each hop.

A hop has at most `WINDOW` messages of a flow under way or waiting beyond it; the node at its far end says how many it
has passed on (`CREDIT`), so that no relay ever holds more (`lanes`). From end to end the receiver confirms what it has
in order (`RECEIVED`): what it has not is sent again over the route that takes the place of a lost one, or when nothing
was confirmed for long, for a link that is dialled anew loses what was under way in it. Messages take a route only once
the other end was heard over it: one of the two opens it first, and what comes before the other does is lost.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.mesh.errors import CallFailed, ConfigError, RemoteProtocolError
from meshsim.node.lanes import (
    CREDIT,
    HEAD_BYTES,
    MESSAGE,
    MESSAGE_BYTES,
    RECEIVED,
    WINDOW,
    Lane,
    Notice,
    make_frame,
    read_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.mesh.ids import CallId, NodeId

UNCONFIRMED = 64
"""Messages of a call that the other end has not confirmed; a sender waits."""
RESEND_AFTER = 2.0
"""Seconds without confirmation after which all unconfirmed is sent again; twice as many each time it was vain."""
RESEND_DOUBLED = 4
"""How often they are doubled: a program at the other end may take its time to listen."""


@dataclass(slots=True, kw_only=True)
class _Route:
    """One route at one end: its lane, what is told over it, and whether the other end was heard over it."""

    lane: Lane
    credit: Notice
    received: Notice
    consumed: int = 0
    is_heard: bool = False

    def close(self) -> None:
        for part in (self.lane, self.credit, self.received):
            part.close()


class Talk:
    """What two programs say to each other in one call, at one end."""

    def __init__(self) -> None:
        self._routes: dict[int, _Route] = {}
        self._said = 0
        self._unconfirmed: dict[int, bytes] = {}
        self._room = asyncio.Event()
        self._confirmed_at = 0.0
        self._vain = 0
        self._next = 0
        self._ahead: dict[int, bytes] = {}
        self._listeners: list[Callable[[bytes], object]] = []
        self._over = False
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
        label = self._label
        if label is not None:
            self._routes[label].lane.push(make_frame(label, MESSAGE, number, data))
        self._watch()

    def listen(self, callback: Callable[[bytes], object]) -> Callable[[], None]:
        """Calls `callback` with each message, in order; while nobody listens none is taken. What comes back ends it."""
        self._listeners.append(callback)
        self._deliver()
        return lambda: self._listeners.remove(callback)

    def open(self, label: int, send: Callable[[bytes], bool]) -> None:
        """A route is there; the other end is told so."""
        route = self._routes[label] = _Route(
            lane=Lane(send),
            credit=Notice(lambda count: send(make_frame(label, CREDIT, count))),
            received=Notice(lambda count: send(make_frame(label, RECEIVED, count))),
        )
        route.received.tell_now(self._next)

    def close(self, label: int) -> bool:
        """A route is gone; whether it was the last, and the call so has ended."""
        was_used = label == self._label
        self._routes.pop(label).close()
        if self._routes:
            if was_used:
                self._say_again()
            return False
        self._over = True
        self._room.set()
        if self._checking is not None:
            self._checking.cancel()
        return True

    def receive(self, label: int, kind: int, number: int, payload: bytes) -> None:
        """A frame came over a route.

        Raises:
            RemoteProtocolError: If it confirms what was not sent.
        """
        self._hear(label)
        if kind == CREDIT:
            self._routes[label].lane.credit(number)
        elif kind == RECEIVED:
            self._confirm(number)
        else:
            self._take(self._routes[label], number, payload)

    @property
    def _label(self) -> int | None:
        """The newest route over which the other end was heard."""
        return next((label for label, route in reversed(self._routes.items()) if route.is_heard), None)

    def _hear(self, label: int) -> None:
        """The other end has opened this route as well: what was not confirmed goes over it, if it is the newest."""
        route = self._routes[label]
        if route.is_heard:
            return
        route.is_heard = True
        route.received.tell_now(self._next)
        if label == self._label:
            for other in self._routes.values():
                other.lane.clear()
            self._say_again()

    def _take(self, route: _Route, number: int, payload: bytes) -> None:
        route.consumed += 1
        route.credit.tell(route.consumed)
        if self._next <= number < self._next + 2 * UNCONFIRMED:
            self._ahead.setdefault(number, payload)
        self._deliver()

    def _deliver(self) -> None:
        while self._listeners and self._next in self._ahead:
            message = self._ahead.pop(self._next)
            self._next += 1
            for listener in self._listeners:
                asyncio.get_running_loop().call_soon(listener, message)
        label = self._label
        if label is not None:
            self._routes[label].received.tell(self._next)

    def _confirm(self, below: int) -> None:
        if below > self._said:
            raise RemoteProtocolError(f"{below} of {self._said} messages confirmed")
        known = [number for number in self._unconfirmed if number < below]
        for number in known:
            del self._unconfirmed[number]
        if known:
            self._confirmed_at, self._vain = time.monotonic(), 0
            self._room.set()

    def _watch(self) -> None:
        if self._checking is None and self._unconfirmed and not self._over:
            self._checking = asyncio.get_running_loop().call_later(RESEND_AFTER / 4, self._check)

    def _check(self) -> None:
        """Sends everything again that was not confirmed for long, unless it still waits to leave."""
        self._checking = None
        for route in self._routes.values():
            if not route.is_heard:
                route.received.tell_now(self._next)
        waits = any(len(route.lane) for route in self._routes.values())
        patience = RESEND_AFTER * 2 ** min(self._vain, RESEND_DOUBLED)
        if self._unconfirmed and not waits and time.monotonic() - self._confirmed_at > patience:
            self._vain += 1
            self._say_again()
        self._watch()

    def _say_again(self) -> None:
        label = self._label
        if label is None:
            return
        self._confirmed_at, lane = time.monotonic(), self._routes[label].lane
        lane.clear()
        for number, payload in self._unconfirmed.items():
            lane.push(make_frame(label, MESSAGE, number, payload))


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
        self._confirmations: dict[tuple[NodeId, int], Notice] = {}

    def open(self, call: CallId, label: int, neighbour: NodeId) -> None:
        """A route that ends here."""
        self._ends[label] = call, neighbour
        self.talks.setdefault(call, Talk()).open(label, lambda frame: self._send(neighbour, frame))

    def close(self, label: int) -> None:
        """A route that ended here, or passed through, is gone."""
        for parts in (self._lanes, self._confirmations):
            for key in [key for key in parts if key[1] == label]:
                parts.pop(key).close()
        call, _ = self._ends.pop(label, (None, None))
        if call is not None and self.talks[call].close(label):
            del self.talks[call]

    def receive(self, source: NodeId, label: int, frame: bytes) -> bool:
        """A frame came; False if it is on no route.

        Raises:
            RemoteProtocolError: If it is none, or gives credit for what was not sent.
        """
        kind, number = read_frame(frame)
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
            self._confirmation(source, label, out).tell_now(number)
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
            credit = Notice(lambda passed: self._send(source, make_frame(label, CREDIT, passed)))
            lane = self._lanes[source, label] = Lane(lambda frame: self._send(out, frame), credit)
        return lane

    def _confirmation(self, source: NodeId, label: int, out: NodeId) -> Notice:
        """What `source` has received on a route, for `out` to know."""
        notice = self._confirmations.get((source, label))
        if notice is None:
            notice = self._confirmations[source, label] = Notice(
                lambda count: self._send(out, make_frame(label, RECEIVED, count))
            )
        return notice
