"""Making one link worse hardly ever makes its path look better to the shipped scorer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.learn.dataset import asked
from meshsim.measure.trace import Trace
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import LinkBelief
from meshsim.routing import features
from meshsim.routing.belief import believed_hops
from meshsim.routing.policies import Learned
from meshsim.scenario import compile_plan, load
from meshsim.sim import simulate

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.learn.dataset import Asked

WORSE = ("delay", "jitter", "loss", "rate")
NEVER_BELOW = 0.99
SLIGHTLY = 0.05
"""Points of ai_score that rounding and ties may give."""


def worsened(hops: LinkBelief, name: str, place: int, by: float) -> LinkBelief:
    """All hops as they are believed, but for one value of one link: times `1 + by`, or less `by` of the rate."""
    values = {column: getattr(hops, column).copy() for column in LinkBelief.__slots__}
    same = (hops.src == hops.src[place]) & (hops.dst == hops.dst[place])
    if name == "loss":
        values[name][same] = np.minimum(values[name][same] + 0.02 * by, 1.0)
    elif name == "rate":
        values[name][same] /= 1.0 + by
    else:
        values[name][same] *= 1.0 + by
    return LinkBelief(**values)


def as_fresh(hops: LinkBelief) -> LinkBelief:
    """Each link once, sorted, as a caller would know them better than the digest."""
    _, once = np.unique(np.stack([hops.src, hops.dst]), axis=1, return_index=True)
    return LinkBelief(**{column: getattr(hops, column)[once] for column in LinkBelief.__slots__})


def raised(scorer: Learned, calls: list[Asked], count: int) -> dict[str, float]:
    """Share of perturbations after which the path's ai_score is higher, by what was made worse."""
    draw = SeedTree(11).generator("monotone")
    found: dict[str, list[bool]] = {name: [] for name in WORSE}
    for number in range(count):
        call, name = calls[int(draw.integers(len(calls)))], WORSE[number % len(WORSE)]
        hops = believed_hops(call.view, call.candidates.hop_src, call.candidates.hop_dst)
        place = int(draw.integers(len(hops)))
        path = int(call.candidates.hop_path[place])
        before, after = (
            scorer.score(features.build(call.candidates, call.request, replace(call.view, fresh=as_fresh(some))))
            for some in (hops, worsened(hops, name, place, float(draw.uniform(0.1, 3.0))))
        )
        found[name].append(bool(after.ai_score[path] > before.ai_score[path] + SLIGHTLY))
    return {name: float(np.mean(rises)) for name, rises in found.items()}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Asked]:
    out: Path = tmp_path_factory.mktemp("monotone") / "trace"
    simulate(compile_plan(load("demo", ("duration=90 s", "warmup=30 s")), 7001), out)
    numbers = np.unique(Trace(out).columns("routes")["call"])
    return [asked(out, int(number)) for number in numbers[:40]]


@pytest.mark.full
def test_worse_links_do_not_raise_scores_in_ten_thousand_tries(calls: list[Asked]) -> None:
    found = raised(Learned(), calls, 10_000)
    assert np.mean(list(found.values())) <= 1.0 - NEVER_BELOW, found


def test_worse_links_do_not_raise_scores_in_a_few_tries(calls: list[Asked]) -> None:
    found = raised(Learned(), calls, 200)
    assert np.mean(list(found.values())) <= 2 * (1.0 - NEVER_BELOW), found
