"""Captures, read without meshsim: by a parser of this folder, and by tshark where it is installed."""

from __future__ import annotations

import dataclasses
import functools
import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from meshsim.links import LinkParameters
from meshsim.mesh.media import MediaType
from meshsim.rtc.rtcp import Reception
from meshsim.sim.rtc import SPECS, Opus, SessionResult, SessionSpec, TimedLink, Video, run_session
from meshsim.sim.rtc import Path as Way
from meshsim.sim.rtc.capture import Capture, describe

CLOCKS = {111: 48_000, 96: 90_000, 97: 90_000, 98: 90_000, 100: 90_000}
PAYLOADS = {"audio": "opus", "video": "VP8", "rtx": "rtx", "fec": "flexfec", "data": "x-meshsim"}
RTP_PORTS = {5004, 5006, 5008}


def live(spec: SessionSpec, file: Path, *, seconds: float = 8.0) -> SessionResult:
    row = LinkParameters(rate_bps=4e6, propagation=0.03, jitter=0.006, loss=0.02, burst=1.5)
    slower = dataclasses.replace(row, propagation=0.08)
    way = Way(there=(TimedLink(at=(0.0, 4.0), rows=(row, slower)),), back=(TimedLink.steady(row),))
    with file.open("wb") as out:
        return run_session(spec, way, seed=4, until=seconds, watch=Capture(out, spec, "test"))


@pytest.fixture(scope="module")
def captured(tmp_path_factory: Any) -> dict[str, tuple[SessionResult, Path]]:
    folder = tmp_path_factory.mktemp("captures")
    specs = {
        **{str(media): SPECS[media] for media in MediaType},
        "all": SessionSpec(audio=Opus(), video=Video(layers=(2e5, 8e5)), fec=4),
    }
    return {name: (live(spec, folder / f"{name}.pcapng"), folder / f"{name}.pcapng") for name, spec in specs.items()}


def sources(result: SessionResult) -> dict[int, Any]:
    return {source.ssrc: source for way in (result.there, result.back) for source in way.sources}


@pytest.mark.parametrize("name", ["audio", "audio_video", "data", "all"])
def test_jitter_counts_and_sources_read_from_the_file_are_ours(name, captured, capture_reader, jitter_reader) -> None:
    result, file = captured[name]
    streams: dict[int, list[tuple[float, int, int]]] = {}
    for packet in capture_reader(file):
        if packet.target[1] in RTP_PORTS:
            first, kind, _, stamp, ssrc = struct.unpack_from("!BBHII", packet.payload)
            assert first >> 6 == 2
            streams.setdefault(ssrc, []).append((packet.at, stamp, kind & 127))
    ours = sources(result)
    assert set(streams) == set(ours)
    for ssrc, packets in streams.items():
        clock = 48_000 if ours[ssrc].kind == "fec" and packets[0][2] == 98 and _is_audio(ssrc, ours) else None
        clock = clock or CLOCKS[packets[0][2]]
        first = packets[0][1]
        unwrapped = [(at, (stamp - first + 2**31) % 2**32 - 2**31) for at, stamp, _ in packets]
        assert len(packets) == ours[ssrc].received
        assert jitter_reader(unwrapped, clock) == pytest.approx(ours[ssrc].jitter, rel=0.01, abs=2.0 / clock)


def _is_audio(ssrc: int, ours: dict[int, Any]) -> bool:
    """The first FEC source of an end protects its speech."""
    mine = [other for other, source in ours.items() if source.kind == "fec" and other >> 8 == ssrc >> 8]
    return ssrc == min(mine)


def test_each_end_sees_what_the_other_sent_when_it_arrives(captured, capture_reader) -> None:
    _, file = captured["audio_video"]
    packets = capture_reader(file)
    assert [packet.at for packet in packets] == sorted(packet.at for packet in packets)
    announced, *rest = packets
    assert announced.target == ("224.2.127.254", 9875)
    for packet in rest:
        ends = ("192.0.2.1", "192.0.2.2") if packet.interface == 1 else ("192.0.2.2", "192.0.2.1")
        assert (packet.source[0], packet.target[0]) == ends
        assert packet.source[1] == packet.target[1]


def test_every_rtcp_compound_begins_with_a_report_and_fills_its_datagram(captured, capture_reader) -> None:
    for _, file in captured.values():
        compounds = [packet.payload for packet in capture_reader(file) if packet.target[1] - 1 in RTP_PORTS]
        assert compounds
        for data in compounds:
            assert data[1] in (200, 201)
            place = 0
            while place < len(data):
                assert data[place] >> 6 == 2
                assert 200 <= data[place + 1] <= 206
                place += 4 * (struct.unpack_from("!H", data, place + 2)[0] + 1)
            assert place == len(data)


def test_the_announcement_names_ports_codecs_and_clock_rates(captured, capture_reader) -> None:
    announced = capture_reader(captured["all"][1])[0].payload
    assert announced[0] == 0x20
    lines = announced[8:].decode().split("\r\n")
    assert lines[0] == "v=0"
    assert lines.count("m=audio 5004 RTP/AVP 111 98") == 2
    assert lines.count("m=video 5006 RTP/AVP 96 97 98") == 2
    assert "a=rtpmap:111 opus/48000/2" in lines
    assert "a=fmtp:97 apt=96" in lines
    assert b"m=application 5008" in describe(SPECS[MediaType.DATA], "x")


