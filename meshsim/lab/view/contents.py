"""What a page shows of one trace: plain arrays and words, thinned out so that a page stays small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.view import steps
from meshsim.lab.view.paths import Legs, Ragged, kept_calls, kept_candidates, legs_of
from meshsim.lab.view.places import places
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import TraceError
from meshsim.mesh.view import Nat, Role

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

_CALL_NUMBERS = ("rtt_seconds", "loss", "mos", "ai_score", "confidence")
_TRUTHS = ("rtt_seconds", "loss", "mos", "utility")


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything on a page.

    Attributes:
        words: What is text or one number, as JSON values.
        arrays: What is many numbers, by name; ragged ones as `name` and `name_start`.
    """

    words: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def contents(folder: Path) -> Contents:
    """What a page shows of the trace in `folder`.

    Raises:
        TraceError: If there is no whole trace, or one without nodes.
    """
    trace = Trace(folder)
    nodes = trace.columns("nodes")
    if not len(nodes["node"]):
        raise TraceError(f"{folder}: a trace without nodes: there is nothing to look at")
    calls, events = trace.table("calls"), trace.columns("events")
    legs = legs_of(calls, events)
    times = steps.grid(_end(trace, legs))
    kept = kept_calls(len(calls))
    arrays = {
        "place": places(nodes["latitude_degrees"], nodes["longitude_degrees"]),
        "role": nodes["role"].astype(np.uint8),
        **links(trace.columns("links")),
        **_series(trace, nodes, events, calls, legs, times),
        **_calls(calls.take(kept), legs, kept),
    }
    words = {
        **_what(trace, times),
        "nodes": len(nodes["node"]),
        **_names(nodes),
        "media": calls["media"].take(kept).to_pylist(),
        "outcome": calls["outcome"].take(kept).to_pylist(),
        "reason": calls["reason"].take(kept).to_pylist(),
        "calls": len(calls),
    }
    told, candidates = _candidates(trace.table("routes"), calls["call"].to_numpy()[kept])
    return Contents(words | told, arrays | candidates)


def _end(trace: Trace, legs: Legs) -> float:
    """Seconds until the last thing that is shown; the planned length, where calls end within it."""
    scenario = trace.header.get("scenario")
    planned = float(scenario.get("duration", 0.0)) if isinstance(scenario, dict) else 0.0
    return planned if planned > 0.0 else float(legs.end.max(initial=1.0))


def _what(trace: Trace, times: NDArray[np.float64]) -> dict[str, Any]:
    scenario = trace.header.get("scenario")
    told = scenario if isinstance(scenario, dict) else {}
    return {
        "name": str(told.get("name", trace.folder.name)),
        "description": str(told.get("description", "")),
        "seed": trace.header.get("seed"),
        "policy": trace.header.get("policy"),
        "warmup_seconds": float(told.get("warmup", 0.0)),
        "times_seconds": times.tolist(),
    }


def _names(nodes: dict[str, Any]) -> dict[str, Any]:
    return {
        "name_of": nodes["name"],
        "aura_of": nodes["aura"],
        "domain_of": nodes["domain"],
        "nat_of": [Nat(code).name.lower().replace("_", " ") for code in nodes["nat"].tolist()],
        "conduct_of": [text.replace("_", " ") for text in nodes["behaviour"]],
        "roles": [role.name.lower().replace("_", " ") for role in Role],
    }


def links(table: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Each pair of nodes with a link in either direction, once: (S, 2)."""
    pairs = np.sort(np.stack([table["src"], table["dst"]], axis=1), axis=1)
    return {"link": np.unique(pairs, axis=0).astype(np.uint16 if pairs.size and pairs.max() < 1 << 16 else np.int32)}


def _series(
    trace: Trace, nodes: dict[str, Any], events: dict[str, Any], calls: pa.Table, legs: Legs, times: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    count = len(nodes["node"])
    chosen = calls["ai_score"].to_numpy()[legs.call]
    return {
        "up": steps.presence(events, times, count).astype(np.uint8),
        "reputation": steps.reputation(trace.columns("trust"), times, count),
        "load": steps.load(legs, times, nodes["max_calls"]),
        "score": steps.score(legs, chosen, times, count),
        "running": steps.running(legs, times),
    }


def _calls(calls: pa.Table, legs: Legs, kept: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The calls that can be picked, and where they were led."""
    place = np.searchsorted(kept, legs.call)
    mine = np.flatnonzero(kept[np.minimum(place, len(kept) - 1)] == legs.call) if len(kept) else np.zeros(0, np.int64)
    mine = mine[np.lexsort((legs.begin[mine], legs.call[mine]))]
    return {
        "call": calls["call"].to_numpy().astype(np.int32),
        "caller": calls["caller"].to_numpy(),
        "callee": calls["callee"].to_numpy(),
        "failovers": calls["failovers"].to_numpy(),
        "call_begin": steps.seconds(calls["start_ns"].to_numpy()).astype(np.float32),
        "call_end": steps.seconds(calls["end_ns"].to_numpy()).astype(np.float32),
        **{f"call_{name}": calls[name].to_numpy().astype(np.float32) for name in _CALL_NUMBERS},
        "leg_call": place[mine].astype(np.int32),
        "leg_begin": legs.begin[mine].astype(np.float32),
        "leg_end": legs.end[mine].astype(np.float32),
        **_packed("leg_path", legs.path.take(mine)),
    }


def _candidates(routes: pa.Table, kept: NDArray[np.int64]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Of the calls that can be picked, what they could have had; the last choice of each."""
    order = np.argsort(kept, kind="stable")
    call = routes["call"].to_numpy()
    at = order[np.minimum(np.searchsorted(kept[order], call), len(kept) - 1)] if len(kept) else np.zeros(len(call), int)
    mine = np.flatnonzero(kept[at] == call) if len(kept) else np.zeros(0, np.int64)
    mine = mine[kept_candidates(at[mine], *(routes[name].to_numpy()[mine] for name in ("chosen", "utility")))]
    told = routes.select(["refusal", "chosen", *_TRUTHS, "path"]).take(mine)
    refusals, which = np.unique(np.array(told["refusal"].to_pylist(), dtype=str), return_inverse=True)
    return {"refusals": refusals.tolist()}, {
        "option_call": at[mine].astype(np.int32),
        "option_refusal": which.astype(np.uint16),
        "option_chosen": told["chosen"].to_numpy().astype(np.uint8),
        **{f"option_{name}": told[name].to_numpy().astype(np.float32) for name in _TRUTHS},
        **_packed("option_path", Ragged.of(told["path"])),
    }


def _packed(name: str, rows: Ragged) -> dict[str, NDArray[Any]]:
    return {name: rows.values.astype(np.int32), f"{name}_start": rows.start.astype(np.int32)}
