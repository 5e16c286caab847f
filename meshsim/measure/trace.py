"""The trace: a folder of Parquet part files and a header. Equal runs give equal bytes.

    <folder>/header.json            what was run: scenario, seed, schema version (hashed)
    <folder>/<table>/part-00000.parquet
    <folder>/environment.json       wall clock, host, code version (not hashed)

A part is written beside its place and renamed into it, so a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from meshsim.measure.records import SCHEMA_VERSION, TABLES, schema
from meshsim.mesh.errors import MissingExtra, TraceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import pyarrow as pa
    from numpy.typing import NDArray

PART_ROWS = 200_000
HEADER = "header.json"
ENVIRONMENT = "environment.json"


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra
    except ImportError as missing:
        raise MissingExtra("pyarrow", "sim") from missing
    return pa, pq


@dataclass(frozen=True, slots=True)
class Ragged:
    """A list column as arrays: the values of all rows, one after another, and how many each row has."""

    values: NDArray[Any]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)


def _ragged(rows: Sequence[Any] | NDArray[np.generic]) -> Ragged:
    # one array of all values: an empty row has no type of its own
    return Ragged(np.array(list(chain.from_iterable(rows))), np.array([len(row) for row in rows], dtype=np.int64))


def _column(pa: Any, name: str, kind: str, values: Sequence[Any] | NDArray[np.generic] | Ragged) -> Any:
    """An Arrow array made of buffers: `pa.array` would load pandas, three seconds in the life of a node.

    Args:
        pa: The module pyarrow.
        name: For errors.
        kind: As in `Column.type`.
        values: One per row.
    """
    if kind.startswith("list<"):
        rows = values if isinstance(values, Ragged) else _ragged(values)
        return pa.ListArray.from_arrays(_offsets(pa, rows.lengths), _column(pa, name, kind[5:-1], rows.values))
    if isinstance(values, Ragged):
        raise TraceError(f"{name}: a list is no {kind}")
    if kind in ("string", "binary"):
        texts = [value.encode() if isinstance(value, str) else bytes(value) for value in values]
        offsets = _offsets(pa, [len(text) for text in texts]).buffers()[1]
        form = pa.string() if kind == "string" else pa.binary()
        return pa.Array.from_buffers(form, len(texts), [None, offsets, pa.py_buffer(b"".join(texts))])
    numbers = np.asarray(values) if len(values) else np.zeros(0, dtype=kind)
    if not np.can_cast(numbers.dtype, kind, "same_kind"):
        raise TraceError(f"{name}: {numbers.dtype} is no {kind}")
    numbers = np.ascontiguousarray(numbers, dtype=kind)
    form = pa.bool_() if kind == "bool" else pa.from_numpy_dtype(numbers.dtype)
    data = np.packbits(numbers, bitorder="little") if kind == "bool" else numbers
    return pa.Array.from_buffers(form, len(numbers), [None, pa.py_buffer(data)])


def _offsets(pa: Any, lengths: Sequence[int] | NDArray[np.int64]) -> Any:
    """Where each of values of these lengths begins, and the last ends."""
    ends = np.concatenate([np.zeros(1, dtype=np.int32), np.cumsum(lengths, dtype=np.int32)])
    return pa.Array.from_buffers(pa.int32(), len(ends), [None, pa.py_buffer(ends)])


def _to_bytes(pa: Any, batches: Sequence[pa.RecordBatch]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return bytes(sink.getvalue())


def _from_bytes(pa: Any, data: bytes) -> list[pa.RecordBatch]:
    with pa.ipc.open_stream(data) as stream:
        return list(stream)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_whole(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(data)
    beside.replace(path)


def refuse_whole(folder: Path) -> None:
    """Lets nobody write where a trace is.

    Raises:
        TraceError: If `folder` holds a whole one.
    """
    if (folder / HEADER).exists():
        raise TraceError(f"{folder} holds a trace already")


class TraceWriter:
    """Writes one episode. It can be pickled with the rows that wait; `move` then says where it goes on.

    Args:
        folder: Made if absent; must hold no trace yet.
        header: What was run, as JSON values: at least `scenario` and `seed`. Nothing of wall clock, host or code
            belongs here.

    Attributes:
        folder: Where it writes.
        header: What was run.
        parts: SHA-256 of every finished part, by its path below the folder.

    Raises:
        TraceError: If the folder holds a trace already.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        refuse_whole(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.header = dict(header)
        self._batches: dict[str, list[pa.RecordBatch]] = {}
        self._rows: dict[str, int] = {}
        self.parts: dict[str, str] = {}
        self._load()

    def _load(self) -> None:
        """What is the same for every trace, and no state of this one."""
        self._pa, self._pq = _arrow()
        self._schemas = {name: schema(name) for name in TABLES}

    def __getstate__(self) -> dict[str, Any]:
        """Plain data: the rows that wait are bytes of Arrow's own format, table by table."""
        waiting = {table: _to_bytes(self._pa, batches) for table, batches in self._batches.items()}
        return {"header": self.header, "rows": dict(self._rows), "parts": dict(self.parts), "waiting": waiting}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.header, self._rows, self.parts = state["header"], state["rows"], state["parts"]
        self._load()
        self._batches = {table: _from_bytes(self._pa, data) for table, data in state["waiting"].items()}

    def move(self, folder: Path, **header: Any) -> None:
        """Goes on writing in `folder`, which holds the finished parts already, with further entries in the header.

        Raises:
            TraceError: If the folder holds a whole trace, or a part is missing or not the one that was written.
        """
        self.folder = Path(folder)
        refuse_whole(self.folder)
        self.header |= header
        for name, wanted in self.parts.items():
            if not (self.folder / name).is_file() or _sha256(self.folder / name) != wanted:
                raise TraceError(f"{self.folder / name} is missing, or not the part that was written")

    def append(self, table: str, **columns: Sequence[Any] | NDArray[np.generic] | Ragged) -> None:
        """Appends rows to `table`; every column of its schema, all of one length.

        Raises:
            TraceError: If a column is missing, unknown, of another length or of another kind.
        """
        form = self._schemas[table]
        if set(columns) != set(form.names):
            raise TraceError(f"{table}: columns differ: {sorted(set(columns) ^ set(form.names))}")
        arrays = [_column(self._pa, f"{table}.{c.name}", c.type, columns[c.name]) for c in TABLES[table]]
        if len({len(array) for array in arrays}) > 1:
            raise TraceError(f"{table}: columns of different length")
        self._batches.setdefault(table, []).append(self._pa.record_batch(arrays, schema=form))
        self._rows[table] = self._rows.get(table, 0) + len(arrays[0])
        if self._rows[table] >= PART_ROWS:
            self._flush(table)

    def _flush(self, table: str) -> None:
        batches = self._batches.pop(table, [])
        self._rows[table] = 0
        if not batches:
            return
        part = sum(name.startswith(f"{table}/") for name in self.parts)
        name = f"{table}/part-{part:05d}.parquet"
        place = self.folder / name
        place.parent.mkdir(exist_ok=True)
        beside = place.with_name(place.name + ".part")
        whole = self._pa.Table.from_batches(batches, schema=self._schemas[table]).combine_chunks()
        self._pq.write_table(whole, beside, compression="zstd", compression_level=1, use_dictionary=True)
        self.parts[name] = _sha256(beside)
        beside.replace(place)

    def close(self) -> None:
        """Flushes what is left and writes the header, which makes the trace whole; more may be appended, and closed."""
        for table in list(self._batches):
            self._flush(table)
        side = {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": platform.node(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "meshsim": version("meshsim"),
        }
        _write_whole(self.folder / ENVIRONMENT, json.dumps(side, indent=1).encode())
        head = {"schema_version": SCHEMA_VERSION, **self.header}
        _write_whole(self.folder / HEADER, json.dumps(head, indent=1, sort_keys=True).encode())

    def drop(self) -> None:
        """Forgets the rows that wait to be written."""
        self._batches.clear()
        self._rows.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def _read_header(folder: Path) -> dict[str, Any]:
    try:
        header = json.loads((folder / HEADER).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as missing:
        raise TraceError(f"{folder} is no complete trace: {HEADER} is missing") from missing
    except ValueError as error:
        raise TraceError(f"{folder / HEADER} cannot be read: {error}") from error
    if not isinstance(header, dict):
        raise TraceError(f"{folder / HEADER} is no header: a {type(header).__name__}")
    return header


class Trace:
    """Reads one episode.

    Args:
        folder: As written by `TraceWriter`.

    Raises:
        TraceError: If the folder is no trace, was cut off, or is of another schema version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.header = _read_header(self.folder)
        if self.header.get("schema_version") != SCHEMA_VERSION:
            raise TraceError(
                f"{self.folder}: trace schema {self.header.get('schema_version')}, this meshsim reads {SCHEMA_VERSION}"
            )

    def table(self, name: str) -> pa.Table:
        """All rows of one table, in the order written; empty when nothing was written."""
        if name not in TABLES:
            raise TraceError(f"no table {name!r} in a trace; there are: {', '.join(TABLES)}")
        pa, pq = _arrow()
        parts = sorted((self.folder / name).glob("part-*.parquet"))
        if not parts:
            return schema(name).empty_table()
        try:
            return pa.concat_tables([pq.read_table(part, partitioning=None) for part in parts])
        except (pa.ArrowInvalid, OSError) as error:
            raise TraceError(f"{self.folder / name} cannot be read: {error}") from error

    def columns(self, name: str) -> dict[str, Any]:
        """One table as NumPy arrays by column; string, binary and list columns as Python lists."""
        whole = self.table(name)
        plain = {c.name: c.type in {"int64", "int32", "float64", "bool"} for c in TABLES[name]}
        return {column: whole[column].to_numpy() if plain[column] else whole[column].to_pylist() for column in plain}


def trace_sha256(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files of a trace except the side file; equal for equal runs."""
    digest = hashlib.sha256()
    root = Path(folder)
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = path.relative_to(root).as_posix()
        if name == HEADER or name.endswith(".parquet"):
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
