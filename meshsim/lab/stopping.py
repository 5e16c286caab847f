"""How many seeds an experiment takes: as many as make its intervals as narrow as was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from meshsim.lab.axes import Said
from meshsim.measure.stats import enough, seeds_needed
from meshsim.measure.stats.replication import AT_LEAST, CONFIRM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


class Stopping(Said):
    """Listed seeds are taken in batches, ascending, until the intervals of a metric are narrow or the list ends."""

    half_width: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Largest half-width of every comparison on the metric, of every mean where nothing is compared; in its unit."""
    metric: str = "poor_call_rate"
    """Which is watched."""
    at_least: Annotated[int, Field(ge=5)] = AT_LEAST
    """Seeds of the first stage; fewer than ten let chance stop."""
    batch: Annotated[int, Field(ge=CONFIRM)] = 4
    """Seeds between two decisions; the last batch must not have been needed."""


def seeds_more(
    stopping: Stopping, samples: Sequence[ArrayLike], taken: int, pool: int, confidence: float = 0.95
) -> int:
    """How many seeds to take next; none where it is enough or there are no more.

    Args:
        stopping: What is asked.
        samples: What `contrasts.watched` tells of the seeds so far, a value a seed, ascending.
        taken: How many seeds so far.
        pool: How many the experiment lists.
        confidence: Of all samples together; each is held to its share (Bonferroni), so that Holm's are no wider.

    >>> narrow = Stopping(half_width=0.1)
    >>> [seeds_more(narrow, [[0.0] * n], n, 40) for n in (0, 8, 12, 14)]
    [14, 6, 2, 0]
    """
    first = stopping.at_least + stopping.batch
    if taken < first:
        return min(first, pool) - taken if taken < pool else 0
    if _done(stopping, samples, confidence):
        return 0
    return min(stopping.batch, pool - taken)


def seeds_expected(stopping: Stopping, samples: Sequence[ArrayLike], pool: int, confidence: float = 0.95) -> int:
    """How many seeds it will about take, from what some tell; what `--dry-run` says.

    Args:
        stopping: What is asked.
        samples: As for `seeds_more`; none yet gives the first stage.
        pool: How many the experiment lists.
        confidence: Of all samples together.

    >>> seeds_expected(Stopping(half_width=0.5), [[0.0, 1.0, 2.0, 1.0] * 3], 100)
    18
    """
    first = stopping.at_least + stopping.batch
    each = _each(samples, confidence)
    needed = [
        seeds_needed(values, stopping.half_width, confidence=each, at_least=stopping.at_least, confirm=stopping.batch)
        for values in samples
    ]
    batches = -(-max(max(needed, default=first) - first, 0) // stopping.batch)
    return min(first + batches * stopping.batch, pool)


def _done(stopping: Stopping, samples: Sequence[ArrayLike], confidence: float) -> bool:
    """Whether all are enough; where none can be told, more seeds do not help."""
    each = _each(samples, confidence)
    return all(
        enough(values, stopping.half_width, confidence=each, at_least=stopping.at_least, confirm=stopping.batch)
        for values in samples
    )


def _each(samples: Sequence[ArrayLike], confidence: float) -> float:
    return 1.0 - (1.0 - confidence) / max(len(samples), 1)
