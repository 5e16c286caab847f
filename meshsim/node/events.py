"""What a node tells, as JSON values: one object per thing that happened; and what it may be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from meshsim.agent import CallSample, EventSample, ReceiptSample, RouteSample, TrustSample
from meshsim.mesh.ids import did_key

if TYPE_CHECKING:
    from meshsim.agent import Sample
    from meshsim.mesh.ids import CallId
    from meshsim.node.ends import Heard

_ROUTE = ("received", "lost", "jitter", "delay_mean", "delay_sd", "delay_p95")
_VOICE = ("received", "lost", "loss", "duplicates", "doubled", "decoded", "frequency", "rms")
_VIDEO = (
    "received", "expected", "shown", "frozen", "wrong", "whole", "asked", "delay_median", "delay_p95", "delay_p99",
    "longest_freeze",
)  # fmt: skip
_SECOND = ("at", "label", "received", "loss", "delay", "jitter", "rtt")


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a line of standard input, or of the control socket, may say."""

    do: Literal["call", "flush", "offer", "status", "stop", "take"]
    callee: str = ""
    peer: str = ""
    line: str = ""
    media: str = "audio"
    aic: str = "off"
    seconds: float = 10.0


def told_of(sample: Sample) -> dict[str, Any]:
    """A sample as JSON values; the shapes are `meshsim.agent.samples`'."""
    match sample:
        case RouteSample(call=call, at=at, decision=decision, ranking=ranking):
            return {
                "event": "decision", "call": call.hex(), "at": at, "path": [did_key(n) for n in decision.path],
                "policy": decision.policy, "ai_score": decision.ai_score, "confidence": decision.confidence,
                "predicted_rtt": decision.predicted.rtt, "reasons": list(decision.reasons),
                "candidates": len(ranking.candidates),
            }  # fmt: skip
        case CallSample(call=call):
            return {
                "event": "call", "call": call.hex(), "start": sample.start, "end": sample.end,
                "path": [did_key(n) for n in sample.path], "final_path": [did_key(n) for n in sample.final_path],
                "outcome": sample.outcome, "reason": sample.reason, "rtt": sample.rtt, "jitter": sample.jitter,
                "loss": sample.loss, "mos": sample.mos, "poor": bool(sample.poor),
                "failovers": [{"heard": f.heard, "lost": f.lost, "restored": f.restored} for f in sample.failovers],
            }  # fmt: skip
        case TrustSample(at=at, node=node):
            return {
                "event": "trust", "at": at, "node": did_key(node), "kind": sample.event, "score": sample.score,
                "low": sample.low, "high": sample.high, "status": str(sample.status),
            }  # fmt: skip
        case ReceiptSample(at=at, receipt=receipt):
            return {
                "event": "receipt", "at": at.mono, "call": receipt.call.hex(), "attempt": receipt.attempt,
                "path": [did_key(n) for n in receipt.path], "signer": did_key(receipt.signer),
                "outcome": str(receipt.outcome), "poor": receipt.poor,
            }  # fmt: skip
        case EventSample(at=at, kind=kind, node=node):
            about = {} if sample.call is None else {"call": sample.call.hex()}
            return {"event": kind, "at": at, "node": did_key(node), "detail": sample.detail} | about


def told_of_heard(call: CallId, heard: Heard) -> dict[str, Any]:
    """What one end received of a call, as a whole and route by route; delays and arrivals in seconds."""
    voice = heard.voice.report()
    seen = None if heard.video is None else heard.video.report()
    return {
        "event": "heard", "call": call.hex(), "voice": {field: getattr(voice, field) for field in _VOICE},
        "routes": [
            {"label": label} | {field: getattr(route, field) for field in _ROUTE}
            for label, route in heard.audio.items()
        ],
        "seconds": [{field: getattr(second, field) for field in _SECOND} for second in heard.seconds],
        "audio_packets_received": voice.received, "arrivals": list(heard.arrivals),
        "data_messages_received": heard.data_received, "data_rtts": list(heard.data_rtts),
        "rtcp_rtts": list(heard.rtcp_rtts),
        "video": None if seen is None else {field: getattr(seen, field) for field in _VIDEO},
        "limits": list(heard.limits),
        "aic": None if heard.aic is None else {"plain_bytes": heard.aic.plain, "sent_bytes": heard.aic.sent},
    }  # fmt: skip
