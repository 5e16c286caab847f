"""Small traces with a known truth, written through the real writer: beliefs are noisy, some relays drop packets.

The truth of a candidate is composed from its hops' truth and its relays' hidden drop; reputation hints at the droppers,
so that there is something to learn that no heuristic on delays sees.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.trace import TraceWriter
from meshsim.mesh import geo, quality
from meshsim.mesh.seeds import SeedTree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PERIOD = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The synthetic world; node arrays (N,), pair arrays (N, N)."""

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    relay: NDArray[np.bool_]
    drop: NDArray[np.float64]
    reputation: NDArray[np.float64]
    delay: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]

    def path(self, nodes: tuple[int, ...]) -> tuple[float, float, float]:
        """RTT, jitter and loss of a path, relays' drop included."""
        src, dst = np.array(nodes[:-1]), np.array(nodes[1:])
        passed = quality.compose_loss(np.concatenate([self.loss[src, dst], self.drop[list(nodes[1:-1])]]))
        return 2 * float(self.delay[src, dst].sum()), quality.compose_jitter(self.jitter[src, dst]), passed


def make_truth(seed: int, *, peers: int = 10, relays: int = 6) -> Truth:
    """A world of `peers` and `relays`; half of the relays drop packets and are known for it."""
    draw = SeedTree(seed).generator("synthetic")
    n = peers + relays
    latitude, longitude = draw.uniform(30, 50, n), draw.uniform(-120, 20, n)
    relay = np.arange(n) >= peers
    bad = relay & (draw.random(n) < 0.5)
    distance = geo.distance(latitude[:, None], longitude[:, None], latitude[None], longitude[None])
    delay = geo.predicted_rtt(distance) / 2 * draw.lognormal(0.0, 0.2, (n, n))
    congested = draw.random((n, n)) < 0.3
    return Truth(
        latitude=latitude,
        longitude=longitude,
        relay=relay,
        drop=np.where(bad, draw.uniform(0.03, 0.15, n), 0.0),
        reputation=np.where(bad, draw.uniform(40, 70, n), draw.uniform(80, 99, n)),
        delay=delay,
        jitter=np.where(congested, draw.uniform(0.008, 0.02, (n, n)), draw.uniform(0.001, 0.005, (n, n))),
        loss=np.where(congested, draw.uniform(0.005, 0.03, (n, n)), draw.uniform(0.0, 0.003, (n, n))),
    )


class Rows:
    """Rows of all tables, written at once: one append per call would take most of the time."""

    def __init__(self) -> None:
        self.columns: dict[str, dict[str, list[object]]] = {}

    def append(self, table: str, **columns: Sequence[object]) -> None:
        kept = self.columns.setdefault(table, {name: [] for name in columns})
        for name, values in columns.items():
            kept[name].extend(values.tolist() if isinstance(values, np.ndarray) else values)

    def write(self, writer: TraceWriter) -> None:
        for table, columns in self.columns.items():
            writer.append(table, **columns)


def _write_nodes(rows: Rows, truth: Truth) -> None:
    n = len(truth.relay)
    ids = [SeedTree(0).generator("id", i).bytes(32) for i in range(n)]
    rows.append(
        "nodes",
        node=np.arange(n, dtype=np.int32),
        node_id=ids,
        name=[f"n{i}" for i in range(n)],
        aura=[f"@n{i}.aura" for i in range(n)],
        domain=[""] * n,
        role=np.where(truth.relay, 2, 0).astype(np.int32),
        nat=np.zeros(n, dtype=np.int32),
        latitude_degrees=truth.latitude,
        longitude_degrees=truth.longitude,
        aic=np.ones(n, dtype=bool),
        capacity_bps=np.full(n, 50e6),
        max_calls=np.where(truth.relay, 50, 0).astype(np.int32),
        behaviour=["gray_hole" if drop else "honest" for drop in truth.drop],
        strength=truth.drop,
    )


def _believed(
    truth: Truth, draw: np.random.Generator, src: NDArray[np.int64], dst: NDArray[np.int64]
) -> dict[str, NDArray[np.generic]]:
    noise = draw.lognormal(0.0, 0.1, (3, len(src)))
    return {
        "delay": truth.delay[src, dst] * noise[0],
        "jitter": truth.jitter[src, dst] * noise[1],
        "loss": truth.loss[src, dst] * noise[2],
        "rate": draw.uniform(5e6, 20e6, len(src)),
        "age": draw.uniform(0.0, 60.0, len(src)),
        "observed": np.ones(len(src), dtype=bool),
    }


