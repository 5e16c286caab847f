"""What Ctrl-C does to a run: it is heard between two events, so that what was lived through can be kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meshsim.mesh.errors import LocalProtocolError
from meshsim.sim.checkpoint import checkpoint

if TYPE_CHECKING:
    from types import FrameType

    from meshsim.sim import Episode


class Stopped(KeyboardInterrupt):
    """An interrupt that waited until it was safe: between two events of an episode."""


@contextmanager
def patient() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether somebody has pressed Ctrl-C; the second time it is an interrupt at once.

    Where it cannot be heard (in another thread, or where it is ignored) everything stays as it is.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: False
        return
    asked = False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            before(number, frame)
        asked = True

    signal.signal(signal.SIGINT, hear)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def stopping(advance: Callable[[float], None], asked: Callable[[], bool]) -> Callable[[float], None]:
    """`advance`, which an episode calls when an event is over, and which stops it when somebody has asked."""

    def pause(done: float) -> None:
        advance(done)
        if asked():
            raise Stopped

    return pause


def leave(episode: Episode, every: float | None) -> str:
    """Saves a stopped episode, to go on with it, and makes a trace of what was lived through so far, to look at it.

    The header of the trace says when it ended, as `interrupted_at_seconds`; who goes on with the episode replaces it.

    Returns:
        Why it could not be saved; nothing if it was.
    """
    at, refused = episode.env.now, ""
    try:
        checkpoint(episode, every=every)
    except LocalProtocolError as error:
        refused = str(error)
    episode.recorder.writer.header["interrupted_at_seconds"] = at
    episode.over = True
    episode.finish()
    return refused
