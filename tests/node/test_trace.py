from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshsim.agent import CallSample, EventSample, RouteSample, TrustSample
from meshsim.agent.samples import Failover
from meshsim.identity import Ed25519Signer
from meshsim.measure.metrics import METRICS
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import MediaType
from meshsim.mesh.view import LinkEntry, NodeEntry, Role, link_belief, make_view
from meshsim.node.config import NodeConfig
from meshsim.node.trace import NodeTrace
from meshsim.routing import RouteRequest, RoutingEngine
from meshsim.trust.status import Status

OWN, RELAY, BOB = (NodeId(Ed25519Signer.from_seed(bytes([n]) * 32).node_id) for n in range(1, 4))
CALL = CallId(bytes(16))


def untold(event: dict[str, Any]) -> None: ...


def config(folder: Path) -> NodeConfig:
    return NodeConfig(aura="@alice.aura", key="k", registry="http://127.0.0.1:1", trace=str(folder / "trace"))


def call_sample(at: float) -> CallSample:
    return CallSample(
        call=CALL, start=at, end=at + 5, caller=OWN, callee=BOB, media=MediaType.AUDIO, decision=None,
        path=(OWN, RELAY, BOB), final_path=(OWN, BOB), outcome="completed", reason="",
        failovers=(Failover(heard=at + 1, lost=at + 2, restored=at + 2.1),),
        rtt=0.05, jitter=0.001, loss=0.0, mos=4.2, poor=False,
    )  # fmt: skip


def test_samples_become_the_tables_that_the_simulator_writes(tmp_path: Path) -> None:
    trace = NodeTrace(config(tmp_path), OWN, untold)
    at = trace.started + 1.5
    trace.keep(call_sample(at))
    trace.keep(TrustSample(at=at, node=RELAY, event="call_dropped", score=40.0, low=10.0, high=70.0, status=Status.NEW))
    trace.keep(EventSample(at=at, kind="neighbour_lost", node=RELAY))
    trace.flush()
    read = Trace(tmp_path / "trace")
    assert read.header["aura"] == "@alice.aura"
    assert read.columns("nodes")["node_id"] == [bytes(OWN), bytes(BOB), bytes(RELAY)]
    calls = read.columns("calls")
    assert calls["path"] == [[0, 2, 1]]
    assert calls["start_ns"].tolist() == [pytest.approx(1_500_000_000, abs=1)]
    assert calls["failovers"].tolist() == [1]
    assert METRICS["mos"].value(read) == pytest.approx(4.2)
    assert read.columns("trust")["status"] == ["new"]
    assert read.columns("events")["kind"] == ["neighbour_lost"]


def test_links_are_written_as_last_pinged_from_this_end_and_only_while_fresh(tmp_path: Path) -> None:
    trace = NodeTrace(config(tmp_path), OWN, untold)
    entries = [NodeEntry(id=node) for node in (OWN, RELAY, BOB)]
    fresh = [
        LinkEntry(src=0, dst=1, delay=0.030, age=0.2),
        LinkEntry(src=1, dst=0, delay=0.030, age=0.2),
        LinkEntry(src=0, dst=2, delay=0.040, age=7.0),
    ]
    view = make_view(entries, [], fresh=fresh, owner=0)
    trace.links(view, link_belief(fresh), {RELAY: 0.025, BOB: 0.045}, 1.0)
    trace.flush()
    read = Trace(tmp_path / "trace")
    samples = read.columns("link_samples")
    assert samples["src"].tolist() == [0]
    assert [read.columns("nodes")["node_id"][i] for i in samples["dst"]] == [bytes(RELAY)]
    np.testing.assert_allclose(samples["delay_seconds"], [0.025])
    nodes = read.columns("nodes")
    assert nodes["capacity_bps"].tolist() == [50e6, 50e6]
    assert nodes["aura"] == ["@alice.aura", ""]


def test_what_is_not_known_of_a_node_is_not_made_up(tmp_path: Path) -> None:
    trace = NodeTrace(config(tmp_path), OWN, untold)
    assert trace.row(BOB) == trace.row(BOB) == 1
    trace.flush()
    nodes = Trace(tmp_path / "trace").columns("nodes")
    assert nodes["role"].tolist() == [-1, -1]
    assert all(math.isnan(value) for value in nodes["latitude_degrees"])


def test_a_node_that_starts_again_writes_beside_what_it_wrote_before(tmp_path: Path) -> None:
    for _ in range(3):
        NodeTrace(config(tmp_path), OWN, untold).flush()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trace", "trace.2", "trace.3"]
    assert len({Trace(path).columns("nodes")["name"][0] for path in tmp_path.iterdir()}) == 1


def test_a_trace_is_whole_after_each_flush_and_goes_on(tmp_path: Path) -> None:
    trace = NodeTrace(config(tmp_path), OWN, untold)
    for count in (1, 2, 3):
        trace.keep(EventSample(at=trace.started, kind="neighbour_lost", node=(OWN, RELAY, BOB)[count - 1]))
        trace.flush()
        read = Trace(trace.folder)
        assert read.columns("events")["node"].tolist() == list(range(count))
        assert read.columns("nodes")["node"].tolist() == list(range(count))


def test_a_disk_that_takes_no_more_ends_the_trace_and_is_told_once(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    trace = NodeTrace(config(tmp_path), OWN, told.append)
    trace.flush()
    shutil.rmtree(trace.folder)
    trace.folder.write_bytes(b"")  # nothing can be written below a file
    for _ in range(2):
        trace.keep(call_sample(trace.started))
        trace.flush()
    assert trace.given_up
    assert [event["event"] for event in told] == ["error"]
    assert "the trace ends here" in told[0]["reason"]


def test_a_folder_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be written") as wrong:
        NodeTrace(config(tmp_path / "file"), OWN, untold)
    assert wrong.value.key == "trace"


def test_all_candidates_of_a_decision_are_kept_as_they_were_believed(tmp_path: Path) -> None:
    nodes = [
        NodeEntry(id=node, role=Role.RELAY if node == RELAY else Role.PEER, max_calls=4 if node == RELAY else 0)
        for node in sorted((OWN, RELAY, BOB))
    ]
    at = {entry.id: row for row, entry in enumerate(nodes)}
    hops = [(OWN, RELAY), (RELAY, BOB), (OWN, BOB)]
    links = [
        LinkEntry(src=at[a], dst=at[b], delay=delay, jitter=0.001, loss=0.0, rate=1e7)
        for (one, other), delay in zip(hops, (0.01, 0.02, 0.09), strict=True)
        for a, b in ((one, other), (other, one))
    ]
    view = make_view(nodes, links, owner=at[OWN])
    engine = RoutingEngine("shortest")
    request = RouteRequest(source=OWN, destinations=(BOB,), media=MediaType.AUDIO)
    ranking = engine.rank(request, view)
    decision = engine.decide(ranking, request, view)
    trace = NodeTrace(config(tmp_path), OWN, untold)
    trace.keep(RouteSample(call=CALL, at=trace.started, request=request, view=view, ranking=ranking, decision=decision))
    trace.flush()
    routes = Trace(tmp_path / "trace").columns("routes")
    ids = Trace(tmp_path / "trace").columns("nodes")["node_id"]
    paths = [tuple(NodeId(ids[row]) for row in path) for path in routes["path"]]
    taken = [paths[k] for k in np.flatnonzero(routes["chosen"])]
    assert taken == [decision.path] == [(OWN, RELAY, BOB)]
    assert routes["hop_delay_seconds"][paths.index(decision.path)] == pytest.approx([0.01, 0.02])
    assert np.isnan(routes["rtt_seconds"]).all()
