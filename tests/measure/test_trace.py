"""The trace: equal runs are equal bytes, and half a trace is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.measure.records import SCHEMA_VERSION, TABLES, schema
from meshsim.measure.trace import Ragged, Trace, TraceWriter, trace_sha256
from meshsim.mesh.errors import TraceError

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *, value: float = 0.5) -> Path:
    with TraceWriter(folder, {"scenario": {"name": "x"}, "seed": 1}) as writer:
        writer.append("links", link=[0, 1], src=[0, 1], dst=[1, 0])
        writer.append("events", time_ns=np.array([1]), kind=["down"], node=[0], call=[-1], detail=[f"strength {value}"])
    return folder


def test_equal_runs_are_equal_bytes(tmp_path: Path) -> None:
    assert trace_sha256(write(tmp_path / "a")) == trace_sha256(write(tmp_path / "b"))


def test_one_different_value_changes_the_hash(tmp_path: Path) -> None:
    assert trace_sha256(write(tmp_path / "a")) != trace_sha256(write(tmp_path / "b", value=0.6))


def test_the_side_file_does_not_count(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    before = trace_sha256(folder)
    (folder / "environment.json").write_text("{}")
    assert trace_sha256(folder) == before


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    trace = Trace(write(tmp_path / "a"))
    assert trace.columns("links")["dst"].tolist() == [1, 0]
    assert trace.columns("events")["detail"] == ["strength 0.5"]
    assert trace.header["schema_version"] == SCHEMA_VERSION


def test_an_unwritten_table_is_empty_and_has_its_columns(tmp_path: Path) -> None:
    table = Trace(write(tmp_path / "a")).table("routes")
    assert (table.num_rows, table.schema) == (0, schema("routes"))


def test_rows_beyond_one_part_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshsim.measure.trace.PART_ROWS", 3)
    with TraceWriter(tmp_path / "a", {}) as writer:
        for i in range(7):
            writer.append("links", link=[i], src=[0], dst=[1])
    assert len(list((tmp_path / "a" / "links").iterdir())) == 3
    assert Trace(tmp_path / "a").columns("links")["link"].tolist() == list(range(7))


def test_a_cut_off_trace_is_refused(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "a", {})
    writer.append("links", link=[0], src=[0], dst=[1])
    with pytest.raises(TraceError, match="no complete trace"):
        Trace(tmp_path / "a")


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff"], ids=["cut off", "a list", "no text"])
def test_a_broken_header_is_refused(text: bytes, tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    (folder / "header.json").write_bytes(text)
    with pytest.raises(TraceError, match=r"header\.json"):
        Trace(folder)


def test_a_broken_part_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    part = next(folder.rglob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(TraceError, match="cannot be read"):
        Trace(folder).table(part.parent.name)


def test_an_episode_that_fails_leaves_no_whole_trace(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), TraceWriter(tmp_path / "a", {}):
        _ = 1 / 0
    with pytest.raises(TraceError):
        Trace(tmp_path / "a")


def test_a_trace_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "a")
    with pytest.raises(TraceError, match="already"):
        TraceWriter(tmp_path / "a", {})


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    header = folder / "header.json"
    header.write_text(header.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'))
    with pytest.raises(TraceError, match="99"):
        Trace(folder)


@pytest.mark.parametrize(
    "columns", [{"link": [0], "src": [0]}, {"link": [0], "src": [0], "dst": [0], "x": [0]}], ids=["missing", "unknown"]
)
def test_columns_must_be_those_of_the_schema(tmp_path: Path, columns: dict[str, list[int]]) -> None:
    with pytest.raises(TraceError, match="columns differ"):
        TraceWriter(tmp_path / "a", {}).append("links", **columns)


def test_columns_must_have_one_length(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="length"):
        TraceWriter(tmp_path / "a", {}).append("links", link=[0, 1], src=[0], dst=[1])


def test_an_unknown_table_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="view_links"):
        Trace(write(tmp_path / "a")).table("nope")


def test_every_column_says_what_it_holds() -> None:
    assert all(column.text for columns in TABLES.values() for column in columns)
    assert schema("calls").field("mos").metadata[b"description"]


def test_an_empty_list_beside_filled_ones_is_kept(tmp_path: Path) -> None:
    filler = {"float64": [0.0, 0.0], "string": ["x", "y"], "bool": [True, False]}
    columns = {c.name: filler.get(c.type, [1, 2]) for c in TABLES["calls"]}
    with TraceWriter(tmp_path / "a", {}) as writer:
        writer.append("calls", **(columns | {"path": [[], [0, 2, 1]], "final_path": [[], []]}))
    calls = Trace(tmp_path / "a").columns("calls")
    assert (calls["path"], calls["final_path"]) == ([[], [0, 2, 1]], [[], []])


def test_a_list_column_may_be_given_as_arrays(tmp_path: Path) -> None:
    filler = {"float64": [0.0, 0.0], "string": ["x", "y"], "bool": [True, False]}
    columns = {c.name: filler.get(c.type, [1, 2]) for c in TABLES["calls"]}
    paths = Ragged(np.array([4, 0, 2], dtype=np.int32), np.array([1, 2]))
    hashes = []
    for name, given in (("a", paths), ("b", [[4], [0, 2]])):
        with TraceWriter(tmp_path / name, {}) as writer:
            writer.append("calls", **(columns | {"path": given, "final_path": given}))
        hashes.append(trace_sha256(tmp_path / name))
    assert hashes[0] == hashes[1]
    assert Trace(tmp_path / "a").columns("calls")["path"] == [[4], [0, 2]]


def test_arrays_of_lists_are_refused_where_a_column_holds_none(tmp_path: Path) -> None:
    ragged = Ragged(np.array([4, 0]), np.array([1, 1]))
    with TraceWriter(tmp_path / "a", {}) as writer, pytest.raises(TraceError, match="a list is no int32"):
        writer.append("links", link=[0, 1], src=ragged, dst=[1, 0])
