"""Rates of links as measured: cellular links (Mahimahi) and a Starlink dish, as traces that a `PacketLink` repeats.

A trace is a list of instants, ascending from 0, and the rate from each; the last instant marks the period
(`links.transmit`). The data stay in the folder that MESHSIM_DATA_DIR names; `data/registry.yaml` tells their origin.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meshsim.links import carried_bits
from meshsim.mesh.errors import ConfigError, nearest
from meshsim.mesh.units import parse

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPPORTUNITY_BYTES = 1500.0
"""What one line of a Mahimahi trace delivers."""

_CSV_STEP = 0.1
_HEADERS = {"mahimahi": "t_s,kbps", "starlink": "t_s,down_mbps,up_mbps,speed_mps"}


class RateTrace(NamedTuple):
    """A rate that is constant piece by piece.

    Attributes:
        times: B + 1 instants, seconds, ascending from 0; the last is the period.
        values: Bits per second from each instant on; the last is 0 and only closes the period.
    """

    times: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Bits per second over the period."""
        return float((self.values[:-1] * np.diff(self.times)).sum() / self.times[-1])


def read_mahimahi(path: Path | str, *, step: float = 0.1) -> RateTrace:
    """A cellular trace, in Mahimahi's own form or in the data folder's.

    Mahimahi's form has one line for each chance to deliver 1,500 bytes, the millisecond at which it ends; the trace
    repeats after the last (R. Netravali et al., Mahimahi, USENIX ATC 2015). The data folder's form is a table of
    `t_s,kbps` in steps of 100 ms.

    Args:
        path: The file, gzipped or not.
        step: Seconds for which a rate is held; the last may be shorter. Bits are neither lost nor made.

    Raises:
        ConfigError: If the file is no such trace, with its line; if the step is not above 0.
    """
    lines = _lines(path)
    if lines[0] == _HEADERS["mahimahi"]:
        rates = [_rate(path, number, row[1], "kbps") for number, row in _rows(path, lines)]
        return _rebinned(_spans(rates, _CSV_STEP), step)
    ends = [_number(path, number, line) / 1e3 for number, line in enumerate(lines, 1)]
    late = next((i for i in range(1, len(ends)) if ends[i] < ends[i - 1]), None)
    if late is not None:
        raise _wrong(path, late + 1, f"{lines[late]} comes after {lines[late - 1]}", "milliseconds that never fall")
    return _binned(np.array(ends), _positive(path, ends[-1]), step)


def read_starlink(path: Path | str, *, direction: str = "down", step: float = 1.0) -> RateTrace:
    """A trace of the Starlink dish: one second per row, in the order of the file.

    The recording pauses now and then (its README counts 84 gaps in 4,861 s of data): what lies between two rows is
    unknown, so the pauses are closed, not filled.

    Args:
        path: The file, gzipped or not.
        direction: `down` or `up`.
        step: Seconds for which a rate is held.

    Raises:
        ConfigError: If the file is no such table, with its line; for another direction; if the step is not above 0.
    """
    known = ("down", "up")
    if direction not in known:
        raise ConfigError(
            f"no direction {direction!r}", key="direction", allowed=known, nearest=nearest(direction, known)
        )
    lines = _lines(path)
    if lines[0] != _HEADERS["starlink"]:
        raise _wrong(path, 1, f"begins with {lines[0]!r}", _HEADERS["starlink"])
    rates = [_rate(path, number, row[1 + known.index(direction)], "Mbps") for number, row in _rows(path, lines)]
    return _rebinned(_spans(rates, 1.0), step)


def _lines(path: Path | str) -> list[str]:
    """The lines of a text file, unpacked if its first bytes say so."""
    try:
        raw = Path(path).read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ConfigError("is empty", file=str(path))
    return [line.strip() for line in lines]


def _rows(path: Path | str, lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line below the header, with the line's number."""
    width = len(lines[0].split(","))
    if len(lines) == 1:
        raise _wrong(path, 1, "has a header and no rows", "at least one row")
    for number, line in enumerate(lines[1:], 2):
        row = line.split(",")
        if len(row) != width:
            raise _wrong(path, number, f"{len(row)} cells", f"{width} cells: {lines[0]}")
        yield number, row


def _number(path: Path | str, line: int, text: str) -> float:
    """A finite number, at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise _wrong(path, line, f"{text!r} is no number from 0 on", "a finite number, at least 0")
    return value


def _rate(path: Path | str, line: int, text: str, unit: str) -> float:
    return parse(f"{_number(path, line, text)!r}{unit}", "rate")


def _positive(path: Path | str, period: float) -> float:
    if period <= 0.0:
        raise ConfigError("lasts no time", file=str(path))
    return period


def _wrong(path: Path | str, line: int, message: str, allowed: str) -> ConfigError:
    return ConfigError(message, file=str(path), line=line, allowed=[allowed])


def _spans(rates: list[float], span: float) -> RateTrace:
    """Rates that hold for `span` seconds each."""
    return RateTrace(np.arange(len(rates) + 1, dtype=np.float64) * span, np.array([*rates, 0.0]))


def _binned(ends: NDArray[np.float64], period: float, step: float) -> RateTrace:
    """Chances to deliver, by the step in which they end."""
    return _by_step(period, step, lambda edges: OPPORTUNITY_BYTES * 8.0 * np.searchsorted(ends, edges, side="right"))


def _rebinned(trace: RateTrace, step: float) -> RateTrace:
    """The same bits in other steps."""
    carried = carried_bits(trace.times, trace.values)
    return _by_step(float(trace.times[-1]), step, lambda edges: np.interp(edges, trace.times, carried))


def _by_step(
    period: float, step: float, carried: Callable[[NDArray[np.float64]], NDArray[np.floating[Any]]]
) -> RateTrace:
    """Rates over steps of the bits carried up to each edge; what came at 0 itself counts in the first step."""
    if not 0.0 < step < math.inf:
        raise ConfigError(f"{step!r} is out of range", key="step", allowed=["seconds above 0"])
    count = max(1, math.ceil(period / step - 1e-9))
    edges = np.append(np.arange(count, dtype=np.float64) * step, period)
    bits = np.array(carried(edges), np.float64)
    bits[0] = 0.0
    return RateTrace(edges, np.append(np.diff(bits) / np.diff(edges), 0.0))
