"""Where scenarios come from: YAML files, presets, overrides. Every mistake becomes one `ConfigError` with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario.graph_file import FOLDER
from meshsim.scenario.problems import explain
from meshsim.scenario.schema import Scenario
from meshsim.scenario.text import Path, Text, dotted, parse

_PRESETS = FilePath(__file__).parent / "presets"


def presets() -> tuple[str, ...]:
    """Names of the scenarios that come with the package, sorted."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.yaml")))


def load(source: str | FilePath, overrides: Sequence[str] = ()) -> Scenario:
    """The scenario in a file or preset.

    Args:
        source: Path of a YAML file, or name of a preset.
        overrides: `dotted.key=value` each, applied in order; the value is YAML, list entries go by position or name
            (`nodes.named.alice.nat=open`).

    Raises:
        ConfigError: With file, line, key, allowed values and the nearest one, if anything is wrong.

    >>> load("tiny", ["duration=2 min"]).duration
    120.0
    """
    path = _find(source)
    text = parse(_read(path), file=str(path))
    if text.value is None:
        text = Text({})
    if not isinstance(text.value, dict):
        raise ConfigError("a scenario is a mapping of keys to values", file=str(path), line=1, allowed=_keys())
    return _validated(text, overrides, file=str(path), folder=path.parent)


def change(scenario: Scenario, overrides: Sequence[str]) -> Scenario:
    """`scenario` with `overrides` applied, as `load` applies them.

    Raises:
        ConfigError: With the override, key, allowed values and the nearest one, if anything is wrong.

    >>> change(load("tiny"), ["calls.rate=2"]).calls.rate
    2.0
    """
    return _validated(Text(json.loads(canonical(scenario))), overrides, file=f"scenario {scenario.name}")


def _validated(text: Text, overrides: Sequence[str], *, file: str, folder: FilePath | None = None) -> Scenario:
    changed = {_override(text.value, override): override for override in overrides}
    try:
        return Scenario.model_validate(text.value, context={FOLDER: None if folder is None else str(folder)})
    except ValidationError as error:
        raise explain(error, Scenario, text, file=file, overrides=changed) from error


def canonical(scenario: Scenario) -> str:
    """Canonical JSON of `scenario`, for hashing: equal scenarios give equal text."""
    return json.dumps(scenario.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _keys() -> tuple[str, ...]:
    return tuple(Scenario.model_fields)


def _find(source: str | FilePath) -> FilePath:
    if str(source) in presets():
        return _PRESETS / f"{source}.yaml"
    path = FilePath(source)
    try:
        found = path.is_file()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error
    if found:
        return path
    near = nearest(str(source), presets())
    raise ConfigError(f"no scenario file or preset {str(source)!r}", allowed=["<path>.yaml", *presets()], nearest=near)


def _read(path: FilePath) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"not UTF-8 text: {error.reason}", file=str(path), line=line) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error


def _override(tree: dict[str, Any], override: str) -> Path:
    """Writes one override into `tree`; returns the path that it set."""
    key, equals, value = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError("not an override", file=f"override {override!r}", allowed=["dotted.key=value"])
    path: Path = ()
    node: Any = tree
    for i, part in enumerate(parts):
        at = _position(node, part, path, override)
        path = (*path, at)
        if i == len(parts) - 1:
            node[at] = parse(value, file=f"override {override!r}").value
        else:
            node = _descend(node, at)
    return path


def _position(node: Any, part: str, path: Path, override: str) -> str | int:
    if isinstance(node, dict):
        return part
    where, key = f"override {override!r}", dotted((*path, part))
    if not isinstance(node, list):
        raise ConfigError(f"{dotted(path)} is {node!r}, not a mapping", file=where, key=key)
    named = [str(item.get("name", i)) if isinstance(item, Mapping) else str(i) for i, item in enumerate(node)]
    if part in named:
        return named.index(part)
    if part.isdecimal() and int(part) < len(node):
        return int(part)
    raise ConfigError(f"no entry {part!r}", file=where, key=key, allowed=named, nearest=nearest(part, named))


def _descend(node: Any, at: str | int) -> Any:
    if isinstance(node, dict) and node.get(str(at)) is None:
        node[str(at)] = {}
    return node[at]
