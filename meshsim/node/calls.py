"""A call as the program sees it in which a node is embedded: where it goes, how it is, when it has ended."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from meshsim.agent import CallRequest, CallState
from meshsim.mesh.errors import CallFailed, ConfigError, nearest
from meshsim.mesh.ids import AuraID
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.quality import mos

if TYPE_CHECKING:
    from meshsim.agent import CallSample, CloseMedia, MediaReport, OpenMedia
    from meshsim.agent import calls as known_calls
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.node.data import Talk
    from meshsim.node.driver import NodeDriver
    from meshsim.node.status import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQuality:
    """How a call was in about the last second, as this end received it.

    Attributes:
        at: Monotonic second at its end.
        rtt: From end to end, seconds; NaN before it was first measured.
        jitter: RFC 3550, seconds.
        loss: Share of packets that never came.
        mos: What that is worth to a listener, 1 to 5; NaN where `rtt` is.
    """

    at: float
    rtt: float
    jitter: float
    loss: float
    mos: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """How a call went.

    Attributes:
        outcome: `completed`, `dropped` (its path was lost for good) or `failed` (it never stood).
        reason: Why it failed or dropped, else "".
        path: Nodes of the last route that stood; of the last that was tried if none did.
        seconds: For how long it stood.
        rtt: Mean from end to end, seconds; NaN where nothing was measured.
        jitter: Mean of the worse direction, seconds; NaN likewise.
        loss: Mean of the worse direction; NaN likewise.
        mos: What that is worth, 1 to 5; NaN likewise.
        failovers: How often it changed its route.
    """

    outcome: str
    reason: str
    path: tuple[NodeId, ...]
    seconds: float
    rtt: float
    jitter: float
    loss: float
    mos: float
    failovers: int


Choice = TypeVar("Choice", bound=StrEnum)
OnQuality: TypeAlias = Callable[[CallQuality], object]


class Call:
    """One call at one of its ends; made by `Node.call`, or given to whom `Node.on_call` names.

    Attributes:
        id: Which call.
        peer: Who is at the other end.
        media: What it carries.
        outgoing: Whether it was placed here.
    """

    def __init__(self, known: known_calls.Call, driver: NodeDriver, talk: Callable[[CallId], Talk | None]) -> None:
        self.id: CallId = known.id
        self.outgoing: bool = known.outgoing
        self.media: MediaType = known.request.media
        self.peer: AuraID = known.request.callee if known.outgoing else known.request.caller
        self._known = known
        self._driver = driver
        self._find_talk = talk
        self._takers: list[Callable[[bytes], object]] = []
        self._listeners: list[OnQuality] = []
        self._began = math.nan
        loop = asyncio.get_running_loop()
        self._stood: asyncio.Future[bool] = loop.create_future()
        self._over: asyncio.Future[CallResult] = loop.create_future()

    @property
    def state(self) -> CallState:
        """Where it stands now."""
        return self._known.state

    @property
    def path(self) -> tuple[NodeId, ...]:
        """The nodes of its route, caller first; of the last one that stood while there is none."""
        known = self._known
        if known.active is not None:
            return known.active.path
        return (known.stood or known.tried or [()])[-1]

    async def stood(self) -> bool:
        """Waits until its media flow; False if it ended before."""
        return await asyncio.shield(self._stood)

    async def ended(self) -> CallResult:
        """Waits for its end, whoever's doing that is."""
        return await asyncio.shield(self._over)

    def hang_up(self) -> None:
        """Ends it; one that has ended stays as it is."""
        if not self._over.done():
            self._driver.hang_up(self.id)

    async def send(self, data: bytes) -> None:
        """Sends a message to the program at the other end: it comes once, in order, whatever route the call takes.

        Waits until the call stands, and while too much is under way.

        Raises:
            CallFailed: If the call has ended; whether the last messages came is then unknown.
            ConfigError: If the message is longer than 16,000 bytes.
        """
        talk = self._find_talk(self.id) if await self.stood() else None
        if talk is None:
            raise CallFailed("the call has ended")
        await talk.send(data)

    def on_data(self, callback: Callable[[bytes], object]) -> None:
        """Calls `callback` with each message of the other end, from the first on, in order.

        Before anybody asks for them messages are kept, and the other end waits. An error that `callback` raises is the
        event loop's to tell.
        """
        self._takers.append(callback)
        talk = self._find_talk(self.id)
        if talk is not None:
            talk.listen(callback)

    def on_quality(self, callback: OnQuality) -> None:
        """Calls `callback` about once a second with how the call is; an error it raises is the event loop's to tell."""
        self._listeners.append(callback)

    def open(self) -> None:
        """Its media flow over a route; for the runtime."""
        if not self._stood.done():
            self._began = time.monotonic()
            self._stood.set_result(True)
            talk = self._find_talk(self.id)
            for taker in self._takers:
                if talk is not None:
                    talk.listen(taker)

    def hear(self, report: MediaReport) -> None:
        """Takes in what was measured here; for the runtime."""
        if not self._listeners:
            return
        worth = mos(self.media, report.rtt / 2, report.jitter, report.loss)
        quality = CallQuality(
            at=time.monotonic(), rtt=report.rtt, jitter=report.jitter, loss=report.loss, mos=float(worth)
        )
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.call_soon(listener, quality)

    def close(self, sample: CallSample | None = None) -> CallResult:
        """It has ended; for the runtime, which says so once.

        Args:
            sample: What the agent says of it: only of calls that were placed here.
        """
        if not self._stood.done():
            self._stood.set_result(False)
        result = self._result() if sample is None else self._told(sample)
        self._over.set_result(result)
        return result

    def _seconds(self) -> float:
        return 0.0 if math.isnan(self._began) else time.monotonic() - self._began

    def _told(self, sample: CallSample) -> CallResult:
        return CallResult(
            outcome=sample.outcome,
            reason=sample.reason,
            path=sample.final_path,
            seconds=self._seconds(),
            rtt=sample.rtt,
            jitter=sample.jitter,
            loss=sample.loss,
            mos=sample.mos,
            failovers=len(sample.failovers),
        )

    def _result(self) -> CallResult:
        known = self._known
        rtt, jitter, loss = known.quality.means()
        lost = not math.isnan(known.lost)
        return CallResult(
            outcome="dropped" if lost else "completed",
            reason=known.reason if lost else "",
            path=self.path,
            seconds=self._seconds(),
            rtt=rtt,
            jitter=jitter,
            loss=loss,
            mos=known.quality.verdict(self.media)[0],
            failovers=len(known.failovers),
        )


