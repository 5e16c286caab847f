"""A progress bar for anything that takes longer than two seconds; silent where nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PATIENCE = 2.0
"""Seconds before a bar appears."""


@contextmanager
def bar(text: str, *, shown: bool = True) -> Iterator[Callable[[float], None]]:
    """Gives a function to call with the share done, in [0, 1].

    Args:
        text: What is being done.
        shown: False for machines: nothing is written.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda _done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=True)
    task = progress.add_task(text, total=1.0)
    started, live = time.monotonic(), False

    def advance(done: float) -> None:
        nonlocal live
        if not live and time.monotonic() - started > PATIENCE:
            progress.start()
            live = True
        progress.update(task, completed=done)

    try:
        yield advance
    finally:
        progress.stop()
