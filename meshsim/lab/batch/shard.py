"""Shards: files of records, a line each, that are appended to and never changed.

A line is a checksum, a space and JSON. A line that does not hold was cut off by a kill or by a full disk: it is told,
and what it said is done again.

A record is with the kernel when `append` returns, which no kill of a process takes back; a thread beside has the disk
keep it at once, all that came meanwhile together (group commit). Only a machine that loses its power loses records:
those of the last moment, about as long as the disk takes for one `fsync`. They would be run again.
"""

from __future__ import annotations

import fcntl
import os
import threading
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from meshsim.lab.batch.job import BatchError, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

SUFFIX = ".shard"

_CHECKSUM = 8
_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that does not hold.

    Attributes:
        file: The shard's name.
        line: Counted from 1.
        why: What is wrong with it.
    """

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}"


class Shard:
    """A shard that this process alone appends to.

    Args:
        folder: Of the shards.
        name: Preferred; another process that still holds it keeps it, and another name is taken.

    Raises:
        BatchError: If the folder cannot be written to.
    """

    def __init__(self, folder: Path, name: str) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = _locked(folder, name)
        except OSError as error:
            raise BatchError(f"{folder} cannot be written to: {error.strerror}") from error
        _end_line(self._file)
        self._written, self._closing = threading.Event(), False
        self._failure: OSError | None = None
        self._keeper = threading.Thread(target=self._keep, name=f"shard {name}", daemon=True)
        self._keeper.start()

    def append(self, record: Record) -> None:
        """Gives a record to the kernel; the disk has it a moment later.

        Raises:
            BatchError: If the disk is full; what was written of the record is taken back.
        """
        self.extend([record])

    def extend(self, records: Iterable[Record]) -> None:
        """Gives records to the kernel, all or none.

        Raises:
            BatchError: If the disk is full; what was written is taken back.
        """
        self._check()
        lines = b"".join(_line(record) for record in records)
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._file, lines[written:])
        except OSError as error:
            os.ftruncate(self._file, end)
            raise BatchError(f"a record cannot be written: {error.strerror}") from error
        self._written.set()

    def _keep(self) -> None:
        """Has the disk keep what was written, until the shard is closed."""
        last = False
        while not last:
            self._written.wait()
            self._written.clear()
            last = self._closing  # nothing is written after that was said, and all before is kept now
            try:
                os.fsync(self._file)
            except OSError as error:
                self._failure = error

    def _check(self) -> None:
        if self._failure is not None:
            raise BatchError(f"a record cannot be written: {self._failure.strerror}") from self._failure

    def close(self) -> None:
        """Lets go of the file when the disk has all of it.

        Raises:
            BatchError: If the disk could not keep something.
        """
        self._closing = True
        self._written.set()
        self._keeper.join()
        os.close(self._file)
        self._check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _line(record: Record) -> bytes:
    """A record as it stands in a shard."""
    payload = _encoder.encode(record)
    return b"%08x %s\n" % (zlib.crc32(payload), payload)


def _locked(folder: Path, name: str) -> int:
    """The first file of that name, or of the name with a number, that nobody holds."""
    number = 0
    while True:
        path = folder / f"{name}{f'.{number}' if number else ''}{SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            number += 1
            continue
        if path.exists() and os.fstat(file).st_ino == path.stat().st_ino:
            return file
        os.close(file)  # compacted and removed between opening and locking


def _end_line(file: int) -> None:
    """Ends a line that a kill has cut off, so that what comes next stands on its own."""
    size = os.lseek(file, 0, os.SEEK_END)
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Keeps others from appending to a shard; False where a living process still does.

    A shard that is removed meanwhile stays held to the end: who waits for it makes a new one.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(file)


def read(path: Path) -> tuple[list[Record], list[Damage]]:
    """The records of a shard, and what of it does not hold.

    A file whose last line is being written is damaged for now.
    """
    records, damages = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line:
            continue
        payload = line[_CHECKSUM + 1 :]
        if line[:_CHECKSUM] != b"%08x" % zlib.crc32(payload):
            damages.append(Damage(path.name, number, "cut off or altered: checksum does not hold"))
            continue
        try:
            records.append(_decoder.decode(payload))
        except msgspec.DecodeError as error:
            damages.append(Damage(path.name, number, f"not a record of this version: {error}"))
    return records, damages
