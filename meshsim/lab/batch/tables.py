"""The tables of a batch: what came of the jobs, over time, and what it took. Equal records make equal bytes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from meshsim.lab.batch.job import BatchError
from meshsim.lab.batch.store import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from meshsim.lab.batch.job import Job, Record


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name.
        unit: `1` for shares and counts, else `s`, `MOS` ...; empty for words.
        text: What it says.
        type: Of its values.
    """

    name: str
    unit: str
    text: str
    type: pa.DataType

    @property
    def field(self) -> pa.Field:
        """As the file tells it."""
        return pa.field(self.name, self.type, metadata={"unit": self.unit, "description": self.text})


METRIC = Column("metric", "", "name of a metric", pa.string())
TAKEN = (
    Column("key", "", "what was run: configuration, seed, policy, model", pa.string()),
    Column("code", "", "fingerprint of the code that ran it", pa.string()),
    Column("attempt", "1", "how often it had been tried, this time included", pa.int64()),
    Column("finished", "", "whether it told something", pa.bool_()),
    Column("died", "", "whether its process died or was ended", pa.bool_()),
    Column("began", "s", "Unix time", pa.float64()),
    Column("seconds", "s", "wall time", pa.float64()),
    Column("memory", "bytes", "most memory that its process had had by then", pa.int64()),
    Column("host", "", "name of the machine", pa.string()),
    Column("pid", "", "of the process", pa.int64()),
    Column("failure", "", "why it failed", pa.string()),
    Column("detail", "", "traceback of a failure", pa.string()),
    Column("again", "", "the command that runs it once more", pa.string()),
)


def runs(
    keys: Sequence[Column], columns: Sequence[Column], jobs: Sequence[Job], done: Mapping[str, Record]
) -> pa.Table:
    """A row for each job that is done, by key columns."""
    finished = [(job, done[job.key]) for job in jobs if job.key in done]
    rows = [
        {**job.cell, **{column.name: record.values.get(column.name) for column in columns}} for job, record in finished
    ]
    nan = {column.name for column in columns if pa.types.is_floating(column.type)}
    rows = [
        {name: float("nan") if name in nan and value is None else value for name, value in row.items()} for row in rows
    ]
    return _table([*keys, *columns], rows, keys)


def series(keys: Sequence[Column], jobs: Sequence[Job], done: Mapping[str, Record]) -> pa.Table:
    """A row for each value over time."""
    columns = [
        *keys,
        METRIC,
        Column("t", "s", "begin of the stretch", pa.float64()),
        Column("value", "", "mean of the metric in the stretch, in the metric's unit", pa.float64()),
    ]
    rows = [
        {**job.cell, "metric": metric, "t": t, "value": float("nan") if value is None else value}
        for job in jobs
        if job.key in done
        for metric, (times, values) in sorted(done[job.key].series.items())
        for t, value in zip(times, values, strict=True)
    ]
    return _table(columns, rows, [*keys, METRIC, columns[-2]])


def attempts(keys: Sequence[Column], records: Sequence[Record]) -> pa.Table:
    """A row for each attempt: where, when, how long, and why it failed."""
    rows = [
        {
            **record.cell,
            **{column.name: getattr(record, column.name) for column in TAKEN if column.name != "finished"},
            "finished": record.is_final,
        }
        for record in records
    ]
    return _table([*keys, *TAKEN], rows, [*keys, *TAKEN[:1], TAKEN[5]])


def _table(columns: Sequence[Column], rows: list[dict[str, Any]], order: Sequence[Column]) -> pa.Table:
    rows = sorted(rows, key=lambda row: tuple(row[column.name] for column in order))
    arrays = [pa.array([row.get(column.name) for row in rows], column.type) for column in columns]
    return pa.Table.from_arrays(arrays, schema=pa.schema([column.field for column in columns]))


def write(table: pa.Table, path: Path) -> None:
    """Writes a table that is there whole or not at all.

    Raises:
        BatchError: If the disk is full; what was there before is still there.
    """
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    try:
        write_whole(path, buffer.getvalue())
    except OSError as error:
        raise BatchError(f"{path} cannot be written: {error.strerror}") from error
