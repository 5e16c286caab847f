"""Who hears what a node does: events as JSON lines on standard output, a log for its operator on standard error.

A reader that does not read holds nobody up: what finds no place in the queue is dropped, and how much that was is told.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.agent.legs import label_of
from meshsim.mesh.ids import CallId

if TYPE_CHECKING:
    from collections.abc import Callable

WAITING_LINES = 4096
"""Lines that may wait for a reader."""
CLOSE_PATIENCE = 1.0
"""Seconds that a reader has for the last lines."""
STDOUT, STDERR = 1, 2
_WARNINGS = ("neighbour_lost", "path_lost", "reject", "banned", "dropped")
_BULKY = ("arrivals", "seconds", "routes", "data_rtts", "rtcp_rtts", "limits")


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own.

    Args:
        descriptor: Where to.
        waiting: Lines that may wait.

    Attributes:
        dropped: Lines that found no place.
    """

    def __init__(self, descriptor: int, waiting: int = WAITING_LINES) -> None:
        self.dropped = 0
        self._told = 0
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(waiting)
        self._thread: threading.Thread | None = None

    def write(self, value: dict[str, Any]) -> None:
        """Puts one line into the queue, or drops it; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"lines-{self._descriptor}", daemon=True)
            self._thread.start()
        try:
            self._lines.put_nowait(msgspec.json.encode(value) + b"\n")
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Waits a moment for what is still in the queue."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._lines.put(None, timeout=CLOSE_PATIENCE)
            self._thread.join(CLOSE_PATIENCE)

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # who listened is gone
            while (line := self._lines.get()) is not None:
                self._put(line)
                if self.dropped > self._told:
                    gone, self._told = self.dropped - self._told, self.dropped
                    self._put(msgspec.json.encode({"event": "dropped", "count": gone}) + b"\n")

    def _put(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._descriptor, line) :]


class Teller:
    """Takes what a node does, and hands it to who wants to hear it.

    Args:
        events: Whether standard output hears all of it.
        log: Whether standard error gets a log.
    """

    def __init__(self, *, events: bool, log: bool) -> None:
        self._out = LineWriter(STDOUT) if events else None
        self._log = LineWriter(STDERR) if log else None

    def __call__(self, event: dict[str, Any]) -> None:
        """Hands one event on; returns at once."""
        if self._out is not None:
            self._out.write(event)
        if self._log is not None:
            self._log.write(logged(event))

    @property
    def dropped(self) -> int:
        """Lines that nobody read in time."""
        return sum(writer.dropped for writer in (self._out, self._log) if writer is not None)

    def close(self) -> None:
        """Lets the last lines out."""
        for writer in (self._out, self._log):
            if writer is not None:
                writer.close()


def logged(event: dict[str, Any], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> dict[str, Any]:
    """An event as a line of a log: when, how grave, and of which call and route.

    Args:
        event: As told.
        clock: Tells the time.

    >>> logged({"event": "reject", "call": "ab" * 16, "detail": "full"})["level"]
    'warning'
    """
    kind = event["event"]
    level = "error" if kind == "error" else "warning" if kind in _WARNINGS else "info"
    line: dict[str, Any] = {"time": clock().isoformat(timespec="milliseconds"), "level": level, "event": kind}
    if "call" in event:
        line["call_id"] = event["call"]
    label = event.get("label")
    if label is None and "attempt" in event:
        label = label_of(CallId(bytes.fromhex(event["call"])), event["attempt"])
    if label is not None:
        line["route_id"] = f"{label:08x}"
    hidden = ("event", "call", "label", *_BULKY)
    return line | {key: value for key, value in event.items() if key not in hidden}
