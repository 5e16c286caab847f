"""Is the simulator right? Cases with an answer that is known: queueing theory, channels, disciplines, the E-model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.sim.validate import channels, disciplines, networks, quality, stations
from meshsim.sim.validate.case import CORE, Case, Computed, Run, differences
from meshsim.sim.validate.verdict import CONFIDENCE, Row, drawn, verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "CONFIDENCE",
    "CORE",
    "Case",
    "Computed",
    "Row",
    "Run",
    "choose",
    "differences",
    "drawn",
    "known",
    "verdicts",
]


def known(data: Path | None = None) -> dict[str, Case]:
    """All cases by slug.

    Args:
        data: Folder of measured data; None leaves out the cases whose theory stands there.

    >>> len(known()) >= 40
    True
    """
    cases = (*stations.CASES, *networks.CASES, *disciplines.CASES, *channels.CASES, *quality.CASES)
    extra = quality.published(data) if data is not None else []
    return {case.slug: case for case in (*cases, *extra)}


def choose(slugs: Sequence[str], data: Path | None = None) -> list[Case]:
    """The cases of these slugs, all for none.

    Raises:
        ConfigError: If there is no such case.
    """
    cases = known(data)
    for slug in slugs:
        if slug not in cases:
            raise ConfigError(f"no case {slug!r}", key="--case", allowed=sorted(cases), nearest=nearest(slug, cases))
    return [cases[slug] for slug in slugs] if slugs else list(cases.values())
