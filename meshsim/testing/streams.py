"""Which streams of draws a piece of code asks for."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meshsim.mesh.seeds import SeedTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshsim.mesh.seeds import Stream

Draws = Counter[tuple[str, int]]
"""How often each stream, by name and entity, was asked for."""


@contextmanager
def listening() -> Iterator[Draws]:
    """Counts the streams that are asked for meanwhile."""
    heard: Draws = Counter()
    real = SeedTree.stream

    def stream(tree: SeedTree, name: str, entity: int = 0) -> Stream:
        heard[name, entity] += 1
        return real(tree, name, entity)

    SeedTree.stream = stream  # type: ignore[method-assign, assignment]
    try:
        yield heard
    finally:
        SeedTree.stream = real  # type: ignore[method-assign]
