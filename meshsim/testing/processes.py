"""The contract of a world process, as tests: subclass `ProcessContract` and say how the process is switched on and off.

class TestStorms(ProcessContract):
    off = {"storms": [{"strength": 0}]}
    on = {"storms": [{"strength": 1}]}
    touches = frozenset({"faults"})
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from meshsim.measure.records import TABLES
from meshsim.mesh.seeds import SeedTree
from meshsim.scenario import Plan, Scenario, compile_plan
from meshsim.sim import begin, simulate
from meshsim.sim.checkpoint import checkpoint, resume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pytest

    from meshsim.mesh.seeds import Stream

BASE: dict[str, Any] = {
    "duration": 60.0,
    "warmup": 10.0,
    "underlay": {"topology": {"generator": "grid", "rows": 3, "columns": 3}, "capacity": 200e6},
    "nodes": {"count": 14, "roles": {"relay": 4, "super_node": 1}},
    "calls": {"rate": 0.5, "duration": {"median": 20.0}},
    "churn": {"enabled": True, "session_mean": 100.0, "downtime_mean": 20.0},
    "routing": {"policy": "shortest", "candidates": 6},
}
"""A small world in which things happen anyway."""

SEED = 3
_HALF = 33.0


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
        streams: What the names of its streams begin with.
    """

    on: ClassVar[dict[str, Any]]
    off: ClassVar[dict[str, Any]]
    touches: ClassVar[frozenset[str]] = frozenset()
    streams: ClassVar[tuple[str, ...]] = ()

    def plan(self, *changes: Mapping[str, Any], seed: int = SEED) -> Plan:
        """The plan of `BASE` with some changes."""
        said: dict[str, Any] = BASE
        for change in changes:
            said = merged(said, change)
        return compile_plan(Scenario.model_validate(said), seed)

    def test_off_leaves_the_trace_identical(self, tmp_path: Path) -> None:
        """Every byte of every table is as if the process did not exist."""
        plain, off = self.plan(), self.plan(self.off)
        assert digest(plain) == digest(off)
        assert dict(_tables(plain, tmp_path / "plain")) == dict(_tables(off, tmp_path / "off"))

    def test_on_changes_the_trace(self, tmp_path: Path) -> None:
        """It does something, or the other claims are empty."""
        on, off = dict(_tables(self.plan(self.on), tmp_path / "on")), dict(_tables(self.plan(), tmp_path / "off"))
        assert on != off

    def test_on_changes_no_other_part_of_the_plan(self) -> None:
        """What it does not touch is drawn as before."""
        plain, on = self.plan(), self.plan(self.on)
        parts = {field.name for field in fields(Plan)} - {"scenario", "seed"}
        changed = {part for part in parts if digest(getattr(plain, part)) != digest(getattr(on, part))}
        assert changed <= self.touches, f"changes {sorted(changed - self.touches)} too"

    def test_its_draws_come_from_streams_of_its_own(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Whoever else draws, draws from the streams that there were."""
        plain = _drawn_from(self.plan, (), monkeypatch, tmp_path / "plain")
        fresh = _drawn_from(self.plan, (self.on,), monkeypatch, tmp_path / "on") - plain
        strange = {name for name in fresh if not name.startswith(self.streams)}
        # calls and nodes come and go with the process; the streams of each are named for them
        kinds = {name.split("/")[0] for name in plain}
        assert {name for name in strange if name.split("/")[0] not in kinds} == set()

    def test_equal_seeds_give_equal_plans_and_others_do_not(self) -> None:
        """Nothing is drawn but from the seed."""
        assert digest(self.plan(self.on)) == digest(self.plan(self.on))
        assert digest(self.plan(self.on)) != digest(self.plan(self.on, seed=SEED + 1))

    def test_a_saved_episode_goes_on_to_the_identical_trace(self, tmp_path: Path) -> None:
        """Its state is plain, and all of it is saved."""
        plan = self.plan(self.on)
        whole = begin(plan, tmp_path / "whole").finish()
        episode = begin(plan, tmp_path / "saved")
        episode.advance(_HALF)
        checkpoint(episode)
        assert resume(tmp_path / "saved").finish().trace_sha256 == whole.trace_sha256


def _tables(plan: Plan, out: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of each table; the header tells the scenario, which may well differ."""
    folder = simulate(plan, out).trace
    for table in TABLES:
        yield table, b"".join(part.read_bytes() for part in sorted((folder / table).glob("part-*.parquet")))


def _drawn_from(make: Any, changes: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch, out: Path) -> set[str]:
    """Names of the streams that an episode draws from, compiling included."""
    names: set[str] = set()
    real = SeedTree.stream

    def stream(tree: SeedTree, name: str, entity: int = 0) -> Stream:
        names.add(name)
        return real(tree, name, entity)

    with monkeypatch.context() as patched:
        patched.setattr(SeedTree, "stream", stream)
        simulate(make(*changes), out)
    return names
