"""How far something is and how long it still takes, for whatever lasts longer than two seconds.

On a terminal a bar, in a notebook one too, and a line now and then where there is neither: in a log, in a pipe.
"""

from __future__ import annotations

import html
import importlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

PATIENCE = 2.0
"""Seconds before anything is said."""

_TICK = 0.25
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


@contextmanager
def bar(text: str, *, of: int | None = None, shown: bool = True) -> Iterator[Callable[[float], None]]:
    """Gives a function to call with the share done, in [0, 1].

    Args:
        text: What is being done.
        of: How many things are done, where they can be counted.
        shown: False for machines: nothing is written.
    """
    if not shown:
        yield lambda _done: None
        return
    watch = _Watch(text, of, _display(text))
    try:
        with watch.ticking():
            yield watch.advance
    finally:
        watch.close()


def span(seconds: float) -> str:
    """A stretch of time as people say it, with no more digits than an estimate deserves.

    >>> span(8.4), span(200), span(7500), span(200_000)
    ('8 s', '3 min', '2 h 5 min', '2.3 days')
    """
    if seconds < 1.5 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < _DAY:
        hours, minutes = divmod(round(seconds / _MINUTE), 60)
        return f"{hours} h {minutes} min"
    return f"{seconds / _DAY:.1f} days"


class _Display(Protocol):
    period: float
    """Seconds between two looks at it."""

    def show(self, done: float, told: str) -> None:
        """Shows the share that is done, and what is told of it."""

    def close(self) -> None:
        """Leaves nothing behind."""


class _Watch:
    """Shows a share when it is time to, whoever asks: the work itself as it goes, or the clock while it does not."""

    def __init__(self, text: str, of: int | None, display: _Display) -> None:
        self._text, self._of, self._display = text, of, display
        self._started = time.monotonic()
        self._done, self._at = 0.0, self._started
        self._next = self._started + PATIENCE
        self._lock = threading.Lock()
        self._live = False

    def advance(self, done: float) -> None:
        self._done, self._at = done, time.monotonic()
        self._beat()

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Lets the clock ask, in a thread of its own: a first run may take minutes before anything is done."""
        over = threading.Event()

        def tick() -> None:
            while not over.wait(_TICK):
                self._beat()

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def close(self) -> None:
        if self._live:
            self._display.close()

    def _beat(self) -> None:
        with self._lock:
            now = time.monotonic()
            if now >= self._next:
                self._live, self._next = True, now + self._display.period
                self._display.show(self._done, self._told(now))

    def _told(self, now: float) -> str:
        share = f"{100 * self._done:.0f} %" if self._of is None else f"{round(self._done * self._of)} of {self._of}"
        if not self._done:
            return f"{self._text}: {share}, {span(now - self._started)} so far"
        # as it was when the last piece was done, and counted down since
        left = (self._at - self._started) * (1.0 - self._done) / self._done - (now - self._at)
        return f"{self._text}: {share}, {span(max(left, 0.0))} left"


def _display(text: str) -> _Display:
    if _in_notebook():
        return _Notebook()
    return _Terminal(text) if sys.stderr.isatty() else _Lines()


def _in_notebook() -> bool:
    """Whether somebody reads this in Jupyter; IPython is not imported to find out."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class _Lines:
    """Lines for logs."""

    period = 10.0

    def show(self, done: float, told: str) -> None:  # noqa: ARG002 - it is in what is told
        sys.stderr.write(f"{told}\n")
        sys.stderr.flush()

    def close(self) -> None:
        return


class _Terminal:
    """A bar that is gone when all is done."""

    period = 0.1

    def __init__(self, text: str) -> None:
        columns = (BarColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        self._task = self._progress.add_task(text, total=1.0)

    def show(self, done: float, told: str) -> None:
        self._progress.start()
        self._progress.update(self._task, completed=done, description=told, refresh=True)

    def close(self) -> None:
        self._progress.stop()


class _Notebook:
    """A bar below the cell, which is empty when all is done."""

    period = 0.5

    def __init__(self) -> None:
        self._display: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def show(self, done: float, told: str) -> None:
        page = self._display.HTML(f'<progress max="1" value="{done:.4f}"></progress> {html.escape(told)}')
        if self._handle is None:
            self._handle = self._display.display(page, display_id=True)
        else:
            self._handle.update(page)

    def close(self) -> None:
        self._handle.update(self._display.HTML(""))
