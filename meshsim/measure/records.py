"""What is written down of an episode: the tables of a trace, column by column, for the simulator and for real nodes.

Names carry units; times are int64 nanoseconds since the episode's start; nodes and links are int32 rows of `nodes`
and `links`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1

ASIDE = ("absent", "busy", "declined", "refused", "unanswered")
"""Outcomes of calls that ended for people or policy: told apart, never a failure of routing, not judged by quality.

`absent`: nobody was there to call. Whoever is not there as a call is placed is so under every routing, so these calls
are the same for all policies.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a trace table.

    Attributes:
        name: With its unit, as in `delay_seconds`.
        type: `int64`, `int32`, `float64`, `bool`, `string`, `binary`, or `list<...>` of one of these.
        text: What it holds.
    """

    name: str
    type: str
    text: str


def _columns(*rows: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


TABLES: dict[str, tuple[Column, ...]] = {
    "nodes": _columns(
        ("node", "int32", "row of the node"),
        ("node_id", "binary", "raw Ed25519 public key"),
        ("name", "string", "short name"),
        ("aura", "string", "AuraID of the owner"),
        ("domain", "string", "federated domain, empty at home"),
        ("role", "int32", "mesh.view.Role"),
        ("nat", "int32", "mesh.view.Nat"),
        ("latitude_degrees", "float64", "position"),
        ("longitude_degrees", "float64", "position"),
        ("aic", "bool", "supports AIC"),
        ("capacity_bps", "float64", "access rate"),
        ("max_calls", "int32", "calls carried for others at most"),
        ("behaviour", "string", "truth: honest or the misbehaviour; never a feature"),
        ("strength", "float64", "truth: strength of the misbehaviour"),
    ),
    "links": _columns(
        ("link", "int32", "row of the link"),
        ("src", "int32", "from node"),
        ("dst", "int32", "to node"),
    ),
    "views": _columns(
        ("view", "int64", "version of the belief"),
        ("owner", "int32", "believing node, -1 area-wide"),
        ("time_ns", "int64", "when it was formed"),
    ),
    "view_nodes": _columns(
        ("view", "int64", "version of the belief"),
        ("node", "int32", "node"),
        ("online", "bool", "believed reachable"),
        ("load", "float64", "share of call capacity in use"),
        ("reputation", "float64", "score 0..100"),
        ("reputation_low", "float64", "lower bound of its interval"),
        ("reputation_high", "float64", "upper bound of its interval"),
        ("evidence", "float64", "effective outcomes behind it"),
        ("age_seconds", "float64", "since the node was last heard of"),
    ),
    "view_links": _columns(
        ("view", "int64", "version of the belief"),
        ("src", "int32", "from node"),
        ("dst", "int32", "to node"),
        ("delay_seconds", "float64", "one-way"),
        ("jitter_seconds", "float64", "RFC 3550"),
        ("loss", "float64", "probability"),
        ("rate_bps", "float64", "spare rate"),
        ("age_seconds", "float64", "since measured"),
        ("observed", "bool", "measured, not predicted"),
    ),
    "calls": _columns(
        ("call", "int64", "row of the call"),
        ("start_ns", "int64", "asked for"),
        ("end_ns", "int64", "ended"),
        ("caller", "int32", "node"),
        ("callee", "int32", "node, -1 when not resolved"),
        ("media", "string", "mesh.media.MediaType"),
        ("policy", "string", "who chose"),
        ("path", "list<int32>", "nodes of the first route, empty when none"),
        ("final_path", "list<int32>", "nodes of the last route"),
        ("ai_score", "float64", "0..100, NaN when the policy claims none"),
        ("confidence", "float64", "0..1, NaN when the policy claims none"),
        ("predicted_rtt_seconds", "float64", "by the policy"),
        ("outcome", "string", "completed, dropped, failed, running; without a failure of routing: see ASIDE"),
        ("reason", "string", "why it failed or dropped, empty otherwise"),
        ("failovers", "int32", "changes of route"),
        ("rtt_seconds", "float64", "as lived, both ways"),
        ("jitter_seconds", "float64", "as lived, worse direction"),
        ("loss", "float64", "as lived, worse direction"),
        ("mos", "float64", "by the model of its media (mesh.quality), NaN when not connected"),
        ("poor", "bool", "beyond the target of its media (mesh.quality), or not connected"),
        ("ring_seconds", "float64", "until answered or given up, 0 if nothing rang; NaN where nobody rings"),
        ("resolve_seconds", "float64", "until another domain said who is called; NaN within a domain"),
        ("borders", "int32", "border relays on the first route between domains, -1 within a domain or without route"),
        ("rate_share", "float64", "of its full rate that it sent, mean, worse direction"),
        ("aic", "bool", "AIC was applied on a path that carried it"),
        ("saved_bytes", "float64", "media bytes that AIC took off the wire, on all links together"),
    ),
    "routes": _columns(
        ("call", "int64", "row of the call"),
        ("candidate", "int32", "position in the list of candidates"),
        ("time_ns", "int64", "when the choice was made"),
        ("view", "int64", "version of the belief it was made on"),
        ("path", "list<int32>", "nodes"),
        ("hop_delay_seconds", "list<float64>", "belief per hop, one-way"),
        ("hop_jitter_seconds", "list<float64>", "belief per hop"),
        ("hop_loss", "list<float64>", "belief per hop"),
        ("hop_rate_bps", "list<float64>", "belief per hop, spare"),
        ("hop_age_seconds", "list<float64>", "belief per hop"),
        ("hop_observed", "list<bool>", "belief per hop: measured, not predicted"),
        ("feasible", "bool", "no constraint refused it"),
        ("refusal", "string", "the constraint's reason, empty otherwise"),
        ("utility", "float64", "by the policy; NaN when refused"),
        ("propensity", "float64", "probability that this candidate was chosen"),
        ("chosen", "bool", "the one that was taken"),
        ("connected", "bool", "truth: the call can be carried this way"),
        ("rtt_seconds", "float64", "truth, with the call's own load"),
        ("jitter_seconds", "float64", "truth, worse direction"),
        ("loss", "float64", "truth, worse direction"),
        ("mos", "float64", "truth; 1 when not connected"),
        ("poor", "bool", "truth"),
    ),
    "trust": _columns(
        ("time_ns", "int64", "when the score moved"),
        ("node", "int32", "whose score"),
        ("observer", "int32", "who holds it, -1 for a shared ledger"),
        ("event", "string", "kind of evidence"),
        ("score", "float64", "0..100"),
        ("low", "float64", "lower bound of its interval"),
        ("high", "float64", "upper bound of its interval"),
        ("status", "string", "verified, trusted, new, suspicious or banned"),
    ),
    "link_samples": _columns(
        ("time_ns", "int64", "when"),
        ("src", "int32", "from node"),
        ("dst", "int32", "to node"),
        ("delay_seconds", "float64", "one-way, as it truly was (simulator) or was measured (node)"),
        ("jitter_seconds", "float64", "likewise"),
        ("loss", "float64", "likewise"),
        ("rate_bps", "float64", "spare rate, likewise"),
    ),
    "control": _columns(
        ("time_ns", "int64", "end of the period that is counted"),
        ("seconds", "float64", "its length"),
        ("node", "int32", "who sent"),
        ("kind", "string", "kind of message"),
        ("messages", "int64", "copies sent"),
        ("bytes", "int64", "of all copies, with headers of UDP and IP"),
    ),
    "routing": _columns(
        ("time_ns", "int64", "when next hops of the protocol were followed"),
        ("walks", "int32", "pairs of online forwarding nodes that links connect"),
        ("reached", "int32", "walks that led to their destination"),
        ("loops", "int32", "walks that led in a circle"),
        ("flaps", "int32", "next hops that differ from those of the last look"),
    ),
    "convergence": _columns(
        ("time_ns", "int64", "when the topology changed"),
        ("kind", "string", "start, down, up, or cut: edges below were cut or mended"),
        ("node", "int32", "which, -1 for none"),
        ("seconds", "float64", "until all walks led to their destinations; NaN if they did not by the end"),
    ),
    "events": _columns(
        ("time_ns", "int64", "when"),
        ("kind", "string", "down, up, failover, reject ..."),
        ("node", "int32", "whom it befell"),
        ("call", "int64", "which call, -1 for none"),
        ("detail", "string", "in words"),
    ),
}


def schema(table: str) -> pa.Schema:
    """The Arrow schema of `table`, with each column's text in the field's metadata."""
    import pyarrow as pa  # noqa: PLC0415 - an extra; the columns above are readable without it

    plain = {
        "int64": pa.int64(),
        "int32": pa.int32(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "string": pa.string(),
        "binary": pa.binary(),
    }

    def arrow(kind: str) -> pa.DataType:
        return pa.list_(plain[kind[5:-1]]) if kind.startswith("list<") else plain[kind]

    return pa.schema([pa.field(c.name, arrow(c.type), metadata={"description": c.text}) for c in TABLES[table]])
