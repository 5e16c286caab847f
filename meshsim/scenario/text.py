"""YAML text into plain values that remember the line of every key. What the values mean is not known here."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean

from meshsim.mesh.errors import ConfigError

Path = tuple[str | int, ...]
"""From the root of a file to a value: keys and list positions."""

_MOST_VALUES = 100_000
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Text:
    """A parsed file or override.

    Attributes:
        value: Mappings, lists and scalars of plain Python types.
        lines: The line (from 1) of each key and list entry, by path.
    """

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """The line of `path`, or of the nearest enclosing value that has one."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


class _Constructor(RoundTripConstructor):
    """Says where a value does not fit its tag, as in `!!bool x`; ruamel lets its own constructors' errors through."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - ruamel's signature
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConstructorError(problem=_first_line(error), problem_mark=node.start_mark) from error


def _code(character: str | int) -> str:
    return f"U+{character if isinstance(character, int) else ord(character):04X}"


def parse(text: str, *, file: str) -> Text:
    """The YAML in `text`.

    Raises:
        ConfigError: With line and column, if `text` is not YAML or nests without end.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", YAMLWarning)
            yaml = YAML(typ="rt")
            yaml.Constructor = _Constructor
            raw = yaml.load(text)
    except MarkedYAMLError as error:
        raise _marked(error, file) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"not YAML: the character {_code(error.character)}", file=file, line=line) from error
    except RecursionError as error:
        raise ConfigError("nested too deep", file=file) from error
    except YAMLError as error:
        raise ConfigError(f"not YAML: {_first_line(error)}", file=file) from error
    lines: dict[Path, int] = {}
    return Text(_plain(raw, (), lines, file), lines)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _marked(error: MarkedYAMLError, file: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "cannot be parsed"
    if mark is None:
        return ConfigError(f"not YAML: {problem}", file=file)
    if isinstance(error, DuplicateKeyError):
        key = problem.split('"')[1]
        return ConfigError(f"{key!r} comes twice", file=file, line=mark.line + 1, key=key, allowed=["one of them"])
    return ConfigError(f"not YAML: {problem} (column {mark.column + 1})", file=file, line=mark.line + 1)


def _plain(value: Any, path: Path, lines: dict[Path, int], file: str) -> Any:
    if len(path) > _DEEPEST or len(lines) > _MOST_VALUES:
        raise ConfigError("nested too deep or too long", file=file, line=lines.get(path))
    if isinstance(value, CommentedMap):
        return _mapping(value, path, lines, file)
    if isinstance(value, CommentedSeq):
        for i in range(len(value)):
            lines[*path, i] = value.lc.item(i)[0] + 1
        return [_plain(item, (*path, i), lines, file) for i, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str, ScalarBoolean)):
        return _scalar(value)
    what = f"of unknown tag {value.tag.value!r}" if isinstance(value, TaggedScalar) else f"a {type(value).__name__}"
    raise ConfigError(
        f"not a word, number, list or mapping, but {what}", file=file, line=lines.get(path), key=dotted(path) or None
    )


def _mapping(value: CommentedMap, path: Path, lines: dict[Path, int], file: str) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        # A key merged in by `<<` has no position of its own.
        line = value.lc.data[key][0] + 1 if key in (value.lc.data or {}) else lines.get(path)
        if not isinstance(key, str):
            raise ConfigError(f"keys are words, not {key!r}", file=file, line=line, key=dotted(path) or None)
        if line is not None:
            lines[*path, key] = line
        result[key] = _plain(item, (*path, key), lines, file)
    return result


def _scalar(value: Any) -> Any:
    """Ruamel keeps the style of scalars in subclasses; only the plain value counts here."""
    if isinstance(value, ScalarBoolean):
        return bool(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def dotted(path: Path) -> str:
    """`path` as people write it.

    >>> dotted(("nodes", "named", 0, "role"))
    'nodes.named.0.role'
    """
    return ".".join(str(part) for part in path)
