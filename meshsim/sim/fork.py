"""What-ifs: a saved episode goes on with some of its scenario changed, beside what it would have been.

Up to the fork both share every row; a fork without a change goes on to the identical trace. Draws are functions of
stream, entity and number, so what is not changed by the change stays as it was: the two differ by the change alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.measure.trace import refuse_whole
from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario import PlannedCalls, PlannedFaults, change, compile_plan
from meshsim.sim.checkpoint import bring, load
from meshsim.sim.environment import BEFORE
from meshsim.sim.simulation import header, make_engine, show_truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.routing.policies import Policy
    from meshsim.scenario import Scenario
    from meshsim.sim.simulation import Episode

CHANGEABLE = (
    "calls.arrivals",
    "calls.duration",
    "calls.listed",
    "calls.locality",
    "calls.rate",
    "churn",
    "control.missing",
    "control.noise",
    "duration",
    "faults",
    "outages",
    "routing.candidates",
    "routing.exploration",
    "routing.fallbacks",
    "routing.model",
    "routing.policy",
    "routing.trust_floor",
)
"""What a fork may change: what lies ahead of it, and how routes are chosen. The rest has shaped the world already."""

_CALLS = ("calls", "duration")
_FAULTS = ("churn", "faults", "outages", "duration")
_KINDS = frozenset({"goodbye", "down", "up", "edge_down", "edge_up"})
_POLICY = ("routing.exploration", "routing.model", "routing.policy")
_RANKED = ("calls", "routing")


def fork(folder: Path, out: Path, changes: Sequence[str] = (), *, policy: str | Policy | None = None) -> Episode:
    """The episode whose checkpoint lies in `folder`, going on in `out` with something changed.

    Args:
        folder: Is left as it is; its episode may have gone on, or have finished.
        out: Folder of the fork's trace; must hold none yet.
        changes: `dotted.key=value` each, of the keys in `CHANGEABLE`. Calls and faults change from the fork on: those
            under way stay, and a node that is down comes back when it would have, if not before.
        policy: Instead of the one that has chosen so far.

    Raises:
        TraceError: If there is no sound checkpoint of this version in `folder`, or a trace in `out`.
        ConfigError: If a key may not be changed, something new lies in the past of the fork, or a policy is to take the
            place of a routing protocol or the other way round.
    """
    refuse_whole(Path(out))
    episode = load(Path(folder))
    scenario = change(episode.plan.scenario, changes)
    changed = _differences(episode.plan.scenario.model_dump(), scenario.model_dump())
    _check(episode, scenario, changed)
    before = episode.engine.policy.name
    _replan(episode, scenario, changed)
    _reroute(episode, changed, policy)
    now_chosen = episode.engine.policy.name
    writer, said = episode.recorder.writer, {}
    if changed or now_chosen != before:
        what = [*changes, *([] if policy is None else [f"policy={now_chosen}"])]
        forks = [*writer.header.get("forks", ()), {"at_seconds": episode.env.now, "changes": what}]
        said = header(episode.plan, now_chosen) | {"forks": forks}
    bring(writer.parts, Path(folder), Path(out))
    writer.move(out, **said)
    return episode


def _differences(old: Any, new: Any, key: str = "") -> tuple[str, ...]:
    """Dotted keys whose values differ; lists and changes of kind as wholes."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and old.keys() == new.keys():
        inner = (_differences(old[part], new[part], f"{key}.{part}" if key else str(part)) for part in old)
        return tuple(found for differences in inner for found in differences)
    return () if old == new else (key,)


def _within(key: str, group: Sequence[str]) -> bool:
    return any(key == entry or key.startswith(f"{entry}.") for entry in group)


def _check(episode: Episode, scenario: Scenario, changed: Sequence[str]) -> None:
    for key in changed:
        if not _within(key, CHANGEABLE):
            raise ConfigError(
                "cannot be changed in a fork: it has shaped the episode so far",
                key=key,
                allowed=CHANGEABLE,
                nearest=nearest(key, CHANGEABLE),
            )
    now, old = episode.env.now, episode.plan.scenario
    if scenario.duration <= now:
        raise ConfigError(f"the episode is at {now:g} s already", key="duration", allowed=[f"> {now:g} s"])
    listed, kept = scenario.calls.listed, old.calls.listed
    said = [("faults", i, entry.at, entry in old.faults) for i, entry in enumerate(scenario.faults)]
    said += [("calls.listed", i, entry.at, entry in kept) for i, entry in enumerate(listed)]
    for what, i, at, known in said:
        if at < now and not known:
            raise ConfigError(f"{at:g} s lies before the fork", key=f"{what}.{i}.at", allowed=[f">= {now:g} s"])


# Routes ---------------------------------------------------------------------------------------------------------------