class Switchboard:
    """The calls of which a node is an end, for as long as they last; for the runtime.

    Args:
        own: Whose node it is.
        tally: Counts calls that ended.
        driver: The agent's, once there is one.
        talk: What the programs at the ends of a call send each other; None where it does not stand.

    Attributes:
        calls: Those that go on, by id.
        greeters: Who is told of calls that come in.
    """

    def __init__(
        self,
        own: AuraID,
        tally: Tally,
        driver: Callable[[], NodeDriver],
        talk: Callable[[CallId], Talk | None],
    ) -> None:
        self.calls: dict[CallId, Call] = {}
        self.greeters: list[Callable[[Call], object]] = []
        self._own = own
        self._tally = tally
        self._driver = driver
        self._talk = talk

    def place(self, callee: AuraID | str, media: MediaType | str, aic: AicPolicy | str, duration: float) -> Call:
        """Begins a call.

        Raises:
            IdentityError: If `callee` is no AuraID.
            ConfigError: If there is no such media or policy.
        """
        request = CallRequest(
            caller=self._own,
            callee=AuraID.parse(callee) if isinstance(callee, str) else callee,
            media=choose("media", media, MediaType),
            aic=choose("aic", aic, AicPolicy),
            duration=duration,
        )
        return self._keep(self._driver().place_call(request))

    def open(self, effect: OpenMedia) -> None:
        """Media flow; of a call that is not known yet it is this node that is called."""
        if effect.downstream is None and effect.call not in self.calls:
            came = self._keep(effect.call)
            for greeter in self.greeters:
                asyncio.get_running_loop().call_soon(greeter, came)
        if effect.call in self.calls:
            self.calls[effect.call].open()

    def close(self, effect: CloseMedia) -> None:
        """Media of one route stopped: of calls that came in nobody else says that they have ended."""
        call = self.calls.get(effect.call)
        if call is not None and not call.outgoing and call.state is CallState.ENDED:
            self._finish(call)

    def end(self, sample: CallSample) -> None:
        """A call that was placed here has ended."""
        if sample.call in self.calls:
            self._finish(self.calls[sample.call], sample)

    def hear(self, call: CallId, report: MediaReport) -> None:
        """Something was measured of a call here."""
        if call in self.calls:
            self.calls[call].hear(report)

    def _keep(self, call: CallId) -> Call:
        driver = self._driver()
        self.calls[call] = Call(next(known for known in driver.calls() if known.id == call), driver, self._talk)
        return self.calls[call]

    def _finish(self, call: Call, sample: CallSample | None = None) -> None:
        del self.calls[call.id]
        self._tally.count_call("outgoing" if call.outgoing else "incoming", call.close(sample))


def choose(key: str, said: str, known: type[Choice]) -> Choice:
    """The member of `known` that `said` names.

    Raises:
        ConfigError: If there is none.
    """
    if said not in list(known):
        raise ConfigError(
            f"not one of the allowed values: {said!r}", key=key, allowed=list(known), nearest=nearest(said, known)
        )
    return known(said)
