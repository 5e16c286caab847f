"""The folder of a batch: what it is of, its shards, and the tables made of them."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from meshsim.lab.batch import shard
from meshsim.lab.batch.job import BatchError, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from meshsim.lab.batch.shard import Damage

HEADER = "batch.json"
SHARDS = "shards"
FORMAT = 1

_MERGED = f"all{shard.SUFFIX}"
_IDENTITY = attrgetter("key", "began", "attempt", "code", "pid")
_SHARDS_MOST = 8


class Store:
    """All that is known of a batch.

    Args:
        folder: Of the batch; made where absent.
        of: What the batch is of: a folder is never used for anything else.

    Attributes:
        folder: Of the batch.
        shards: Where records are appended.
        damages: Lines of shards that did not hold when they were last read.

    Raises:
        BatchError: If the folder is somebody else's or cannot be made.
    """

    def __init__(self, folder: Path, of: str) -> None:
        self.folder, self.shards = folder, folder / SHARDS
        self.damages: list[Damage] = []
        header = folder / HEADER
        if header.exists():
            self._check(_header(header), of)
        elif folder.exists() and any(folder.iterdir()):
            raise BatchError(f"{folder} is no folder of a batch: it has files and no {HEADER}; name a new folder")
        else:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(header, json.dumps({"format": FORMAT, "of": of}).encode())
            except OSError as error:
                raise BatchError(f"{folder} cannot be made: {error.strerror}") from error

    def _check(self, said: Mapping[str, Any], of: str) -> None:
        if said.get("format") != FORMAT:
            raise BatchError(f"{self.folder} is of another version of meshsim: {said.get('format')}, not {FORMAT}")
        if said.get("of") != of:
            raise BatchError(f"{self.folder} holds the batch {said.get('of')!r}, not {of!r}; name another folder")

    def records(self) -> list[Record]:
        """Every attempt that is on the disk, each once, by key and time; what does not hold is left in `damages`."""
        found: list[Record] = []
        self.damages = []
        for path in self._files():
            records, damages = shard.read(path)
            self.damages += damages
            found += records
        found.sort(key=_IDENTITY)
        # the same attempt twice, where a merge was cut off before what it had merged was removed
        return found[:1] + [one for last, one in pairwise(found) if not _is_same(last, one)]

    def _files(self) -> list[Path]:
        return sorted(self.shards.glob(f"*{shard.SUFFIX}"))

    def compact(self) -> None:
        """Merges shards that nobody appends to into one file that the disk has, so that a batch never has many.

        Raises:
            BatchError: If the disk is full; nothing is lost then.
        """
        with ExitStack() as stack:
            # held until they are removed: a worker that begins meanwhile must not append to what goes
            done = [path for path in self._files() if stack.enter_context(shard.held(path))]
            if [path.name for path in done] in ([], [_MERGED]):
                return
            merged = b"".join(_ended(path.read_bytes()) for path in done)
            try:
                write_whole(self.shards / _MERGED, merged)
            except OSError as error:
                raise BatchError(f"shards cannot be merged: {error.strerror}") from error
            for path in done:
                if path.name != _MERGED:
                    path.unlink()

    def tidy(self) -> None:
        """Merges shards where there are many."""
        if len(self._files()) > _SHARDS_MOST:
            self.compact()


def chosen(records: Iterable[Record], code: str, *, allow_stale: bool = False) -> tuple[dict[str, Record], set[str]]:
    """The finished record of each key, and the keys that only other code has finished.

    Args:
        records: By key and time; the first of a key and code counts.
        code: Fingerprint of the code that is asked for.
        allow_stale: Whether records of other code count, where this code has none; the newest does.
    """
    fresh: dict[str, Record] = {}
    stale: dict[str, Record] = {}
    for record in records:
        if record.is_final and record.code == code:
            fresh.setdefault(record.key, record)
        elif record.is_final:
            stale[record.key] = record
    old = {key: record for key, record in stale.items() if key not in fresh}
    return (fresh | old, set(old)) if allow_stale else (fresh, set(old))


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all, whatever happens.

    Raises:
        OSError: If it cannot be written; what was there before is still there.
    """
    beside = path.with_name(f"{path.name}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_same(last: Record, one: Record) -> bool:
    return last.key == one.key and _IDENTITY(last) == _IDENTITY(one)


def _ended(content: bytes) -> bytes:
    return content if content.endswith(b"\n") or not content else content + b"\n"


def _header(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except ValueError as error:
        raise BatchError(f"{path} is not what a batch begins with: {error}") from error
    return said if isinstance(said, dict) else {}
