"""From what pydantic found to one `ConfigError` that a person can act on: place, key, allowed values, nearest value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario.text import Path, Text, dotted

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_NOWHERE = 1 << 30
"""The line of what is missing from the whole file: an unknown key, which may be that key misspelt, is told first."""

_BOUNDS = {
    "greater_than_equal": ("ge", ">="),
    "less_than_equal": ("le", "<="),
    "greater_than": ("gt", ">"),
    "less_than": ("lt", "<"),
}

_KINDS = {
    "bool": ("true or false", ("true", "false")),
    "int": ("a whole number", ("a whole number",)),
    "float": ("a number", ("a number",)),
    "finite": ("a finite number", ("a finite number",)),
    "string": ("a word", ("a word",)),
    "tuple": ("a list", ("[one, another]",)),
    "list": ("a list", ("[one, another]",)),
    "dict": ("a mapping", ("{key: value}",)),
}
"""By how the names of pydantic's errors begin: what is wanted, and how it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    path: Path
    message: str
    allowed: tuple[str, ...] = ()
    nearest: str | None = None


def explain(
    error: ValidationError, model: type[BaseModel], text: Text, *, file: str, overrides: Mapping[Path, str]
) -> ConfigError:
    """The first problem of `error` in the order of the file, and how many more there are.

    Args:
        error: What validation found.
        model: The model of the whole file.
        text: What was validated.
        file: Where it came from.
        overrides: Texts of overrides, by the path that each sets.
    """
    problems = [_problem(detail, model, text.value) for detail in _mistakes(error, text.value)]
    first = min(problems, key=lambda problem: text.line(problem.path) or _NOWHERE)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    source = _override(first.path, overrides)
    return ConfigError(
        first.message + more,
        file=f"override {source!r}" if source else file,
        # what stands nowhere in the file is missing from its beginning
        line=None if source or not text.lines else text.line(first.path) or 1,
        key=dotted(first.path) or None,
        allowed=first.allowed,
        nearest=first.nearest,
    )


def within(
    error: ConfigError, text: Text, *, file: str, scenario: Path, overrides: Mapping[str, Path] | None = None
) -> ConfigError:
    """`error` of a scenario that another file names and changes, with its place in that file.

    Args:
        error: What `load` raised.
        text: The other file.
        file: Its name.
        scenario: Where it names the scenario.
        overrides: Where it has each override.
    """
    places = {f"override {override!r}": place for override, place in (overrides or {}).items()}
    place = scenario if error.file is None else places.get(error.file)
    if place is None:  # in the scenario's own file, whose place it has
        return error
    return ConfigError(
        ": ".join(part for part in (error.key, error.message) if part),
        file=file,
        line=text.line(place),
        key=dotted(place),
        allowed=error.allowed,
        nearest=error.nearest,
    )


def _mistakes(error: ValidationError, value: Any) -> list[ErrorDetails]:
    """What validation found, without what follows from something else that it found.

    A key that is missing where another is misspelt, and a list that is too short because an entry of it is wrong.
    """
    found = [(_path(detail["loc"], value), detail) for detail in error.errors()]
    misspelt = {path[:-1] for path, detail in found if detail["type"] == "extra_forbidden"}
    above = {path[:end] for path, _ in found for end in range(len(path))}
    follows = {"missing": lambda path: path[:-1] in misspelt, "too_short": above.__contains__}
    return [detail for path, detail in found if not follows.get(detail["type"], lambda _: False)(path)]


def _override(path: Path, overrides: Mapping[Path, str]) -> str | None:
    for end in range(len(path), 0, -1):
        if path[:end] in overrides:
            return overrides[path[:end]]
    return None


