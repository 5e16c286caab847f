"""What a session was like, each way: for ears, for eyes, for transfers, and what RTCP said of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.quality import R_DEFAULT, delay_impairment, loss_impairment, mos_of, transfer_mos, video_quality
from meshsim.mesh.quality.video import together
from meshsim.sim.rtc.packet import Kind

if TYPE_CHECKING:
    from meshsim.sim.rtc.frames import Seen
    from meshsim.sim.rtc.playout import Heard
    from meshsim.sim.rtc.receiver import Receiver
    from meshsim.sim.rtc.sender import Sender
    from meshsim.sim.rtc.spec import SessionSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceResult:
    """One source of RTP, as its receiver counted it (RFC 3550).

    Attributes:
        ssrc: Its name.
        kind: What it sends.
        expected: Packets by its sequence numbers.
        received: Packets that came.
        lost: The difference.
        jitter: Interarrival jitter at the end, seconds (A.8).
        jitter_mean: The same, averaged over the packets after the first, which has none.
    """

    ssrc: int
    kind: str
    expected: int
    received: int
    lost: int
    jitter: float
    jitter_mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionResult:
    """One way of a session.

    Attributes:
        sent: RTP packets.
        received: Of them, those that came.
        network_loss: Share that links lost.
        rate: Sent, bits per second on the wire.
        goodput: Media of use that came, bits per second of payload: speech played, frames shown, data once.
        rtt: Mean round trip by RTCP at the sender, seconds; NaN without a report.
        audio: Speech, if there was.
        video: Pictures, if there were.
        video_loss: Share of video packets, of those that should have come by the last one, that neither came nor were
            brought back.
        skew: Mean of picture's delay less speech's, seconds; above 0 the picture lags.
        skew_p95: Of its size, the 95th percentile.
        repaired_by_rtx: Packets of media brought back in time by being sent again.
        repaired_by_fec: The same by groups.
        asked: Packets asked for by NACK.
        key_requests: Picture loss indications.
        data_bytes: Data that came, bytes, each counted once.
        data_seconds: Until the last of them.
        target: Mean target of the sender, bits per second on the wire.
        mos: Of what was lived through, on the scale of the media's own model; NaN if no speech or data came.
        sources: All sources heard.
    """

    sent: int
    received: int
    network_loss: float
    rate: float
    goodput: float
    rtt: float
    audio: Heard | None
    video: Seen | None
    video_loss: float
    skew: float
    skew_p95: float
    repaired_by_rtx: int
    repaired_by_fec: int
    asked: int
    key_requests: int
    data_bytes: int
    data_seconds: float
    target: float
    mos: float
    sources: tuple[SourceResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """A session.

    Attributes:
        seconds: How long it lasted.
        there: From the caller to the callee.
        back: The other way.
    """

    seconds: float
    there: DirectionResult
    back: DirectionResult


def direction(
    spec: SessionSpec, sender: Sender, receiver: Receiver, lost: int, start: float, end: float
) -> DirectionResult:
    """Reads one way off its two ends.

    Args:
        spec: What was sent.
        sender: The end that sent.
        receiver: The end that heard.
        lost: RTP packets that links lost.
        start: When the session began, seconds.
        end: When it ended.
    """
    seconds = end - start
    receiver.playout.advance(seconds)
    audio = None if spec.audio is None else receiver.playout.heard(sender.frames)
    video = None if spec.video is None else receiver.frames.seen(end)
    sent = sum(sender.counts.values())
    received = sum(receiver.counts.values())
    lost_video = 1.0 - receiver.video_packets / receiver.video_expected if receiver.video_expected else 1.0
    spoken = 0.0 if spec.audio is None or audio is None or not audio.frames else spec.audio.bitrate * _intact(audio)
    shown = 0.0 if video is None else video.rate
    skews = np.array(receiver.skews)
    return DirectionResult(
        sent=sent,
        received=received,
        network_loss=lost / max(sent, 1),
        rate=8.0 * sender.sent_bytes / seconds,
        goodput=spoken + shown + 8.0 * receiver.data_bytes / seconds,
        rtt=float(np.mean(sender.rtts)) if sender.rtts else math.nan,
        audio=audio,
        video=video,
        video_loss=lost_video if spec.video is not None else math.nan,
        skew=float(skews.mean()) if len(skews) else math.nan,
        skew_p95=float(np.quantile(np.abs(skews), 0.95)) if len(skews) else math.nan,
        repaired_by_rtx=receiver.repaired[Kind.RTX],
        repaired_by_fec=receiver.repaired[Kind.FEC],
        asked=receiver.asked,
        key_requests=receiver.key_requests,
        data_bytes=receiver.data_bytes,
        data_seconds=receiver.data_done - start,
        target=_mean_target(sender.targets, end),
        mos=_mos(spec, audio, video, lost_video, _carried(spec, receiver, start, seconds)),
        sources=_sources(receiver),
    )


def _intact(audio: Heard) -> float:
    """Share of speech that was not made up."""
    return 1.0 - audio.concealed


def _mean_target(targets: list[tuple[float, float]], end: float) -> float:
    at, rate = np.array(targets).T
    held = np.diff(np.append(at, end))
    return float((held * rate).sum() / max(held.sum(), 1e-9))


def _carried(spec: SessionSpec, receiver: Receiver, start: float, seconds: float) -> float:
    """Bits per second of data on the wire; a transfer that is over is judged by the time that it took."""
    over = spec.data is not None and receiver.data_bytes >= spec.data.size
    return 8.0 * receiver.data_wire / (receiver.data_done - start if over else seconds)


def _mos(spec: SessionSpec, audio: Heard | None, video: Seen | None, lost_video: float, carried: float) -> float:
    """The models of `mesh.quality`, told what was measured instead of what a path promises.

    A frozen picture is worth nothing: the quality of video counts for the share of time in which it moved.
    """
    if spec.data is not None:
        return float(transfer_mos(carried / spec.data.rate))
    if audio is None or not audio.frames:
        return math.nan
    rating = R_DEFAULT - float(loss_impairment(audio.concealed))
    if video is None:
        return float(mos_of(rating - float(delay_impairment(audio.mouth_to_ear))))
    if not video.rendered:
        return 1.0
    quality = float(video_quality(video.rate, lost_video))
    moving = 1.0 + (quality - 1.0) * (1.0 - video.freeze_share)
    return float(together(mos_of(rating), moving, audio.mouth_to_ear))


def _sources(receiver: Receiver) -> tuple[SourceResult, ...]:
    return tuple(
        SourceResult(
            ssrc=ssrc,
            kind=receiver.kinds[ssrc].name.lower(),
            expected=counted.expected,
            received=counted.received,
            lost=counted.lost,
            jitter=counted.jitter / counted.clock,
            jitter_mean=counted.jitter_sum / max(counted.received - 1, 1) / counted.clock,
        )
        for ssrc, counted in receiver.sources.items()
    )
