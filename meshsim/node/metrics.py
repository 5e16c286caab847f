"""What a node answers Prometheus, on a small server of its own: the brief's names beside ones in canonical form."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Self

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UnknownMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import did_key
from meshsim.node.status import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshsim.node.status import Standing

REQUEST_BYTES = 8192
"""No request is longer."""
REQUEST_TIMEOUT = 5.0
"""Seconds in which a request must have come, and the answer must have been taken."""


_GONE = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError)
"""Whatever ends a visit early; asyncio would make a traceback of a cancelled one."""


class Gauges:
    """Reads a running node's numbers when they are asked for.

    Args:
        read: The node as it stands.
    """

    def __init__(self, read: Callable[[], Standing]) -> None:
        self._read = read
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All numbers in the text format of Prometheus."""
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        """The families of numbers, for prometheus-client."""
        node = self._read()
        yield from _identity(node)
        yield from _calls(node)
        yield from _links(node)
        yield from _faults(node)
        yield from _of_the_brief(node)


def _identity(node: Standing) -> Iterator[Metric]:
    record = node.agent.record
    info = GaugeMetricFamily("meshsim_node_info", "Who this node is.", labels=["node", "aura", "role"])
    info.add_metric([did_key(node.agent.node), record.aura, record.role], 1)
    yield info
    yield GaugeMetricFamily("meshsim_uptime_seconds", "Since the node started.", node.uptime)
    yield GaugeMetricFamily("meshsim_registry_connected", "Whether the rendezvous is open.", float(node.client.online))
    view = node.view()
    yield GaugeMetricFamily("meshsim_view_nodes", "Nodes in this node's area.", len(view.nodes))
    yield GaugeMetricFamily("meshsim_view_nodes_online", "Those believed online.", float(view.nodes.online.sum()))
    yield GaugeMetricFamily("meshsim_view_links", "Directed links in this node's area.", len(view.links))


def _calls(node: Standing) -> Iterator[Metric]:
    tally = node.tally
    ended = CounterMetricFamily("meshsim_calls", "Calls that ended here.", labels=["direction", "outcome"])
    for key, count in sorted(tally.calls.items()):
        ended.add_metric(key, count)
    yield ended
    yield HistogramMetricFamily(
        "meshsim_call_duration_seconds",
        "How long calls stood.",
        buckets=_cumulated(tally.lengths),
        sum_value=tally.talked,
    )
    yield GaugeMetricFamily("meshsim_calls_active", "Calls of which this node is an end.", len(node.calls))
    yield GaugeMetricFamily("meshsim_routes_carried", "Routes of others that pass through.", len(node.carried))
    yield CounterMetricFamily("meshsim_routes_carried_since_start", "Routes of others ever opened.", tally.carried)
    yield GaugeMetricFamily("meshsim_load_ratio", "Share of the room for others' calls in use.", node.agent.load)
    yield GaugeMetricFamily("meshsim_room_calls", "Calls carried for others at most.", node.agent.record.max_calls)
    yield CounterMetricFamily("meshsim_decisions", "Routes decided.", tally.decisions)
    yield CounterMetricFamily("meshsim_failovers", "Calls that found another route.", tally.failovers)


def _links(node: Standing) -> Iterator[Metric]:
    up = GaugeMetricFamily("meshsim_link_up", "Whether a link works.", labels=["peer"])
    rtt = GaugeMetricFamily("meshsim_link_rtt_seconds", "Smoothed round trip.", labels=["peer"])
    loss = GaugeMetricFamily("meshsim_link_loss_ratio", "One way, of the last hundred pings.", labels=["peer"])
    for link in node.links():
        peer = [link["node"]]
        up.add_metric(peer, float(link["up"]))
        if link["rtt_seconds"] is not None:
            rtt.add_metric(peer, link["rtt_seconds"])
            loss.add_metric(peer, link["loss"])
    yield from (up, rtt, loss)


