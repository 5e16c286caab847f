"""Shards: files of records, a line each, that are appended to and never changed.

A line is a checksum, a space and JSON. A line that does not hold was cut off by a kill or by a full disk: it is told,
and what it said is done again.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from meshsim.lab.batch.job import BatchError, Record

if TYPE_CHECKING:
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

    def append(self, record: Record) -> None:
        """Puts a record on the disk; it is there when this returns.

        Raises:
            BatchError: If the disk is full; what was written of the record is taken back.
        """
        payload = _encoder.encode(record)
        line = b"%08x %s\n" % (zlib.crc32(payload), payload)
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, end)
            raise BatchError(f"a record cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


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


def is_held(path: Path) -> bool:
    """Whether a living process still appends to a shard."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


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
