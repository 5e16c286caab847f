from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from meshsim.agent.legs import label_of
from meshsim.mesh.ids import CallId
from meshsim.node.telling import LineWriter, logged

CALL = CallId(b"\xab" * 16)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends: where to read, where to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_lines_come_out_in_order(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    for number in range(100):
        writer.write({"number": number})
    writer.close()
    lines = os.read(pipe[0], 65_536).splitlines()
    assert [msgspec.json.decode(line)["number"] for line in lines] == list(range(100))


def test_a_reader_that_does_not_read_holds_nobody_up_and_hears_later_what_it_missed(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1], waiting=10)
    began = time.monotonic()
    for _ in range(200):
        writer.write({"text": "x" * 3_000})
    assert time.monotonic() - began < 0.5
    assert writer.dropped > 150
    told: list[int] = []
    rest = b""
    while not told:
        *lines, rest = (rest + os.read(pipe[0], 65_536)).split(b"\n")
        told += [value["count"] for value in map(msgspec.json.decode, lines) if value.get("event") == "dropped"]
    assert told == [writer.dropped]
    writer.close()


def test_a_reader_that_is_gone_ends_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    writer = LineWriter(write)
    writer.write({"a": 1})
    writer.close()
    writer.write({"a": 2})
    os.close(write)


@pytest.mark.parametrize(
    ("event", "level", "more"),
    [
        ({"event": "ready"}, "info", {}),
        ({"event": "error", "reason": "x"}, "error", {"reason": "x"}),
        ({"event": "path_lost", "call": CALL.hex()}, "warning", {"call_id": CALL.hex()}),
        (
            {"event": "media_open", "call": CALL.hex(), "label": 255},
            "info",
            {"call_id": CALL.hex(), "route_id": "000000ff"},
        ),
        (
            {"event": "receipt", "call": CALL.hex(), "attempt": 2},
            "info",
            {"call_id": CALL.hex(), "route_id": f"{label_of(CALL, 2):08x}", "attempt": 2},
        ),
        ({"event": "heard", "call": CALL.hex(), "arrivals": [1.0], "seconds": []}, "info", {"call_id": CALL.hex()}),
    ],
)
def test_a_log_line_says_when_how_grave_and_of_which_call_and_route(
    event: dict[str, object], level: str, more: dict[str, object]
) -> None:
    line = logged(event, lambda: datetime(2026, 1, 2, tzinfo=UTC))
    assert line == {"time": "2026-01-02T00:00:00.000+00:00", "level": level, "event": event["event"]} | more
