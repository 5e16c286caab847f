"""asyncio for callers who may be inside of it already: cells of notebooks are."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` to its end and returns what comes of it: on a loop of its own, in another thread where one runs here.

    >>> finish(asyncio.sleep(0, "done"))
    'done'
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
