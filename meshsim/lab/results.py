"""What was found, asked for in SQL: the tables of batches and of traces, their dictionary, and what failed.

A folder is that of a batch (`runs`, `series`, `attempts`) or of a trace (`calls`, `routes`, `nodes` ...). Of several
folders of a kind the tables are put below each other, with a first column `folder`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from meshsim.lab import experiment
from meshsim.lab.experiment import ATTEMPTS, RUNS, SERIES
from meshsim.measure.records import TABLES, schema
from meshsim.measure.trace import HEADER, Trace
from meshsim.mesh.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "folder"
"""The column that tells several folders apart."""

BATCHES = Path("runs")
"""Where folders are looked for when none is named."""

_OF_A_BATCH = {Path(name).stem: name for name in (RUNS, SERIES, ATTEMPTS)}
_READING = frozenset({duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN})
_MISSING = re.compile(r'(?:Table with name|Referenced column|column named) "?([\w.]+)"?')


@dataclass(frozen=True, slots=True)
class Found:
    """A folder with tables.

    Attributes:
        path: Of the folder.
        tables: Which there are, by name.
    """

    path: Path
    tables: tuple[str, ...]

    def read(self, table: str) -> pa.Table:
        """One of its tables, with what fields say of themselves."""
        if table in _OF_A_BATCH:
            return pq.read_table(self.path / _OF_A_BATCH[table])
        return Trace(self.path).table(table)


def find(folder: Path) -> Found:
    """What tables a folder has.

    Raises:
        ConfigError: If it is neither a batch's nor a trace's.
    """
    batch = tuple(name for name, file in _OF_A_BATCH.items() if (folder / file).is_file())
    if batch:
        return Found(folder, batch)
    if (folder / HEADER).is_file():
        return Found(folder, tuple(name for name in TABLES if (folder / name).is_dir()))
    raise ConfigError(
        f"{folder} has no results: neither a batch's ({', '.join(_OF_A_BATCH.values())}) nor a trace's ({HEADER})",
        key="--in",
        allowed=[str(found.path) for found in around(folder.parent if not folder.is_dir() else folder)],
    )


def around(root: Path) -> list[Found]:
    """The folders with results in `root`, sorted by name."""
    inner = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    has = (
        path for path in inner if (path / HEADER).is_file() or any((path / f).is_file() for f in _OF_A_BATCH.values())
    )
    return [find(path) for path in has]


def query(sql: str, folders: Sequence[Path]) -> pa.Table:
    """What one statement that only reads says of the tables of some folders.

    Nothing outside of these tables can be read, and nothing at all be written.

    Args:
        sql: `SELECT policy, avg(poor_call_rate) FROM runs GROUP BY policy`, in the dialect of DuckDB.
        folders: Of batches or traces; tables of one name are put below each other.

    Raises:
        ConfigError: If a folder has no results, or the statement cannot be answered: it names what there is.
    """
    tables = _tables([find(folder) for folder in folders])
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        for setting in (
            "python_enable_replacements = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        try:
            _check(connection.extract_statements(sql))
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise _explained(error, tables) from error


def _tables(found: Sequence[Found]) -> dict[str, pa.Table]:
    """Every table by name; where several folders are asked, with the folder of each row."""
    tables: dict[str, list[pa.Table]] = {}
    for one in found:
        for name in one.tables:
            table = one.read(name)
            if len(found) > 1:
                said = pa.array([str(one.path)] * len(table), pa.string())
                table = table.add_column(0, pa.field(FOLDER, pa.string()), said)
            tables.setdefault(name, []).append(table)
    return {name: pa.concat_tables(parts, promote_options="permissive") for name, parts in tables.items()}


def _check(statements: Sequence[Any]) -> None:
    if len(statements) != 1 or statements[0].type not in _READING:
        raise ConfigError(
            "one statement that reads is answered", key="SQL", allowed=["SELECT ...", "FROM ...", "EXPLAIN ..."]
        )


def _explained(error: duckdb.Error, tables: dict[str, pa.Table]) -> ConfigError:
    """What a person can do about it: the first line of what DuckDB says, and what names there are."""
    said = str(error).splitlines()[0]
    columns = sorted({column for table in tables.values() for column in table.column_names})
    if isinstance(error, duckdb.CatalogException):
        names: list[str] = sorted(tables)
    elif isinstance(error, duckdb.BinderException):
        names = columns
    else:
        return ConfigError(said, key="SQL")
    missing = _MISSING.search(said)
    return ConfigError(said, key="SQL", allowed=names, nearest=nearest(missing[1], names) if missing else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A run that nobody has finished.

    Attributes:
        run: Which: its cell in words.
        attempts: How often it was tried.
        failure: Why the last attempt failed.
        again: The command that runs it once more.
        detail: The traceback.
    """

    run: str
    attempts: int
    failure: str
    again: str
    detail: str


