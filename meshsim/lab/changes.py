"""What two or more scenarios say differently, key by key, in the words of `-o KEY=VALUE`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshsim.scenario import Scenario

UNSAID = "-"
"""Stands where a scenario has no such key: a list is shorter, an option is off."""


def flat(scenario: Scenario | dict[str, Any]) -> dict[str, str]:
    """Every key of a scenario, or of a trace's, with its value as one line of YAML; entries of lists by position.

    >>> from meshsim.scenario import load
    >>> flat(load("tiny", ["calls.rate=2"]))["calls.rate"]
    '2.0'
    """
    return dict(_leaves(scenario if isinstance(scenario, dict) else scenario.model_dump(mode="json"), ""))


def differing(scenarios: Mapping[str, Scenario | dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The keys in which scenarios differ, sorted, and for each scenario its values of these.

    >>> from meshsim.scenario import load
    >>> differing({"slow": load("tiny"), "fast": load("tiny", ["calls.rate=2"])})[0]
    ['calls.rate']
    """
    values = [flat(scenario) for scenario in scenarios.values()]
    keys = sorted({key for own in values for key in own})
    kept = [key for key in keys if len({own.get(key, UNSAID) for own in values}) > 1]
    return kept, [[own.get(key, UNSAID) for key in kept] for own in values]


def overrides(before: Scenario, after: Scenario) -> list[str]:
    """What makes `after` of `before`, as `key=value` each, where values alone are told apart; names of both aside."""
    old, new = flat(before), flat(after)
    return [f"{key}={value}" for key, value in new.items() if old.get(key) != value and key in old]


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        for position, entry in enumerate(value):
            yield from _leaves(entry, f"{key}.{position}")
    else:
        yield key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
