"""Options that verbs share, and how a verb's answer is printed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from meshsim.cli.app import FAILED, OK

if TYPE_CHECKING:
    from rich.table import Table

FILE_WIDTH = 160
"""Characters of a line where nobody's terminal says."""

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for machines.")
folder = click.Path(file_okay=False, path_type=Path)
file = click.Path(dir_okay=False, path_type=Path)
root = click.option(
    "--root", type=folder, default=Path("experiments"), show_default=True, help="Folder of experiments."
)


seed = click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of all draws.")


def out(default: str | None, text: str) -> Callable[[F], F]:
    """The option --out, a folder that is made when absent."""
    return click.option(
        "--out",
        type=folder,
        default=None if default is None else Path(default),
        show_default=default is not None,
        help=text,
    )


def common(*, out_default: str | None, out_help: str) -> Callable[[F], F]:
    """The three options of a verb that runs something: --json, --seed, --out."""

    def decorate(function: F) -> F:
        return as_json(seed(out(out_default, out_help)(function)))

    return decorate


def plain(value: object) -> Any:
    """`value` as JSON knows it: dataclasses and mappings become objects, arrays lists, paths text, NaN null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def emit(answer: object, *, json_wanted: bool) -> None:
    """Prints an answer: one line of JSON for machines, or indented `key: value` lines for people."""
    content = plain(answer)
    click.echo(json.dumps(content) if json_wanted else "\n".join(_lines(content)))


def _lines(content: Any, indent: str = "") -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, dict | list) and value:
                yield f"{indent}{key}:"
                yield from _lines(value, indent + "  ")
            else:
                yield f"{indent}{key}: {value}"
    elif isinstance(content, list):
        for value in content:
            yield from _lines(value, indent)
    else:
        yield f"{indent}{content}"


def emit_goals(answer: Mapping[str, Any], *, json_wanted: bool) -> int:
    """Prints an answer with goals, as one line of JSON or as tables for people, and gives its exit code.

    Args:
        answer: With `goals` (of `lab.goals.judge`) and `tables`: lists of rows by name, each row a flat mapping.
        json_wanted: Whether a machine reads it.
    """
    if json_wanted:
        emit(answer, json_wanted=True)
        return goals_code(answer)
    _print_tables({**answer["tables"], "goals": answer["goals"]})
    return goals_code(answer)


def emit_tables(answer: Mapping[str, Any], *, json_wanted: bool) -> None:
    """Prints an answer that has `tables`: as one line of JSON, or tables and then the rest for people."""
    if json_wanted:
        emit(answer, json_wanted=True)
        return
    _print_tables({name: rows for name, rows in answer["tables"].items() if rows})
    emit({key: value for key, value in answer.items() if key != "tables"}, json_wanted=False)


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints rows for people."""
    _print_tables({"": rows})


def _print_tables(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    from rich.console import Console

    console = Console(emoji=False, markup=False)  # `did:key:` is no picture of a key
    if not console.is_terminal:
        console.width = FILE_WIDTH
    for name, rows in tables.items():
        console.print(_table(name, rows))


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=name, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for column in columns:
        numeric = all(isinstance(row.get(column, 0), int | float) for row in rows)
        # words apart, so that a narrow terminal breaks between them
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column, ""), digits=8 if name == "goals" else 5) for column in columns))
    return table


def _cell(value: object, *, digits: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def goals_code(answer: Mapping[str, Any]) -> int:
    """Exit code of an answer with goals: 3 when one is missed."""
    return OK if all(goal["pass"] for goal in answer.get("goals", ())) else FAILED
