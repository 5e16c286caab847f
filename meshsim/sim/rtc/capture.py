"""A session as a capture file: what arrives at either end, as it would be seen there before SRTP hides it.

The first packet announces the session (SAP, RFC 2974, with SDP), so that readers know ports, codecs and clock rates.
Times are those of arrival: a reader's jitter is the receiver's.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import IO, TYPE_CHECKING, Any

from meshsim.mesh.media import MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.rtc.gcc import Gcc
from meshsim.rtc.rtcp import SESSION_UNIX
from meshsim.sim.rtc.packet import AUDIO_CLOCK, PAYLOAD_TYPE, VIDEO_CLOCK, Kind, Packet
from meshsim.sim.rtc.pcapng import Host, Writer, datagram
from meshsim.sim.rtc.session import ENDS, controls_for, run_session
from meshsim.sim.rtc.spec import SPECS
from meshsim.sim.rtc.video import LEAST_RATE
from meshsim.sim.rtc.wire import rtp

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.sim.rtc.control import RateControl
    from meshsim.sim.rtc.result import SessionResult
    from meshsim.sim.rtc.spec import SessionSpec
    from meshsim.sim.rtc.tap import Recording

INTERFACES = ("caller", "callee")
HOSTS = (
    Host(bytes.fromhex("020000000001"), bytes([192, 0, 2, 1])),
    Host(bytes.fromhex("020000000002"), bytes([192, 0, 2, 2])),
)
"""Caller and callee, with addresses for documentation (RFC 5737)."""

PORTS = {Kind.AUDIO: 5004, Kind.VIDEO: 5006, Kind.DATA: 5008}
"""Of RTP; RTCP has the next one (RFC 3550, section 11)."""

START_RATE = 300e3
"""Bits per second at which congestion control begins, as in WebRTC."""

_SECONDS = ("rtt", "buffer_delay", "mouth_to_ear", "delay", "skew", "skew_p95", "jitter", "jitter_mean")
UNITS = {
    **{name: f"{name}_seconds" for name in _SECONDS},
    **{name: f"{name}_bps" for name in ("rate", "goodput", "target")},
}
"""Names of what has a unit, outside."""

_SAP = Host(bytes.fromhex("01005e027ffe"), bytes([224, 2, 127, 254]))
_SAP_PORT = 9875
_SAP_FIRST = 0x20
_SECOND = 1_000_000_000
_TRANSPORT_WIDE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"


class Capture:
    """Writes what a session's ends see; to be handed to `run_session` as `watch`.

    Args:
        file: Open for bytes.
        spec: What is sent.
        name: Of the session, for people.

    Attributes:
        packets: Written so far.
    """

    def __init__(self, file: IO[bytes], spec: SessionSpec, name: str) -> None:
        self._writer = Writer(file, INTERFACES, name)
        self._main = next(kind for kind in PORTS if _media(spec, kind))
        self.packets = 0
        caller = HOSTS[0]
        # SDP may go without its MIME type (RFC 2974, section 6), which `tshark -z expert` takes for a malformed line
        head = bytes([_SAP_FIRST, 0, 0, 1]) + caller.address
        self._write(1, 0.0, datagram(caller, _SAP, (_SAP_PORT, _SAP_PORT), head + describe(spec, name), 0))

    def __call__(self, now: float, way: int, packet: Packet) -> None:
        """A packet has arrived."""
        way %= ENDS
        port = PORTS[_media_of(packet)] if packet.kind != Kind.RTCP else PORTS[self._main] + 1
        payload = packet.body.data if packet.kind == Kind.RTCP else rtp(packet)
        frame = datagram(HOSTS[way], HOSTS[way ^ 1], (port, port), payload, self.packets)
        self._write(way ^ 1, now, frame)

    def _write(self, interface: int, now: float, frame: bytes) -> None:
        self.packets += 1
        self._writer.packet(interface, SESSION_UNIX * _SECOND + round(now * _SECOND), frame)


def _media(spec: SessionSpec, kind: Kind) -> bool:
    """Whether media of a kind are sent."""
    return {Kind.AUDIO: spec.audio, Kind.VIDEO: spec.video, Kind.DATA: spec.data}[kind] is not None


def _media_of(packet: Packet) -> Kind:
    """The media that a packet carries or repairs."""
    if packet.kind == Kind.FEC:
        kind: Kind = packet.body[0].kind
        return kind
    return Kind.VIDEO if packet.kind == Kind.RTX else packet.kind


def describe(spec: SessionSpec, name: str) -> bytes:
    """The session in SDP (RFC 8866): each media towards each end."""
    lines = ["v=0", "o=meshsim 1 1 IN IP4 192.0.2.1", f"s={name}", "t=0 0"]
    for kind, port in PORTS.items():
        if _media(spec, kind):
            for end in reversed(HOSTS):
                lines += _section(spec, kind, port, ".".join(map(str, end.address)))
    return "".join(f"{line}\r\n" for line in lines).encode()


def _section(spec: SessionSpec, kind: Kind, port: int, address: str) -> list[str]:
    plain = {
        Kind.AUDIO: ("audio", f"opus/{AUDIO_CLOCK}/2"),
        Kind.VIDEO: ("video", f"VP8/{VIDEO_CLOCK}"),
        Kind.DATA: ("application", f"x-meshsim/{VIDEO_CLOCK}"),
    }
    media, codec = plain[kind]
    maps = {PAYLOAD_TYPE[kind]: codec}
    if kind == Kind.VIDEO and spec.nack:
        maps[PAYLOAD_TYPE[Kind.RTX]] = f"rtx/{VIDEO_CLOCK}"
    if kind != Kind.DATA and spec.fec:
        maps[PAYLOAD_TYPE[Kind.FEC]] = f"flexfec/{AUDIO_CLOCK if kind == Kind.AUDIO else VIDEO_CLOCK}"
    lines = [f"m={media} {port} RTP/AVP {' '.join(map(str, maps))}", f"c=IN IP4 {address}"]
    lines += [f"a=rtpmap:{number} {what}" for number, what in maps.items()]
    if PAYLOAD_TYPE[Kind.RTX] in maps:
        lines.append(f"a=fmtp:{PAYLOAD_TYPE[Kind.RTX]} apt={PAYLOAD_TYPE[Kind.VIDEO]}")
    return [*lines, f"a=extmap:3 {_TRANSPORT_WIDE}"] if spec.extended else lines


def capture_call(recording: Recording, folder: Path, seed: int, *, adaptive: bool = False) -> SessionResult:
    """Lives a recorded call through; writes what its ends see to `<number>.pcapng`, what it was like to `.json`.

    Args:
        recording: Its path.
        folder: Where to; made if absent.
        seed: Of the episode.
        adaptive: Whether video follows Google congestion control, instead of keeping its rate.

    Raises:
        NoMedia: If the call had none.
    """
    path, spec, number = recording.path(), SPECS[MediaType(recording.media)], recording.number
    control = controls_for
    if adaptive and spec.video is not None:
        spec, control = replace(spec, start_rate=START_RATE), _congestion_control
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{number}.pcapng").open("wb") as file:
        watch = Capture(file, spec, f"call {number}, from {recording.at[0]:g} s of the episode")
        draws = SeedTree(seed).stream("rtc.call", number).key
        result = run_session(spec, path, seed=draws, until=recording.seconds, control=control, watch=watch)
    told = {"call": number, "media": recording.media, "start_seconds": recording.at[0], **tell(result)}
    (folder / f"{number}.json").write_text(json.dumps(told, indent=1) + "\n")
    return result


def _congestion_control(spec: SessionSpec) -> RateControl:
    return Gcc(START_RATE, LEAST_RATE, spec.rate)


def tell(result: SessionResult) -> dict[str, Any]:
    """A session as JSON: names carry their units, and what is not a number is null."""
    told: dict[str, Any] = _plain(asdict(result))
    return told


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {UNITS.get(key, key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
