"""The contract of a world process, as tests: subclass `ProcessContract` and say how the process is switched on and off.

class TestStorms(ProcessContract):
    off = {"storms": [{"strength": 0}]}
    on = {"storms": [{"strength": 1}]}
    touches = frozenset({"faults"})
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from meshsim.measure.records import TABLES
from meshsim.scenario import Plan, Scenario, compile_plan
from meshsim.sim import begin, simulate
from meshsim.sim.checkpoint import checkpoint, resume
from meshsim.testing.streams import Draws, listening

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE: dict[str, Any] = {
    "duration": 60.0,
    "warmup": 10.0,
    "underlay": {"topology": {"generator": "grid", "rows": 3, "columns": 3}, "capacity": 200e6},
    "nodes": {"count": 14, "roles": {"relay": 4, "super_node": 1}},
    "calls": {"rate": 0.5, "duration": {"median": 20.0}},
    "churn": {"enabled": True, "session_mean": 40.0, "downtime_mean": 20.0},
    "routing": {"policy": "shortest", "candidates": 6},
}
"""A small world in which things happen anyway."""

SEED = 3
_HALF = 33.0


class _Lived(NamedTuple):
    """What an episode came to.

    Attributes:
        planned: Streams that its plan was drawn from.
        streams: Names of those that were drawn from while it ran.
        tables: A hash of the bytes of each table; the header tells the scenario, which may well differ.
        trace: The hash of the trace.
    """

    planned: Draws
    streams: frozenset[str]
    tables: dict[str, str]
    trace: str


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `change` laid over it, mappings merged key by key."""
    out = dict(base)
    for key, value in change.items():
        inner = out.get(key)
        out[key] = merged(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return out


def digest(value: object) -> str:
    """A hash of all data in a plan, or a part of one, but its scenario."""
    if is_dataclass(value) and not isinstance(value, type):
        inner = [digest(getattr(value, field.name)) for field in fields(value) if field.name != "scenario"]
        return sha256("".join(inner).encode()).hexdigest()
    raw = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
    return sha256(raw).hexdigest()


class ProcessContract:
    """What every world process promises.

    Attributes:
        on: What a scenario says to have it; laid over `BASE`.
        off: What it says for it to change nothing, its other options as in `on`: strength 0.
        touches: Parts of the plan that it may change; empty if it acts at run time only.
        streams: What the names of its streams begin with; none if it draws nothing.
    """

    on: ClassVar[dict[str, Any]]
    off: ClassVar[dict[str, Any]]
    touches: ClassVar[frozenset[str]] = frozenset()
    streams: ClassVar[tuple[str, ...]] = ()

    def plan(self, *changes: Mapping[str, Any], seed: int = SEED) -> Plan:
        """The plan of `BASE` with some changes."""
        return _plan(_said(*changes), seed)

    def test_off_leaves_the_trace_identical(self) -> None:
        """Every byte of every table is as if the process did not exist, and nobody else draws otherwise."""
        assert digest(self.plan()) == digest(self.plan(self.off))
        plain, off = _lived(_said()), _lived(_said(self.off))
        assert off.tables == plain.tables
        assert self._others(off.planned) == self._others(plain.planned)
        assert {name for name in off.streams ^ plain.streams if not name.startswith(self.streams)} == set()

    def test_on_changes_the_trace(self) -> None:
        """It does something, or the other claims are empty."""
        assert _lived(_said(self.on)).tables != _lived(_said()).tables

    def test_on_changes_no_other_part_of_the_plan(self) -> None:
        """What it does not touch is drawn as before."""
        plain, on = self.plan(), self.plan(self.on)
        parts = {field.name for field in fields(Plan)} - {"scenario", "seed"}
        changed = {part for part in parts if digest(getattr(plain, part)) != digest(getattr(on, part))}
        assert changed <= self.touches, f"changes {sorted(changed - self.touches)} too"

    def test_its_draws_come_from_streams_of_its_own(self) -> None:
        """The plan asks every other stream as often as without it; what is asked for the first time is its own."""
        plain, on = _lived(_said()), _lived(_said(self.on))
        assert self._others(on.planned) == self._others(plain.planned)
        strange = {name for name in on.streams - plain.streams if not name.startswith(self.streams)}
        assert strange == set()

    def test_equal_seeds_give_equal_plans_and_others_do_not(self) -> None:
        """Nothing is drawn but from the seed."""
        assert digest(self.plan(self.on)) == digest(self.plan(self.on))
        assert digest(self.plan(self.on)) != digest(self.plan(self.on, seed=SEED + 1))

    def test_a_saved_episode_goes_on_to_the_identical_trace(self, tmp_path: Path) -> None:
        """Its state is plain, and all of it is saved."""
        episode = begin(self.plan(self.on), tmp_path / "saved")
        episode.advance(_HALF)
        checkpoint(episode)
        assert resume(tmp_path / "saved").finish().trace_sha256 == _lived(_said(self.on)).trace

    def _others(self, draws: Draws) -> dict[tuple[str, int], int]:
        """How often streams that are not its own were asked for."""
        return {stream: times for stream, times in draws.items() if not stream[0].startswith(self.streams)}


def _said(*changes: Mapping[str, Any]) -> str:
    """`BASE` with some changes, as JSON."""
    said = BASE
    for change in changes:
        said = merged(said, change)
    return json.dumps(said, sort_keys=True)


def _plan(said: str, seed: int = SEED) -> Plan:
    return compile_plan(Scenario.model_validate_json(said), seed)


@cache
def _lived(said: str) -> _Lived:
    """Lives through what is said, once for all claims that look at it."""
    with TemporaryDirectory() as folder:
        with listening() as planned:
            plan = _plan(said)
        with listening() as drawn:
            result = simulate(plan, Path(folder) / "trace")
        tables = {
            table: sha256(b"".join(part.read_bytes() for part in sorted((result.trace / table).glob("part-*.parquet"))))
            for table in TABLES
        }
    return _Lived(
        planned=planned,
        streams=frozenset(name for name, _ in drawn),
        tables={table: content.hexdigest() for table, content in tables.items()},
        trace=result.trace_sha256,
    )