def _reroute(episode: Episode, changed: Sequence[str], policy: str | Policy | None) -> None:
    """All that chooses routes shares one engine, so it is changed in place."""
    engine, anew = episode.engine, any(_within(key, _POLICY) for key in changed)
    protocol = episode.plan.scenario.routing.protocol
    if protocol and (anew or policy is not None):
        raise ConfigError(f"calls follow the tables of {protocol}, which a fork cannot exchange", key="policy")
    chosen = policy if policy is not None else None if anew else engine.policy
    wanted = make_engine(episode.plan, chosen)
    show_truth(wanted.policy, episode.world)
    if wanted.policy is not engine.policy:
        episode.recorder.keep_policy(range(episode.board.counts["started"]), engine.policy.name)
    if wanted.policy is not engine.policy or any(_within(key, _RANKED) for key in changed):
        episode.board.rank_anew()
    engine.policy, engine.candidates = wanted.policy, wanted.candidates
    engine.fallbacks, engine.limits = wanted.fallbacks, wanted.limits


# What lies ahead ------------------------------------------------------------------------------------------------------


def _replan(episode: Episode, scenario: Scenario, changed: Sequence[str]) -> None:
    """Puts another future into the plan and the queue."""
    if not changed:
        return
    plan, env = episode.plan, episode.env
    fresh = compile_plan(scenario, plan.seed)
    parts: dict[str, Any] = {"scenario": scenario}
    if any(_within(key, _CALLS) for key in changed):
        started = episode.board.counts["started"]
        parts["calls"] = _joined_calls(plan.calls, started, fresh.calls, env.now)
    if any(_within(key, _FAULTS) for key in changed):
        ahead = [(at, record) for at, _, _, record in env.records() if record.kind in _KINDS]
        env.cancel(set(_KINDS))
        parts["faults"] = _coherent_faults(fresh.faults, [(at, r.kind, r.entity) for at, r in ahead], episode)
        for at, kind, node in zip(*_columns(parts["faults"]), strict=True):
            env.schedule_record(at, kind, node, priority=BEFORE)
    if "duration" in changed:
        env.cancel({"end"})
        env.schedule_record(scenario.duration, "end", 0, priority=BEFORE)
    for name, value in parts.items():
        # every part of the episode holds this one plan, which was read for this fork alone
        object.__setattr__(plan, name, value)
    if "calls" in parts:
        episode.board.replan(started)


def _joined_calls(old: PlannedCalls, started: int, new: PlannedCalls, now: float) -> PlannedCalls:
    """The first `started` calls of `old`, then those of `new` that start at `now` or later: numbers stay."""
    first = int(np.searchsorted(new.start, now))
    joined: dict[str, Any] = {}
    for field in fields(PlannedCalls):
        past, future = getattr(old, field.name)[:started], getattr(new, field.name)[first:]
        joined[field.name] = past + future if isinstance(past, tuple) else np.concatenate([past, future])
    return PlannedCalls(**joined)


def _columns(faults: PlannedFaults) -> tuple[list[float], tuple[str, ...], list[int]]:
    return faults.at.tolist(), faults.kind, faults.node.tolist()


def _coherent_faults(fresh: PlannedFaults, ahead: Sequence[tuple[float, str, int]], episode: Episode) -> PlannedFaults:
    """What of `fresh` lies ahead and changes something; what is down comes back when it would have.

    Args:
        fresh: Of the changed scenario, from its start.
        ahead: Time, kind and node of what was planned so far, in order of time.
        episode: At the fork.
    """
    now, world = episode.env.now, episode.world
    up = {"node": world.online.copy(), "edge": ~world.cuts.cut}
    events = [event for event in zip(*_columns(fresh), strict=True) if event[0] >= now]
    back: dict[tuple[str, int], tuple[float, str, int]] = {}
    for event in ahead:
        what, rises = _sense(event[1])
        if rises and not up[what][event[2]]:
            back.setdefault((what, event[2]), event)
    kept = _changing(sorted([*events, *back.values()], key=lambda event: event[0]), up)
    return PlannedFaults(
        at=np.array([event[0] for event in kept], dtype=np.float64),
        kind=tuple(event[1] for event in kept),
        node=np.array([event[2] for event in kept], dtype=np.int32),
    )


def _sense(kind: str) -> tuple[str, bool]:
    """What a fault happens to, and whether it brings it back."""
    return "edge" if kind.startswith("edge") else "node", kind.endswith("up")


def _changing(
    events: Sequence[tuple[float, str, int]], up: Mapping[str, NDArray[np.bool_]]
) -> list[tuple[float, str, int]]:
    """Those of `events` that take down what is up, or bring up what is down, and goodbyes; `up` is used up."""
    kept = []
    for event in events:
        what, rises = _sense(event[1])
        if event[1] == "goodbye":
            kept.append(event)
        elif bool(up[what][event[2]]) != rises:
            up[what][event[2]] = rises
            kept.append(event)
    return kept