def failures(folder: Path) -> list[Failed]:
    """What failed in a batch and was never finished, by run.

    Raises:
        ConfigError: If the folder is no batch's.
    """
    found = find(folder)
    if "attempts" not in found.tables:
        raise ConfigError(f"{folder} is no batch: it has no {ATTEMPTS}", key="FOLDER")
    rows = found.read("attempts").to_pylist()
    done = {row["key"] for row in rows if row["finished"]}
    last = {row["key"]: row for row in rows if row["key"] not in done}
    tried = [row["key"] for row in rows]
    return [
        Failed(
            run=", ".join(
                f"{name} {row[name]}" for name in ("variant", "policy", "seed") if row.get(name) not in {None, ""}
            ),
            attempts=tried.count(key),
            failure=row["failure"],
            again=row["again"],
            detail=row["detail"],
        )
        for key, row in last.items()
    ]


# The dictionary -------------------------------------------------------------------------------------------------------

_ABOUT = """# Data dictionary

Every column of every table, as the files themselves say it (Parquet field metadata `unit` and `description`).
`runs`, `series` and `attempts` are a batch's, the rest a trace's. Without a unit are words, numbers of things, shares
and scores. Made by `meshsim results dictionary`; `meshsim results dictionary FOLDER` says it of one folder."""

_UNITS = {
    "ns": "ns",
    "seconds": "s",
    "bps": "bit/s",
    "bytes": "bytes",
    "degrees": "degrees",
    "metres": "m",
}
"""Units of columns of traces, by how their names end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A column of a table.

    Attributes:
        name: Of the column.
        type: Of its values, as Arrow names it.
        unit: `s`, `bytes`, ...; empty for words, numbers of things, shares and scores.
        text: What it says.
    """

    name: str
    type: str
    unit: str
    text: str


def entries(columns: pa.Schema) -> Iterator[Entry]:
    """What the columns of a table say of themselves."""
    for field in columns:
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        unit = said.get("unit", _UNITS.get(field.name.rpartition("_")[2], ""))
        text = said.get("description", said.get("text", ""))
        yield Entry(field.name, str(field.type), "" if unit == "1" else unit, text)


def dictionary(schemas: dict[str, pa.Schema]) -> str:
    """All columns of some tables, as Markdown."""
    parts = [_ABOUT]
    for name, columns in schemas.items():
        rows = [f"| `{one.name}` | {one.type} | {one.unit} | {_cell(one.text)} |" for one in entries(columns)]
        parts.append("\n".join([f"## {name}", "", "| column | type | unit | what |", "|---|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def all_schemas() -> dict[str, pa.Schema]:
    """The schemas of all tables that there can be, those of batches first."""
    return {**experiment.schemas(), **{name: schema(name) for name in TABLES}}


def schemas_of(folder: Path) -> dict[str, pa.Schema]:
    """The schemas of the tables of a folder."""
    found = find(folder)
    return {name: found.read(name).schema for name in found.tables}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
