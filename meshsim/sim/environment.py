"""SimPy's clock with events that are records `(t, priority, seq, (kind, entity, arg))`, taken by a handler table.

The simulator's own events own no closure and no generator, so a queue of them is plain data that can be saved and
copied. Ordinary SimPy processes run beside them on the same clock; `ordinary()` names them.

    env = Environment()
    env.on("call.start", handler)                 # handler(entity, arg), env.now is the time
    env.schedule_record(12.5, "call.start", 7)
    env.run(until=60.0)
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast
from weakref import WeakSet

import simpy
from simpy.core import EmptySchedule, StopSimulation
from simpy.events import URGENT, Event, Process, ProcessGenerator

from meshsim.mesh.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

BEFORE = 0
"""Priority of what must happen before the ordinary events of the same instant."""
NORMAL = 1
LATE = 2
"""Priority of what must see everything else that happens at the same instant."""


class Record(NamedTuple):
    """What happens: plain data.

    Attributes:
        kind: Which handler takes it.
        entity: Index of the node, link or call it concerns.
        arg: Anything plain.
    """

    kind: str
    entity: int
    arg: Any


class Environment(simpy.Environment):
    """A SimPy environment whose queue also holds records.

    Records and SimPy events at one instant are taken by priority, then in the order scheduled.

    >>> env = Environment()
    >>> seen = []
    >>> env.on("tick", lambda entity, arg: seen.append((env.now, entity, arg)))
    >>> env.schedule_record(2.0, "tick", 5, "late")
    >>> env.schedule_record(1.0, "tick", 4)
    >>> env.run(until=10.0)
    >>> seen
    [(1.0, 4, None), (2.0, 5, 'late')]
    """

    def __init__(self, initial_time: float = 0.0) -> None:
        super().__init__(initial_time)
        self._handlers: dict[str, Callable[[int, Any], None]] = {}
        # SimPy's queue is typed for events; records share it so that one sequence number orders both
        self._records = cast("list[Any]", self._queue)
        self._processes: WeakSet[Process] = WeakSet()

    def __getstate__(self) -> dict[str, Any]:
        """Plain data.

        Raises:
            LocalProtocolError: If ordinary SimPy processes or events are under way, which can be neither saved nor
                copied.
        """
        if self.ordinary():
            raise LocalProtocolError(f"SimPy processes cannot be saved, and there are: {', '.join(self.ordinary())}")
        # taking a number from the counter changes nothing: only the order of numbers counts
        return {"now": self._now, "next": next(self._eid), "records": self.records(), "handlers": self._handlers}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__init__(state["now"])
        self._handlers, self._processes = state["handlers"], WeakSet()
        self._eid = count(state["next"])
        self._queue = self._records = state["records"]  # in order, and so a heap

    def process(self, generator: ProcessGenerator) -> Process:
        """Starts an ordinary SimPy process."""
        process = Process(self, generator)
        self._processes.add(process)
        return process

    def on(self, kind: str, handler: Callable[[int, Any], None]) -> None:
        """Gives all records of `kind` to `handler(entity, arg)`.

        Raises:
            LocalProtocolError: If `kind` has a handler already.
        """
        if kind in self._handlers:
            raise LocalProtocolError(f"records {kind!r} have a handler already")
        self._handlers[kind] = handler

    def schedule_record(self, at: float, kind: str, entity: int, arg: Any = None, priority: int = NORMAL) -> None:
        """Puts a record into the queue.

        Args:
            at: Seconds; not in the past.
            kind: A kind with a handler.
            entity: Index of what it concerns.
            arg: Plain data for the handler.
            priority: Lower is taken first at one instant.

        Raises:
            LocalProtocolError: If `at` lies in the past or nobody handles `kind`.
        """
        if at < self._now:
            raise LocalProtocolError(f"record {kind!r} at {at} s lies before now ({self._now} s)")
        if kind not in self._handlers:
            raise LocalProtocolError(f"no handler for records {kind!r}; there are: {', '.join(sorted(self._handlers))}")
        heappush(self._records, (at, priority, next(self._eid), Record(kind, entity, arg)))

    def push(self, at: float, record: Record, priority: int = NORMAL) -> None:
        """Puts a record into the queue, unchecked: for callers that know its kind and time to be right.

        Args:
            at: Seconds; not in the past.
            record: Of a kind with a handler; the same one may be pushed anew when it has been taken.
            priority: Lower is taken first at one instant.
        """
        heappush(self._records, (at, priority, next(self._eid), record))

    def run(self, until: float | Event | None = None) -> Any:
        """Takes records and events until `until`: an instant, an event, or their end.

        What happens at the instant is left, but for records of priority `BEFORE` that were scheduled by now.

        SimPy's own loop calls `step` for each; here records are taken within the loop, which is what they are for.

        Returns:
            The value of the event `until`.

        Raises:
            ValueError: If the instant `until` is not in the future.
        """
        if until is not None and not isinstance(until, Event):
            until = self._stop_at(float(until))
        if isinstance(until, Event):
            if until.processed:
                return until.value
            until.callbacks.append(StopSimulation.callback)
        try:
            self._take_all()
        except StopSimulation as stop:
            return stop.args[0]
        finally:
            # Stopped before its end: that must not be the end of the next run.
            if until is not None and StopSimulation.callback in (until.callbacks or ()):
                until.callbacks.remove(StopSimulation.callback)
        if until is not None:
            raise RuntimeError(f"nothing is left to happen, but {until} has not")
        return None

    def _stop_at(self, at: float) -> Event:
        if at <= self._now:
            raise ValueError(f"until ({at}) must be greater than the current simulation time ({self._now})")
        stop = Event(self)
        stop._ok, stop._value = True, None  # noqa: SLF001 - SimPy has no other way to an event at an exact instant
        heappush(self._queue, (at, URGENT, next(self._eid), stop))
        return stop

    def _take_all(self) -> None:
        queue, handlers = self._records, self._handlers
        while queue:
            entry = heappop(queue)
            record = entry[3]
            if type(record) is Record:
                self._now = entry[0]
                handlers[record[0]](record[1], record[2])
            else:
                heappush(queue, entry)
                super().step()

    def step(self) -> None:
        """Takes the next record or SimPy event.

        Raises:
            EmptySchedule: If there is none.
        """
        if not self._queue:
            raise EmptySchedule
        if type(self._records[0][3]) is not Record:
            super().step()
            return
        self._now, _, _, (kind, entity, arg) = heappop(self._records)
        self._handlers[kind](entity, arg)

    def cancel(self, kinds: Collection[str]) -> int:
        """Takes all records of `kinds` out of the queue; returns how many there were."""
        queue = self._records
        kept = [entry for entry in queue if not (type(entry[3]) is Record and entry[3].kind in kinds)]
        gone = len(queue) - len(kept)
        queue[:] = kept
        heapify(queue)
        return gone

    def stop(self) -> NoReturn:
        """Called by a handler: `run` returns, now."""
        raise StopSimulation(None)

    def records(self) -> list[tuple[float, int, int, Record]]:
        """The records still to come, in order of time."""
        return sorted(entry for entry in self._records if type(entry[3]) is Record)

    def ordinary(self) -> tuple[str, ...]:
        """Names of the ordinary SimPy processes and events under way, sorted."""
        alive = [process for process in self._processes if process.is_alive]
        events = [entry[3] for entry in self._records if type(entry[3]) is not Record]
        others = [type(event).__name__ for event in events if _matters(event, alive)]
        return tuple(sorted([*(process.name for process in alive), *others]))


def _matters(event: Event, processes: Sequence[Process]) -> bool:
    """Whether `event` will do more than go on with some of `processes`; a spent one does nothing."""
    return any(getattr(callback, "__self__", None) not in processes for callback in event.callbacks or ())