def _faults(node: Standing) -> Iterator[Metric]:
    rejected = CounterMetricFamily("meshsim_rejected", "Messages refused.", labels=["reason"])
    for reason, count in sorted(node.agent.rejected.items()):
        rejected.add_metric([reason], count)
    yield rejected
    signaling = CounterMetricFamily("meshsim_signaling", "Links that failed, envelopes by fate.", labels=["kind"])
    for kind, count in node.neighbours.counts().items():
        signaling.add_metric([kind], count)
    yield signaling
    yield CounterMetricFamily("meshsim_malformed", "Media nobody could read.", node.tally.malformed)
    yield CounterMetricFamily("meshsim_unroutable", "Media of no known route.", node.media.unroutable)
    yield CounterMetricFamily("meshsim_overrun", "Messages beyond their credit: dropped.", node.media.data.overrun)
    yield CounterMetricFamily("meshsim_aic_spared_bytes", "Bytes of media that AIC did not send.", node.media.spared)
    passing = node.media.passing
    yield GaugeMetricFamily("meshsim_video_resent", "Packets sent again, on routes carried now.", passing.resent)
    yield GaugeMetricFamily(
        "meshsim_video_recovered", "Lost packets that came, on routes carried now.", passing.recovered
    )
    lost = node.trace is not None and bool(node.trace.given_up)
    yield GaugeMetricFamily("meshsim_trace_given_up", "Whether the disk took no more of the trace.", float(lost))


def _of_the_brief(node: Standing) -> Iterator[Metric]:
    """The same numbers by the names of the system that meshsim serves."""
    tally = node.tally
    yield UnknownMetricFamily("callsTotal", "Calls that ended here.", sum(tally.calls.values()))
    yield HistogramMetricFamily(
        "callDuration", "Seconds that calls stood.", buckets=_cumulated(tally.lengths), sum_value=tally.talked
    )
    yield GaugeMetricFamily("meshNodesOnline", "Nodes believed online.", float(node.view().nodes.online.sum()))
    yield UnknownMetricFamily("meshRoutesOptimal", "Routes decided.", tally.decisions)
    yield GaugeMetricFamily("meshAIScoreAvg", "Mean score of the routes decided.", tally.mean_score)
    yield UnknownMetricFamily("meshReputationEvents", "Moves of reputations.", tally.reputation_events)
    yield UnknownMetricFamily("aicEnabledRoutesTotal", "Routes whose nodes all support AIC.", tally.with_aic)
    yield UnknownMetricFamily("aicBandwidthSaved", "Megabytes of media that AIC did not send.", node.media.spared / 1e6)


def _cumulated(lengths: list[int]) -> list[tuple[str, float]]:
    """Counts up to each bound, as Prometheus wants them."""
    bounds = ["+Inf" if math.isinf(most) else str(most) for most in BUCKETS]
    return [(bound, float(sum(lengths[: at + 1]))) for at, bound in enumerate(bounds)]


class MetricsServer:
    """Answers `GET /metrics` and `GET /healthz` over HTTP/1.1, one request a connection.

    Args:
        address: `host:port` to listen at; port 0 for any.
        gauges: What is answered.

    Raises:
        ConfigError: On entering, if nobody can listen there.
    """

    def __init__(self, address: str, gauges: Gauges) -> None:
        self._address = address
        self._gauges = gauges
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return 0 if self._server is None else int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        host, _, port = self._address.rpartition(":")
        try:
            self._server = await asyncio.start_server(self._visit, host, int(port), limit=REQUEST_BYTES)
        except (OSError, OverflowError) as taken:
            raise ConfigError(f"cannot listen at {self._address}: {taken}", key="metrics") from taken
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(*_GONE):
            async with asyncio.timeout(REQUEST_TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method != b"GET":
            return _reply("405 Method Not Allowed", b"only GET\n")
        if path == b"/metrics":
            return _reply("200 OK", self._gauges.text(), CONTENT_TYPE_LATEST)
        if path == b"/healthz":
            return _reply("200 OK", b"ok\n")
        return _reply("404 Not Found", b"there are /metrics and /healthz\n")


def _reply(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
