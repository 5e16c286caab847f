"""The ends of calls at a node: they speak, show, listen and watch, and tell each other by RTCP how it arrives.

Sequence numbers and timestamps are the call's, whichever routes carry it: while it changes from one to another it goes
over both, and is heard and seen once. Voice has the SSRC of its route's label, video the one beside it
(`rtp.video_ssrc`), in both directions.
"""

from __future__ import annotations

import asyncio
import collections
import math
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from meshsim.agent.effects import MediaReport
from meshsim.mesh.media import VIDEO_RATE, VIDEO_WIRE_RATE, VOICE_RATE, MediaType
from meshsim.mesh.time import to_seconds
from meshsim.node.devices import Devices, guarded
from meshsim.node.repair import START_RATE, Kept, VideoHop
from meshsim.node.rtp import OPUS_CLOCK_RATE, VIDEO_CLOCK_RATE, read_place, route_ssrc, video_ssrc
from meshsim.rtc.compound import encode
from meshsim.rtc.rtcp import Fir, Nack, Pli, ReceiverReport, Reception, Remb, SenderReport, ntp_time, round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.agent.effects import OpenMedia
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.media import AicProfile
    from meshsim.node.audio import AudioReport, AudioSink, AudioSource
    from meshsim.node.video import VideoSink, VideoSource
    from meshsim.rtc.rtcp import Block, Message

REPORT_PERIOD = 1.0
"""Seconds between reports of an end to its agent, and by RTCP to the other end."""
LIMIT_PERIOD = 0.25
"""Seconds between limits of rate that an end tells the one who shows it something."""
LIMIT_KEPT = 2.0
"""Seconds after which a limit that was not told again is forgotten."""
CALLS_KEPT = 64
"""Calls that have ended here and whose reception is still known; the oldest go first."""
VALUES_KEPT = 100_000
"""Of each list of a call: half an hour of voice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardSecond:
    """What one end of a route received in about a second.

    Attributes:
        at: Monotonic second at its end.
        label: Of the route.
        received: Audio packets that came.
        loss: Share of those that should have come and did not.
        delay: Mean one-way seconds of those that came; NaN where none did.
        jitter: RFC 3550, seconds.
        rtt: Of the last sender report that was answered, or before that of the last data message and its echo,
            seconds; NaN before the first.
    """

    at: float
    label: int
    received: int
    loss: float
    delay: float
    jitter: float
    rtt: float


@dataclass(slots=True, kw_only=True)
class Spared:
    """What AIC made of what this end said in a call, while it was applied.

    Attributes:
        plain: Bytes of media that the same frames would have had without it: they were coded both ways.
        sent: Bytes of media that were sent.
    """

    plain: int = 0
    sent: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that were not sent, over each link of the route."""
        return max(0, self.plain - self.sent)


def _latest() -> collections.deque[Any]:
    return collections.deque(maxlen=VALUES_KEPT)


@dataclass(slots=True, kw_only=True)
class Heard:
    """What one end of a call has received over all routes of the call; of what is many, the last `VALUES_KEPT`.

    Attributes:
        voice: The ear: what came over all routes, each packet once.
        video: The eye likewise; None in a call without video.
        arrivals: Monotonic seconds of every audio packet that it heard.
        audio: What came over each route, by label; nobody listens to one alone.
        seconds: The same second by second.
        data_received: Probes that came in.
        signs: Frames that came in on the data channel, of whatever kind.
        data_rtts: Seconds from a probe to its echo.
        rtcp_rtts: Seconds from a sender report to the receiver report that answers it, without what it was held.
        limits: What the way back was said to take, bits per second of video, each time it was told.
        aic: What AIC made of what this end said; None where it was never applied.
    """

    voice: AudioSink
    video: VideoSink | None = None
    arrivals: collections.deque[float] = field(default_factory=_latest)
    audio: dict[int, AudioReport] = field(default_factory=dict)
    seconds: collections.deque[HeardSecond] = field(default_factory=_latest)
    data_received: int = 0
    signs: int = 0
    data_rtts: collections.deque[float] = field(default_factory=_latest)
    rtcp_rtts: collections.deque[float] = field(default_factory=_latest)
    limits: collections.deque[float] = field(default_factory=_latest)
    aic: Spared | None = None


