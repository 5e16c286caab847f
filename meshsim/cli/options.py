"""Options that verbs share, and how a verb's answer is printed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from meshsim.cli.app import FAILED, OK

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for machines.")
folder = click.Path(file_okay=False, path_type=Path)


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


def goals_code(answer: Mapping[str, Any]) -> int:
    """Exit code of an answer with goals: 3 when one is missed."""
    return OK if all(goal["pass"] for goal in answer.get("goals", ())) else FAILED
