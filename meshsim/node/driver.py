"""Runs one agent on asyncio: the twin of `sim/driver.py`, with other clocks and wires. Nothing is decided here.

Here, and only here, messages become bytes and bytes messages.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Protocol

from meshsim.agent import CloseMedia, Dial, Emit, OpenMedia, Resolve, Send, Undial, decode, encode
from meshsim.agent.messages import Fault
from meshsim.mesh.errors import RemoteProtocolError, UnknownMessageError
from meshsim.mesh.time import Instant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.agent import CallRequest, Effect, MediaReport, MeshAgent, Sample
    from meshsim.agent.calls import Call
    from meshsim.identity import NodeRecord
    from meshsim.mesh.errors import IdentityError
    from meshsim.mesh.ids import AuraID, CallId, NodeId
    from meshsim.mesh.view import NetworkView
    from meshsim.trust.abuse import Category, Ruling


class Wires(Protocol):
    """What effects are performed with. Each method returns at once and does not call the driver before it returns."""

    def send(self, to: NodeId, channel: str, data: bytes) -> None:
        """Sends `data` to a neighbour; lost when there is no link."""

    def dial(self, node: NodeId) -> None:
        """Makes a link; the driver is told `link_up` or `link_down`."""

    def undial(self, node: NodeId) -> None:
        """Closes a link."""

    def resolve(self, token: int, aura: AuraID) -> None:
        """Asks the directory; the driver is told `resolved`."""

    def open_media(self, effect: OpenMedia) -> None:
        """Lets media flow."""

    def close_media(self, effect: CloseMedia) -> None:
        """Stops media."""

    def emit(self, sample: Sample) -> None:
        """Keeps a sample."""


class Alarm(Protocol):
    """What `Timers.call_at` returns."""

    def cancel(self) -> None:
        """Unsets it."""


class Timers(Protocol):
    """The part of an event loop that the driver needs."""

    def call_at(self, when: float, callback: Callable[[], Any]) -> Alarm:
        """Calls `callback` at the monotonic second `when`."""


class NodeDriver:
    """Feeds an agent and performs what it asks for.

    Args:
        agent: The node.
        wires: What effects are performed with.
        clock: Tells the time; by default the running loop's, and the system's Unix time.
        timers: Wakes the agent; by default the running loop. Its seconds are the clock's monotonic ones.
    """

    def __init__(
        self,
        agent: MeshAgent,
        wires: Wires,
        clock: Callable[[], Instant] | None = None,
        timers: Timers | None = None,
    ) -> None:
        loop = asyncio.get_running_loop() if clock is None or timers is None else None
        self._agent = agent
        self._wires = wires
        self._clock = clock or _clock_of(loop)
        self._timers: Timers | None = timers or loop
        self._alarm: Alarm | None = None
        self._alarm_at: float | None = None

    @property
    def rejected(self) -> dict[str, int]:
        """Bad messages so far, by reason."""
        return self._agent.rejected

    def view(self) -> NetworkView:
        """What the agent believes now."""
        return self._agent.view(self._clock())

    def calls(self) -> list[Call]:
        """The agent's own calls that go on."""
        return self._agent.calls()

    def receive(self, source: NodeId, data: bytes) -> None:
        """Bytes came from a neighbour that its link has authenticated."""
        try:
            message = decode(data)
        except UnknownMessageError:
            self._agent.receive_invalid(source, self._clock(), Fault.UNKNOWN)
        except RemoteProtocolError:
            self._agent.receive_invalid(source, self._clock())
        else:
            self._agent.receive(message, source, self._clock())
        self._pump()

    def link_up(self, node: NodeId) -> None:
        """There is a link to `node`."""
        self._agent.link_up(node, self._clock())
        self._pump()

    def link_down(self, node: NodeId) -> None:
        """There is no link to `node` any more, or none could be made."""
        self._agent.link_down(node, self._clock())
        self._pump()

    def renew(self, record: NodeRecord) -> None:
        """This node says something new of itself."""
        self._agent.renew(record, self._clock())
        self._pump()

    def resolved(self, token: int, answer: Sequence[NodeRecord] | IdentityError) -> None:
        """The directory has answered."""
        self._agent.resolved(token, answer, self._clock())
        self._pump()

    def media_report(self, call: CallId, report: MediaReport) -> None:
        """What was measured of a call's media here."""
        self._agent.media_report(call, report, self._clock())
        self._pump()

    def media_carried(self, call: CallId, label: int, carried: int) -> None:
        """What was counted of a route's media here."""
        self._agent.media_carried(call, label, carried, self._clock())
        self._pump()

    def place_call(self, request: CallRequest) -> CallId:
        """Begins a call."""
        call = self._agent.place_call(request, self._clock())
        self._pump()
        return call

    def hang_up(self, call: CallId) -> None:
        """Ends a call."""
        self._agent.hang_up(call, self._clock())
        self._pump()

    def leave(self) -> None:
        """This node goes soon."""
        self._agent.leave(self._clock())
        self._pump()

    def complain(self, subject: NodeId, word: Category | Ruling | None, call: CallId | None = None) -> str:
        """Reports abuse, rules on it as a moderator, or (None) appeals; gives why that has no effect, or nothing."""
        reason = self._agent.complain(subject, word, self._clock(), call)
        self._pump()
        return reason

    def close(self) -> None:
        """Never wakes the agent again."""
        self._disarm()
        self._timers = None

    def _wake(self) -> None:
        self._alarm = self._alarm_at = None
        self._agent.handle_timer(self._clock())
        self._pump()

    def _pump(self) -> None:
        for effect in self._agent.effects():
            self._perform(effect)
        self._arm(self._agent.wake_at())

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._wires.send(effect.to, effect.channel.value, encode(effect.message))
            case Dial():
                self._wires.dial(effect.node)
            case Undial():
                self._wires.undial(effect.node)
            case Resolve():
                self._wires.resolve(effect.token, effect.aura)
            case OpenMedia():
                self._wires.open_media(effect)
            case CloseMedia():
                self._wires.close_media(effect)
            case Emit():
                self._wires.emit(effect.sample)

    def _arm(self, at: float | None) -> None:
        if at == self._alarm_at:
            return
        self._disarm()
        if at is not None and self._timers is not None:
            self._alarm, self._alarm_at = self._timers.call_at(at, self._wake), at

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._alarm_at = None


def _clock_of(loop: asyncio.AbstractEventLoop | None) -> Callable[[], Instant]:
    """The loop's monotonic time beside the system's Unix time."""
    seconds = time.monotonic if loop is None else loop.time
    return lambda: Instant(seconds(), time.time())