def _problem(detail: ErrorDetails, model: type[BaseModel], value: Any) -> _Problem:
    context: dict[str, Any] = detail.get("ctx", {})
    path = _path(detail["loc"], value)
    kind = detail["type"]
    if kind == "scenario":
        at = path if context["at"] is None else tuple(context["at"])
        allowed = tuple(context["allowed"])
        return _Problem(path=at, message=context["message"], allowed=allowed, nearest=context["nearest"])
    if kind in ("extra_forbidden", "missing"):
        return _key_problem(path, kind, _fields(model, path[:-1], value))
    given = _shown(_at(value, path, detail["input"]))
    if kind == "model_type":
        return _Problem(path=path, message=f"not a mapping: {given}", allowed=_fields(model, path, value))
    if kind in _BOUNDS:
        name, sign = _BOUNDS[kind]
        return _Problem(path=path, message=f"out of range: {given}", allowed=(f"{sign} {context[name]:g}",))
    if kind == "literal_error":
        return _choice(path, detail["input"], context["expected"])
    return _value_problem(path, detail, given)


def _value_problem(path: Path, detail: ErrorDetails, given: str) -> _Problem:
    """A value of the wrong kind, in words of people who write files."""
    kind, value = detail["type"], detail["input"]
    if kind == "too_short":
        return _Problem(path=path, message=f"too few: {given}", allowed=(f"at least {detail['ctx']['min_length']}",))
    wanted, allowed = _KINDS.get(kind.partition("_")[0], ("", ()))
    if not wanted:
        return _Problem(path=path, message=f"{detail['msg'][:1].lower()}{detail['msg'][1:]}: {given}")
    near = nearest(value, allowed) if isinstance(value, str) else None
    return _Problem(path=path, message=f"not {wanted}: {given}", allowed=allowed, nearest=near)


def _key_problem(path: Path, kind: str, known: tuple[str, ...]) -> _Problem:
    if kind == "missing":
        return _Problem(path=path, message=f"the key {path[-1]!r} is missing", allowed=known)
    near = nearest(str(path[-1]), known)
    return _Problem(path=path, message=f"unknown key {path[-1]!r}", allowed=known, nearest=near)


def _choice(path: Path, given: Any, expected: str) -> _Problem:
    known = tuple(word.strip(" '") for word in expected.replace(" or ", ", ").split(","))
    near = nearest(given, known) if isinstance(given, str) else None
    return _Problem(path=path, message=f"not one of the allowed values: {_shown(given)}", allowed=known, nearest=near)


def _at(value: Any, path: Path, default: Any) -> Any:
    """What stands at `path` in the file, as it was written."""
    for part in path:
        if not _has(value, part):
            return default
        value = value[part]
    return value


def _has(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, Mapping) and part in value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - a line of a terminal


def _path(loc: Sequence[str | int], value: Any) -> Path:
    """`loc` without the tags of unions, which stand in no file."""
    path: list[str | int] = []
    for i, part in enumerate(loc):
        if _has(value, part):
            value = value[part]
            path.append(part)
        elif i == len(loc) - 1 and isinstance(value, Mapping):
            path.append(part)
    return tuple(path)


def _fields(model: type[BaseModel], path: Path, value: Any) -> tuple[str, ...]:
    """The keys that may stand at `path`."""
    kinds: list[type[BaseModel]] = [model]
    for i, part in enumerate(path):
        if isinstance(part, str):
            fields = [kind.model_fields[part] for kind in kinds if part in kind.model_fields]
            kinds = [found for field in fields for found in _models(field.annotation)]
        kinds = _meant(kinds, _at(value, path[: i + 1], None))
    return tuple(dict.fromkeys(name for kind in kinds for name in kind.model_fields))


def _meant(kinds: list[type[BaseModel]], value: Any) -> list[type[BaseModel]]:
    """Of the members of a union, the one whose generator `value` names, or that for files."""
    if isinstance(value, Mapping) and "file" in value and "generator" not in value:
        return [kind for kind in kinds if "file" in kind.model_fields] or kinds
    generator = value.get("generator") if isinstance(value, Mapping) else None
    return [kind for kind in kinds if generator in _generators(kind)] or kinds


def _generators(kind: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(kind.model_fields["generator"].annotation) if "generator" in kind.model_fields else ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models inside an annotation: itself, of a tuple's entries, of a union's members."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple):
        return [model for inner in get_args(annotation) for model in _models(inner)]
    return []
