"""Every misbehaviour: of no strength it changes no byte but its name; all of it is saved with an episode."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from meshsim.measure.records import TABLES
from meshsim.scenario import Scenario, compile_plan
from meshsim.scenario.quantities import MISBEHAVIOUR_NAMES
from meshsim.sim import begin, simulate
from meshsim.sim.checkpoint import checkpoint, resume
from meshsim.testing.processes import BASE, merged

DOMAINS = {"domains": [{"name": "east", "share": 0.5}, {"name": "west", "share": 0.5}]}
BUSY = {"churn": {"enabled": False}, "calls": {"rate": 1.0}, "control": {"digest_period": 5.0}}


def said(kind: str, **entry: Any) -> dict[str, Any]:
    """A scenario in which half of the nodes do this."""
    more = {"domain": "east"} if kind == "hostile_domain" else {}
    changed = merged(BASE, BUSY | {"misbehaviour": [{"kind": kind, "share": 0.5, **more, **entry}]})
    return changed | {"federation": DOMAINS} if kind == "hostile_domain" else changed


def honest(*, divided: bool) -> dict[str, Any]:
    return merged(BASE, BUSY | ({"federation": DOMAINS} if divided else {}))


@cache
def lived(said_of: str) -> dict[str, str]:
    """A hash of the bytes of each table but `nodes`, which tells names."""
    plan = compile_plan(Scenario.model_validate_json(said_of), 3)
    with TemporaryDirectory() as folder:
        trace = simulate(plan, Path(folder) / "trace").trace
        parts = {table: sorted((trace / table).glob("part-*.parquet")) for table in sorted(TABLES) if table != "nodes"}
        return {table: sha256(b"".join(p.read_bytes() for p in found)).hexdigest() for table, found in parts.items()}


def tables(scenario: dict[str, Any]) -> dict[str, str]:
    return lived(Scenario.model_validate(scenario).model_dump_json())


@pytest.mark.parametrize("kind", MISBEHAVIOUR_NAMES)
def test_strength_0_leaves_the_trace_identical(kind: str) -> None:
    assert tables(said(kind, strength=0.0)) == tables(honest(divided=kind == "hostile_domain"))


@pytest.mark.parametrize("kind", ["black_hole", "on_off", "self_dealing", "whitewashing", "hostile_domain"])
def test_a_window_that_begins_after_the_end_leaves_the_trace_identical(kind: str) -> None:
    assert tables(said(kind, since=1000.0)) == tables(honest(divided=kind == "hostile_domain"))


def test_a_saved_episode_goes_on_to_the_identical_trace_whatever_misbehaves(tmp_path: Path) -> None:
    kinds = [kind for kind in MISBEHAVIOUR_NAMES if kind != "hostile_domain"]
    entries = [{"kind": kind, "also": kinds[at + 1 :: 3], "share": 0.3} for at, kind in enumerate(kinds[:3])]
    plan = compile_plan(Scenario.model_validate(merged(BASE, BUSY | {"misbehaviour": entries})), 3)
    whole = simulate(plan, tmp_path / "whole").trace_sha256
    episode = begin(plan, tmp_path / "saved")
    episode.advance(33.0)
    checkpoint(episode)
    assert resume(tmp_path / "saved").finish().trace_sha256 == whole
