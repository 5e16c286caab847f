from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import carried_bits, transmit
from meshsim.measure.external.rates import RateTrace, read_mahimahi, read_starlink
from meshsim.mesh.errors import ConfigError

STARLINK = "t_s,down_mbps,up_mbps,speed_mps\n0.0,10.0,1.0,3.0\n1.0,30.0,0.0,3.0\n9.0,20.0,2.0,3.0\n"


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("MESHSIM_DATA_DIR")
    if not folder:
        pytest.skip("MESHSIM_DATA_DIR is not set")
    return Path(folder)


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("rates")

    def to(text: str | bytes) -> Path:
        path = folder / "trace"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to


def bits(trace: RateTrace) -> float:
    return trace.mean * float(trace.times[-1])


def test_a_line_of_mahimahi_is_1500_bytes_in_the_step_that_ends_with_it(write) -> None:
    trace = read_mahimahi(write("0\n50\n100\n101\n250\n"), step=0.1)
    assert trace.times.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.25])
    assert trace.values.tolist() == pytest.approx([3 * 12e3 / 0.1, 12e3 / 0.1, 12e3 / 0.05, 0.0])


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=50), st.floats(0.001, 3.0))
def test_no_step_loses_or_makes_bits(write, gaps: list[int], step: float) -> None:
    ends = np.cumsum(gaps)
    if ends[-1] > 0:
        trace = read_mahimahi(write("\n".join(map(str, ends))), step=step)
        assert bits(trace) == pytest.approx(12e3 * len(ends))
        assert trace.times[-1] == ends[-1] / 1e3
        assert (np.diff(trace.times) > 0.0).all()
        assert (trace.values >= 0.0).all()


@pytest.mark.parametrize("step", [0.05, 0.1, 0.15, 1.0])
def test_the_table_of_the_data_folder_is_read_packed_or_not_in_any_step(write, step: float) -> None:
    text = "t_s,kbps\n0.0,120\n0.1,0\n0.2,360\n"
    for form in (text.encode(), gzip.compress(text.encode())):
        trace = read_mahimahi(write(form), step=step)
        assert bits(trace) == pytest.approx(48e3)
        assert trace.times[-1] == pytest.approx(0.3)


def test_rows_of_starlink_are_seconds_and_its_pauses_are_closed(write) -> None:
    path = write(STARLINK)
    down, up = read_starlink(path), read_starlink(path, direction="up", step=1.5)
    assert (down.times.tolist(), down.values.tolist()) == ([0.0, 1.0, 2.0, 3.0], [10e6, 30e6, 20e6, 0.0])
    assert up.values.tolist() == pytest.approx([1e6 / 1.5, 2e6 / 1.5, 0.0])


def test_a_link_carries_a_period_of_the_trace_in_a_period(write) -> None:
    trace = read_starlink(write(STARLINK))
    carried = carried_bits(*trace)
    assert transmit(0.0, bits(trace), *trace, carried, 0, len(trace.times)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", None, "empty"),
        ("\n\n", None, "empty"),
        (b"\x1f\x8bno", None, "cannot be read"),
        (b"\xff\xfe", None, "cannot be read"),
        ("1\n2\nx\n", 3, "'x'"),
        ("1\n-2\n", 2, "'-2'"),
        ("1\nnan\n", 2, "'nan'"),
        ("1\n\n3\n", 2, "''"),
        ("5\n4\n", 2, "4 comes after 5"),
        ("0\n0\n", None, "lasts no time"),
        ("t_s,kbps\n", 1, "no rows"),
        ("t_s,kbps\n0.0,1\n0.1\n", 3, "1 cells"),
        ("t_s,kbps\n0.0,much\n", 2, "'much'"),
        ("time,rate\n0,1\n", 1, "'time,rate'"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_with_its_line(
    write, text: str | bytes, line: int | None, says: str
) -> None:
    path = write(text)
    with pytest.raises(ConfigError, match=says) as refused:
        read_mahimahi(path)
    assert (refused.value.file, refused.value.line) == (str(path), line)


def test_a_table_with_other_columns_is_no_starlink_trace(write) -> None:
    with pytest.raises(ConfigError, match="begins with 't_s,kbps'"):
        read_starlink(write("t_s,kbps\n0.0,1\n"))


def test_a_missing_file_a_wrong_direction_and_a_wrong_step_are_named(write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_mahimahi(tmp_path / "none")
    with pytest.raises(ConfigError, match="did you mean: down"):
        read_starlink(write(STARLINK), direction="dwn")
    for step in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="step"):
            read_starlink(write(STARLINK), step=step)


def test_published_cellular_traces_carry_the_opportunities_that_their_index_counts(data: Path) -> None:
    folder = data / "cellular_mahimahi"
    _, *rows = csv.reader((folder / "index.csv").read_text().splitlines())
    assert len(rows) == 9
    for name, *_, dead, _, opportunities in rows:
        trace = read_mahimahi(folder / f"{name.replace('.', '_')}.csv.gz")
        assert bits(trace) / 12e3 == pytest.approx(int(opportunities), rel=1e-3, abs=1.0)
        assert (trace.values[:-1] == 0.0).mean() == pytest.approx(float(dead), abs=0.002)


def test_the_published_starlink_trace_has_the_quantiles_of_its_readme(data: Path) -> None:
    path = data / "starlink_mobile" / "autobahn_throughput_1s.csv.gz"
    down, up = read_starlink(path), read_starlink(path, direction="up")
    assert len(down.times) - 1 == 4861
    assert np.quantile(down.values[:-1] / 1e6, [0.05, 0.5, 0.95]) == pytest.approx([45, 218, 395], abs=1.0)
    assert np.quantile(up.values[:-1] / 1e6, [0.05, 0.5, 0.95]) == pytest.approx([0.0, 14.9, 32.7], abs=0.1)
