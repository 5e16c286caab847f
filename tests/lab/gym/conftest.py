from __future__ import annotations

import pytest

SHORT = ("duration=80s", "warmup=10s", "routing.candidates=8")


@pytest.fixture(scope="session")
def short() -> tuple[str, ...]:
    """Overrides that make the preset `demo` a matter of a second."""
    return SHORT
