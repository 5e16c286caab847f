"""The only place where units are converted. Inside: seconds, bits per second, bytes, probabilities in [0, 1]."""

from __future__ import annotations

import re

from meshsim.mesh.errors import ConfigError

_FACTORS = {
    "duration": {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    "rate": {"bps": 1.0, "kbps": 1e3, "Mbps": 1e6, "Gbps": 1e9},
    "size": {"B": 1.0, "kB": 1e3, "MB": 1e6, "KiB": 1024.0, "MiB": 1048576.0},
    "probability": {"%": 0.01},
    "distance": {"m": 1.0, "km": 1000.0},
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z%]*)\s*")


def parse(value: float | str, kind: str) -> float:
    """`value` in the base unit of `kind`: seconds, bits per second, bytes, probability or metres.

    A bare number is already in the base unit.

    Args:
        value: A number, or text such as `20ms`, `5 Mbps`, `1.2%`.
        kind: One of duration, rate, size, probability, distance.

    Raises:
        ConfigError: If the text is no quantity or its unit is not one of `kind`.

    >>> parse("20ms", "duration"), parse("5 Mbps", "rate"), parse("1.2%", "probability")
    (0.02, 5000000.0, 0.012)
    """
    factors = _FACTORS[kind]
    # YAML's `yes` is a bool, and Python's bools are numbers.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    match = _QUANTITY.fullmatch(str(value))
    if match is None or (match[2] and match[2] not in factors):
        raise ConfigError(f"not a {kind}: {value!r}", allowed=written(kind))
    return float(match[1]) * (factors[match[2]] if match[2] else 1.0)


def written(kind: str) -> list[str]:
    """How quantities of a kind are written.

    >>> written("distance")
    ['<number>m', '<number>km']
    """
    return [f"<number>{unit}" for unit in _FACTORS[kind]]


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, for people's eyes."""
    return seconds * 1e3


def megabits(rate: float) -> float:
    """Bits per second as Mbit/s, for people's eyes."""
    return rate / 1e6