def _write_view(rows: Rows, truth: Truth, draw: np.random.Generator, view: int) -> dict[str, NDArray[np.generic]]:
    n = len(truth.relay)
    pairs = np.argwhere((truth.relay[:, None] | truth.relay[None]) & ~np.eye(n, dtype=bool))
    src, dst = pairs[:, 0], pairs[:, 1]
    belief = _believed(truth, draw, src, dst)
    ids = np.full(len(src), view, dtype=np.int64)
    rows.append("views", view=[view], owner=[-1], time_ns=[int(view * PERIOD * 1e9)])
    rows.append(
        "view_nodes",
        view=np.full(n, view, dtype=np.int64),
        node=np.arange(n, dtype=np.int32),
        online=np.ones(n, dtype=bool),
        load=draw.uniform(0, 0.5, n),
        reputation=truth.reputation,
        reputation_low=truth.reputation - 5,
        reputation_high=np.minimum(truth.reputation + 5, 100),
        evidence=np.full(n, 30.0),
        age_seconds=draw.uniform(0, 30, n),
    )
    rows.append(
        "view_links",
        view=ids,
        src=src.astype(np.int32),
        dst=dst.astype(np.int32),
        delay_seconds=belief["delay"],
        jitter_seconds=belief["jitter"],
        loss=belief["loss"],
        rate_bps=belief["rate"],
        age_seconds=belief["age"],
        observed=belief["observed"],
    )
    return {"src": src, "dst": dst, **belief}


def _write_call(
    rows: Rows,
    truth: Truth,
    draw: np.random.Generator,
    call: int,
    view: int,
    links: dict[str, NDArray[np.generic]],
) -> None:
    a, b = (int(x) for x in draw.choice(np.flatnonzero(~truth.relay), 2, replace=False))
    relays = draw.permutation(np.flatnonzero(truth.relay))
    paths = [(a, b), *[(a, int(r), b) for r in relays], (a, int(relays[0]), int(relays[1]), b)]
    direct = _believed(truth, draw, np.array([a]), np.array([b]))
    row = {(int(s), int(d)): i for i, (s, d) in enumerate(zip(links["src"], links["dst"], strict=True))}

    def hops(name: str) -> list[list[object]]:
        return [
            [
                direct[name][0].item() if (s, d) == (a, b) else links[name][row[s, d]].item()
                for s, d in itertools.pairwise(p)
            ]
            for p in paths
        ]

    true = np.array([truth.path(p) for p in paths])
    at = int((view * PERIOD + draw.uniform(0, PERIOD)) * 1e9)
    p = len(paths)
    rows.append(
        "routes",
        call=np.full(p, call, dtype=np.int64),
        candidate=np.arange(p, dtype=np.int32),
        time_ns=np.full(p, at, dtype=np.int64),
        view=np.full(p, view, dtype=np.int64),
        path=[list(path) for path in paths],
        hop_delay_seconds=hops("delay"),
        hop_jitter_seconds=hops("jitter"),
        hop_loss=hops("loss"),
        hop_rate_bps=hops("rate"),
        hop_age_seconds=hops("age"),
        hop_observed=hops("observed"),
        feasible=np.ones(p, dtype=bool),
        refusal=[""] * p,
        utility=np.zeros(p),
        propensity=np.eye(p)[0],
        chosen=np.arange(p) == 0,
        connected=np.ones(p, dtype=bool),
        rtt_seconds=true[:, 0],
        jitter_seconds=true[:, 1],
        loss=true[:, 2],
        mos=quality.voice_mos(true[:, 0] / 2, true[:, 1], true[:, 2]),
        poor=quality.poor(true[:, 0], true[:, 1], true[:, 2]),
    )
    _write_outcome(rows, call, at, (a, b), true[0])


def _write_outcome(rows: Rows, call: int, at: int, path: tuple[int, int], true: NDArray[np.float64]) -> None:
    rtt, jitter, loss = (float(x) for x in true)
    rows.append(
        "calls",
        call=[call],
        start_ns=[at],
        end_ns=[at + 60_000_000_000],
        caller=[path[0]],
        callee=[path[1]],
        media=["audio" if call % 3 else "audio_video"],
        policy=["direct"],
        path=[list(path)],
        final_path=[list(path)],
        ai_score=[float("nan")],
        confidence=[float("nan")],
        predicted_rtt_seconds=[rtt],
        outcome=["completed"],
        reason=[""],
        failovers=[0],
        rtt_seconds=[rtt],
        jitter_seconds=[jitter],
        loss=[loss],
        mos=[float(quality.voice_mos(rtt / 2, jitter, loss))],
        poor=[bool(quality.poor(rtt, jitter, loss))],
        ring_seconds=[float("nan")],
        resolve_seconds=[float("nan")],
        borders=[-1],
        rate_share=[1.0],
        aic=[False],
        saved_bytes=[0.0],
    )


def write_trace(folder: Path, *, seed: int, calls: int = 60, per_view: int = 6, topology: str = "sndlib/geant") -> Path:
    """Writes one synthetic episode into `folder` and returns it."""
    truth = make_truth(seed)
    header = {"scenario": {"name": "synthetic", "underlay": {"topology": topology}}, "seed": seed}
    rows = Rows()
    _write_nodes(rows, truth)
    draw = SeedTree(seed).generator("synthetic-calls")
    links: dict[str, NDArray[np.generic]] = {}
    for call in range(calls):
        view = call // per_view
        if call % per_view == 0:
            links = _write_view(rows, truth, draw, view)
        _write_call(rows, truth, draw, call, view, links)
    with TraceWriter(folder, header) as writer:
        rows.write(writer)
    return folder
