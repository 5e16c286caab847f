"""One driver at a time: a lock that names who holds it, and that death lets go of."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meshsim.lab.batch.job import BatchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Holds the folder of a batch; the kernel lets go of it when this process ends, however it does.

    Raises:
        BatchError: If another driver holds it.
    """
    path = folder / NAME
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BatchError(f"{folder} is in use by {_said(path)}; wait for it, or end it") from error
        os.ftruncate(file, 0)
        os.pwrite(
            file, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}).encode(), 0
        )
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def holder(folder: Path) -> str:
    """Who holds the folder of a batch; empty if nobody does."""
    path = folder / NAME
    if not path.exists():
        return ""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said(path)
    finally:
        os.close(file)
    return ""


def _said(path: Path) -> str:
    """Who says that it holds the lock."""
    try:
        said = json.loads(path.read_text())
        return f"process {said['pid']} on {said['host']}"
    except (OSError, ValueError, KeyError):
        return "another process"
