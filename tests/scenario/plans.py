"""A hash of a plan, apart from the tests so that a bare process can import it."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np


def digest(value: object) -> str:
    """A hash of everything in a plan but the scenario."""
    if dataclasses.is_dataclass(value):
        parts = [digest(getattr(value, field.name)) for field in dataclasses.fields(value) if field.name != "scenario"]
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    raw = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
    return hashlib.sha256(raw).hexdigest()