def test_equal_sessions_give_equal_files(tmp_path) -> None:
    spec, files = SPECS[MediaType.AUDIO], []
    for name in ("a", "b"):
        live(spec, tmp_path / name, seconds=2.0)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_a_capture_says_how_many_packets_it_holds(capture_reader, tmp_path) -> None:
    out = io.BytesIO()
    watch = Capture(out, SPECS[MediaType.AUDIO], "few")
    link = LinkParameters(rate_bps=1e6, propagation=0.01)
    run_session(SPECS[MediaType.AUDIO], Way.steady(link), until=1.0, watch=watch)
    (tmp_path / "few").write_bytes(out.getvalue())
    assert len(capture_reader(tmp_path / "few")) == watch.packets


# As tshark reads them -------------------------------------------------------------------------------------------------

tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed: it does not read captures")


def told(file: Path, *words: str) -> str:
    """What tshark says of a capture, which itself tells ports, codecs and clock rates."""
    return subprocess.run(["tshark", "-r", str(file), *words], capture_output=True, text=True, check=True).stdout


@functools.cache
def decoded(file: Path) -> dict[int, list[tuple[float, int, int, bool]]]:
    """Arrival, sequence number, timestamp and marker of every RTP packet, by SSRC, as tshark decodes them."""
    names = ("frame.time_relative", "rtp.ssrc", "rtp.seq", "rtp.timestamp", "rtp.marker")
    streams: dict[int, list[tuple[float, int, int, bool]]] = {}
    fields = [word for name in names for word in ("-e", name)]
    for line in told(file, "-Y", "rtp", "-T", "fields", *fields).splitlines():
        at, ssrc, seq, stamp, marker = line.split("\t")
        streams.setdefault(int(ssrc, 16), []).append((float(at), int(seq), int(stamp), marker in {"1", "True"}))
    return streams


def table(file: Path) -> dict[int, dict[str, str]]:
    """The rows of `rtp,streams` by SSRC."""
    rows = {}
    for line in told(file, "-q", "-z", "rtp,streams").splitlines():
        ssrc, _, rest = line.partition(" 0x")[2].partition(" ")
        if ssrc:
            words = rest.removesuffix("X").split()
            rows[int(ssrc, 16)] = dict(zip(("payload", "packets", "lost"), words, strict=False))
            rows[int(ssrc, 16)] |= {"mean": words[-2], "most": words[-1]}
    return rows


def averaged(packets: list[tuple[float, int, int, bool]], clock: int) -> tuple[float, float]:
    """Mean and largest of our jitter after each packet, milliseconds, over those that tshark takes: not the marked."""
    ours, mean, most = Reception(clock), 0.0, 0.0
    for n, (at, seq, stamp, marker) in enumerate(packets):
        ours.take(seq, stamp, at)
        if n and not marker:
            jitter = 1e3 * ours.jitter / clock
            mean, most = (mean * (n - 1) + jitter) / n, max(most, jitter)
    return mean, most


@tshark
@pytest.mark.parametrize("name", ["all", *(pytest.param(str(media), marks=pytest.mark.full) for media in MediaType)])
def test_tshark_decodes_every_packet_and_finds_nothing_malformed(name, captured) -> None:
    result, file = captured[name]
    assert told(file, "-Y", "_ws.malformed || !(sdp || rtp || rtcp)") == ""
    opinions = told(file, "-q", "-z", "expert")
    assert "Malformed" not in opinions
    assert "Errors" not in opinions
    assert {ssrc: len(packets) for ssrc, packets in decoded(file).items()} == {
        ssrc: source.received for ssrc, source in sources(result).items()
    }


@tshark
@pytest.mark.parametrize("name", ["all", *(pytest.param(str(media), marks=pytest.mark.full) for media in MediaType)])
def test_the_jitter_that_tshark_computes_is_ours_within_one_percent(name, captured) -> None:
    result, file = captured[name]
    packets, rows = decoded(file), table(file)
    assert set(rows) == set(sources(result))
    for ssrc, source in sources(result).items():
        row = rows[ssrc]
        assert row["payload"] == PAYLOADS[source.kind]
        assert (int(row["packets"]), int(row["lost"])) == (source.received, source.lost)
        speech = source.kind == "audio" or (source.kind == "fec" and _is_audio(ssrc, sources(result)))
        clock = 48_000 if speech else 90_000
        mean, most = averaged(packets[ssrc], clock)
        assert float(row["mean"]) == pytest.approx(mean, rel=0.01)
        assert float(row["most"]) == pytest.approx(most, rel=0.01)
        if source.kind in {"audio", "data"}:  # no packet but the first is marked: the means are of the same packets
            assert float(row["mean"]) == pytest.approx(1e3 * source.jitter_mean, rel=0.01)