@dataclass(slots=True, kw_only=True)
class End:
    """One route that ends here.

    Attributes:
        call: Whose.
        neighbour: Its only neighbour here.
        rtt: As `HeardSecond.rtt`, by RTCP alone.
    """

    call: CallId
    neighbour: NodeId
    sink: AudioSink
    voice: Reception
    picture: Reception | None = None
    hop: VideoHop | None = None
    task: asyncio.Task[None] | None = None
    rtt: float = math.nan
    seen: tuple[int, int] = (0, 0)
    pictures_seen: tuple[int, int] = (0, 0)
    signs_seen: int = 0
    delays: float = 0.0
    bytes: int = 0


@dataclass(slots=True, kw_only=True)
class _Speech:
    """What this end says and shows in one call, over each of the routes that are open, by label."""

    voice: AudioSource | None = None
    video: VideoSource | None = None
    kept: Kept = field(default_factory=Kept)
    routes: dict[int, NodeId] = field(default_factory=dict)
    limits: dict[int, tuple[float, float]] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    aic: AicProfile | None = None
    before: tuple[int, int] = (0, 0)


class CallEnds:
    """All calls that end at this node, one or more routes each.

    Args:
        send: Hands an RTP or RTCP packet to a neighbour; False if it cannot take it.
        report: Tells the agent what an end received.
        count: Tells the agent how many RTP bytes of a route came to this end.
        group: Where the tasks of an end live.
        aic: The codec profile of AIC here.
        devices: What the ends speak, show, hear and see with.

    Attributes:
        heard: Per call that ends here, or did lately.
        ends: The open routes by label.
    """

    def __init__(
        self,
        *,
        send: Callable[[NodeId, bytes], bool],
        report: Callable[[CallId, MediaReport], None],
        count: Callable[[CallId, int, int], None],
        group: asyncio.TaskGroup,
        aic: AicProfile,
        devices: Devices,
    ) -> None:
        self.heard: dict[CallId, Heard] = {}
        self.ends: dict[int, End] = {}
        self._by_ssrc: dict[int, int] = {}
        self._send = send
        self._report = report
        self._count = count
        self._group = group
        self._profile = aic
        self._devices = guarded(devices)
        self._speeches: dict[CallId, _Speech] = {}
        self._spared_before = 0

    def open(self, effect: OpenMedia, neighbour: NodeId) -> None:
        """Speaks to `neighbour` and listens to it, from now on."""
        from meshsim.node.audio import AudioSink, AudioSource  # noqa: PLC0415 - a relay never loads a codec

        call, label = effect.call, effect.label
        self._forget_oldest()
        heard = self.heard.setdefault(call, Heard(voice=AudioSink(None, speaker=self._devices.speaker)))
        end = End(
            call=call, neighbour=neighbour, sink=AudioSink(label, decodes=False), voice=Reception(OPUS_CLOCK_RATE)
        )
        self.ends[label] = end
        self._by_ssrc[label] = label
        heard.audio[label] = end.sink.report()
        speech = self._speeches.get(call)
        if speech is None:
            speech = self._speeches[call] = _Speech()
            if effect.media is not MediaType.DATA:
                speech.voice = AudioSource(label, microphone=self._devices.microphone)
                speech.tasks.append(self._group.create_task(speech.voice.play(partial(self._speak, speech))))
        speech.routes[label] = neighbour
        if effect.media is MediaType.AUDIO_VIDEO:
            self._open_video(end, label, heard, speech)
        self._apply_aic(heard, speech, self._profile if effect.aic else None)
        end.task = self._group.create_task(self._watch(label))

    def close(self, label: int) -> None:
        """Ends one route; the call's speech ends with its last."""
        end = self.ends.pop(label, None)
        if end is None:
            return
        del self._by_ssrc[label]
        if end.hop is not None:
            del self._by_ssrc[video_ssrc(label)]
            end.hop.close()
        if end.task is not None:
            end.task.cancel()
        heard, speech = self.heard[end.call], self._speeches[end.call]
        heard.audio[label] = end.sink.report()
        self._count_aic(heard, speech)
        del speech.routes[label]
        if not speech.routes:
            del self._speeches[end.call]
            for task in speech.tasks:
                task.cancel()

    def find(self, source: NodeId, ssrc: int) -> End | None:
        """The route of which a packet with this SSRC from this neighbour is, if it ends here."""
        label = self._by_ssrc.get(ssrc)
        end = None if label is None else self.ends[label]
        return end if end is not None and end.neighbour == source else None

    def receive(self, end: End, ssrc: int, packet: bytes) -> None:
        """An RTP packet came in on a route.

        Raises:
            RemoteProtocolError: If it is none of this mesh's.
        """
        now = time.monotonic_ns()
        sequence, _ = read_place(packet)
        timestamp, heard = int.from_bytes(packet[4:8], "big"), self.heard[end.call]
        if ssrc == end.sink.ssrc:
            end.bytes += len(packet)
            if not end.sink.receive(packet, now):
                return
            end.voice.take(sequence, timestamp, to_seconds(now))
            if heard.voice.receive(packet, now):
                heard.arrivals.append(to_seconds(now))
        elif end.hop is None or end.picture is None or heard.video is None:
            return
        elif end.hop.receive(packet, to_seconds(now)):
            end.bytes += len(packet)
            end.picture.take(sequence, timestamp, to_seconds(now))
            heard.video.receive(packet, now)

    def hear(self, source: NodeId, message: Message) -> bool:
        """A message of RTCP came in; False if it is about no route that ends here."""
        match message:
            case SenderReport(ssrc):
                end = self.find(source, ssrc)
                reception = None if end is None else end.voice if ssrc == end.sink.ssrc else end.picture
                if reception is not None:
                    reception.heard_report(message, time.monotonic())
                return reception is not None
            case ReceiverReport(_, blocks):
                known = [self._answer(source, block) for block in blocks]
                return any(known)
            case Remb(_, rate, sources):
                known = [self._limit(source, flow, rate) for flow in sources]
                return any(known)
            case Nack(_, flow, missing):
                return self._resend(source, flow, missing)
            case Pli(_, flow) | Fir(_, flow):
                return self._make_whole(source, flow)
            case _:
                return False

    @property
    def spared(self) -> int:
        """Bytes of media that AIC kept off the wire since this node started, on the first link of each route."""
        return self._spared_before + sum(self.spared_in(call) or 0 for call in self.heard)

    def spared_in(self, call: CallId) -> int | None:
        """The same of one call; None where AIC was never applied, or the call is forgotten."""
        heard, speech = self.heard.get(call), self._speeches.get(call)
        if heard is None or heard.aic is None:
            return None
        if speech is not None:
            self._count_aic(heard, speech)
        return heard.aic.bytes

    # What this end says -----------------------------------------------------------------------------------------------

    def _open_video(self, end: End, label: int, heard: Heard, speech: _Speech) -> None:
        from meshsim.node.video import VideoSink, VideoSource  # noqa: PLC0415 - a relay never loads a codec

        ssrc = video_ssrc(label)
        self._by_ssrc[ssrc] = label
        end.picture = Reception(VIDEO_CLOCK_RATE)
        end.hop = VideoHop(ssrc, lambda request: self._send(end.neighbour, request))
        if heard.video is None:
            heard.video = VideoSink(partial(self._ask_whole, end.call), self._devices.screen)
        if speech.video is None:
            speech.video = VideoSource(ssrc, bit_rate=START_RATE, camera=self._devices.camera)
            speech.tasks.append(self._group.create_task(speech.video.play(partial(self._display, speech))))
        else:
            speech.video.make_whole(time.monotonic())  # the new way begins in the middle

    def _speak(self, speech: _Speech, packet: bytes) -> None:
        for label, neighbour in speech.routes.items():
            self._send(neighbour, route_ssrc(packet, label))

    def _display(self, speech: _Speech, packet: bytes) -> None:
        speech.kept.keep(read_place(packet)[0], packet)
        for label, neighbour in speech.routes.items():
            self._send(neighbour, route_ssrc(packet, video_ssrc(label)))

    def _resend(self, source: NodeId, flow: int, missing: tuple[int, ...]) -> bool:
        end = self.find(source, flow)
        if end is None or end.hop is None:
            return False
        for sequence in missing:
            packet = self._speeches[end.call].kept.again(sequence)
            if packet is not None:
                self._send(source, route_ssrc(packet, flow))
        return True

    def _make_whole(self, source: NodeId, flow: int) -> bool:
        end = self.find(source, flow)
        video = None if end is None else self._speeches[end.call].video
        if video is not None:
            video.make_whole(time.monotonic())
        return video is not None

    def _answer(self, source: NodeId, block: Block) -> bool:
        """The other end tells what it received, and so how long there and back takes."""
        end, took = self.find(source, block.ssrc), round_trip(block, time.monotonic())
        if end is not None and took > 0.0:
            end.rtt = took
            self.heard[end.call].rtcp_rtts.append(took)
        return end is not None

    def _ask_whole(self, call: CallId) -> None:
        for label, end in self.ends.items():
            if end.call == call and end.hop is not None:
                self._send(end.neighbour, encode(Pli(video_ssrc(label), video_ssrc(label))))

    def _limit(self, source: NodeId, flow: int, rate: int) -> bool:
        """The way that our video takes carries no more than `rate`: the slowest route that is open decides."""
        end = self.find(source, flow)
        if end is None or end.hop is None:
            return False
        speech, now = self._speeches[end.call], time.monotonic()
        speech.limits[flow] = (now + LIMIT_KEPT, float(rate))
        speech.limits = {told: limit for told, limit in speech.limits.items() if limit[0] > now}
        self.heard[end.call].limits.append(float(rate))
        self._adapt(speech)
        return True

    def _adapt(self, speech: _Speech) -> None:
        """Codes as fast as the way allows, and AIC wants."""
        if speech.video is None:
            return
        limit = min((rate for _, rate in speech.limits.values()), default=START_RATE)
        plain = min(VIDEO_RATE, limit * VIDEO_RATE / VIDEO_WIRE_RATE)
        saving = 0.0 if speech.aic is None else speech.aic.video_saving
        speech.video.plain_rate = plain
        speech.video.adapt((1.0 - saving) * plain)

    # AIC --------------------------------------------------------------------------------------------------------------

    def _apply_aic(self, heard: Heard, speech: _Speech, profile: AicProfile | None) -> None:
        """Compresses from now on as `profile` says; None: not at all. The route that was opened last decides."""
        if profile is speech.aic:
            return
        self._count_aic(heard, speech)
        speech.aic = profile
        if profile is not None and heard.aic is None:
            heard.aic = Spared()
        saves = profile is not None and profile.voice_saving > 0.0
        if speech.voice is not None:
            speech.voice.compress((1.0 - profile.voice_saving) * VOICE_RATE if saves and profile is not None else None)
        if speech.video is not None:
            speech.video.compare(on=profile is not None and profile.video_saving > 0.0)
        speech.before = _coded(speech)
        self._adapt(speech)

    def _count_aic(self, heard: Heard, speech: _Speech) -> None:
        plain, sent = _coded(speech)
        if speech.aic is not None and heard.aic is not None:
            heard.aic.plain += plain - speech.before[0]
            heard.aic.sent += sent - speech.before[1]
        speech.before = plain, sent

    # What this end tells of what it receives --------------------------------------------------------------------------

    async def _watch(self, label: int) -> None:
        """Tells the agent and the other end what came in since the last report."""
        rounds = round(REPORT_PERIOD / LIMIT_PERIOD) if self.ends[label].hop is not None else 1
        while True:
            for _ in range(rounds):
                await asyncio.sleep(REPORT_PERIOD / rounds)
                self._tell_limit(label)
            end = self.ends[label]
            self._tell_other(label, end)
            self._tell_agent(label, end)

    def _tell_limit(self, label: int) -> None:
        end, ssrc = self.ends[label], video_ssrc(label)
        if end.hop is not None and end.hop.flow.received:
            self._send(end.neighbour, encode(Remb(ssrc, int(end.hop.flow.rate), (ssrc,))))

    def _tell_other(self, label: int, end: End) -> None:
        """One packet of reports: what was sent, and what was received, of voice and video."""
        now, speech = time.monotonic(), self._speeches[end.call]
        voice, video = speech.voice, speech.video
        if voice is None:
            return
        told = [encode(SenderReport(label, ntp_time(now), voice.timestamp, voice.packets, voice.coded, ()))]
        blocks = [end.voice.block(label, now)] if end.voice.received else []
        if video is not None and end.picture is not None:
            ssrc = video_ssrc(label)
            told.append(encode(SenderReport(ssrc, ntp_time(now), video.timestamp, video.packets, video.coded, ())))
            blocks += [end.picture.block(ssrc, now)] if end.picture.received else []
        told += [encode(ReceiverReport(label, tuple(blocks)))] if blocks else []
        self._send(end.neighbour, b"".join(told))

    def _tell_agent(self, label: int, end: End) -> None:
        heard, audio = self.heard[end.call], end.sink.report()
        expected, received = audio.expected - end.seen[0], audio.received - end.seen[1]
        end.seen = (audio.expected, audio.received)
        rtt = end.rtt if not math.isnan(end.rtt) or not heard.data_rtts else heard.data_rtts[-1]
        heard.seconds.append(_second(end, audio, label, received, _share_lost(expected, received), rtt))
        if end.picture is not None:
            picture = end.picture
            expected += picture.expected - end.pictures_seen[0]
            received += picture.received - end.pictures_seen[1]
            end.pictures_seen = (picture.expected, picture.received)
        self._count(end.call, label, end.bytes)
        signs, end.signs_seen = heard.signs - end.signs_seen, heard.signs
        if self._speeches[end.call].voice is None:  # a way over which anything comes works
            expected, received = 1, min(1, signs)
        loss = _share_lost(expected, received)
        self._report(end.call, MediaReport(label=label, jitter=audio.jitter, loss=loss, rtt=rtt))

    def _forget_oldest(self) -> None:
        live = {end.call for end in self.ends.values()}
        over = [call for call in self.heard if call not in live][:-CALLS_KEPT]
        for call in over:
            gone = self.heard.pop(call)
            self._spared_before += 0 if gone.aic is None else gone.aic.bytes


def _share_lost(expected: int, received: int) -> float:
    """All, where nothing came that could have been missed."""
    return min(1.0, max(0.0, 1.0 - received / expected)) if expected > 0 else 1.0


def _coded(speech: _Speech) -> tuple[int, int]:
    """Bytes of media so far: without AIC, and as sent."""
    plain, sent = (0, 0) if speech.voice is None else (speech.voice.plain_coded, speech.voice.coded)
    if speech.video is not None:
        plain, sent = plain + speech.video.plain_coded, sent + speech.video.coded
    return plain, sent


def _second(end: End, audio: AudioReport, label: int, received: int, loss: float, rtt: float) -> HeardSecond:
    """What came in since the last report: the ear knows sums over all that it heard."""
    before, end.delays = end.delays, audio.delay_mean * audio.received if audio.received else 0.0
    delay = (end.delays - before) / received if received else float("nan")
    return HeardSecond(
        at=time.monotonic(), label=label, received=received, loss=loss, delay=delay, jitter=audio.jitter, rtt=rtt
    )
