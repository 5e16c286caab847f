"""What calls lived through so far: time integrals of rtt, jitter, loss and rate, one row of a table for each call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAN = float("nan")
_FIRST = 256
_SHARE, _TIME = 3, 4
"""Columns of the share of the rate and of the seconds; before them stand rtt, jitter and loss, all times seconds."""


class Lived:
    """Rows for calls under way; seconds, and seconds times the measure.

    `whole` is what a call lived through in all, `stretch` on its present path, `now` what it is like at present and
    has been since `since`.
    """

    def __init__(self) -> None:
        self._since = np.zeros(_FIRST)
        self._now = np.zeros((_FIRST, _TIME))
        self._whole = np.zeros((_FIRST, _TIME + 1))
        self._stretch = np.zeros((_FIRST, _TIME + 1))
        self._free = list(range(_FIRST - 1, -1, -1))

    def take(self) -> int:
        """A row for a new call, in which nothing was lived through."""
        if not self._free:
            self._grow()
        row = self._free.pop()
        self._whole[row] = 0.0
        return row

    def release(self, row: int) -> None:
        """The call of `row` has ended."""
        self._free.append(row)

    def begin(self, row: int, t: float, now: tuple[float, float, float]) -> None:
        """Media flow on a new path from `t` seconds on, at their full rate; `now` is (rtt, jitter, loss)."""
        self._since[row], self._now[row], self._stretch[row] = t, (*now, 1.0), 0.0

    def write_up(self, row: int, t: float) -> None:
        """Adds the time since the last look, up to `t` seconds."""
        seconds, self._since[row] = t - self._since.item(row), t
        rtt, jitter, loss, share = self._now[row].tolist()
        gained = (seconds * rtt, seconds * jitter, seconds * loss, seconds * share, seconds)
        self._whole[row] += gained
        self._stretch[row] += gained

    def settle(
        self, rows: NDArray[np.int64], t: float, now: NDArray[np.float64], share: NDArray[np.float64] | float = 1.0
    ) -> None:
        """The same for K calls, whose present (rtt, jitter, loss) is then `now` (K, 3), their rate's share `share`."""
        seconds = t - self._since[rows]
        gained = np.empty((len(rows), _TIME + 1))
        gained[:, :_TIME] = seconds[:, None] * self._now[rows]
        gained[:, _TIME] = seconds
        self._whole[rows] += gained
        self._stretch[rows] += gained
        self._since[rows] = t
        self._now[rows, :_SHARE], self._now[rows, _SHARE] = now, share

    def restate(self, rows: NDArray[np.int64], past: NDArray[np.float64]) -> None:
        """Says what K calls really lived through since the last look: `past` (K, 3), NaN where nobody can tell."""
        self._now[rows, :_SHARE] = np.where(np.isnan(past), self._now[rows, :_SHARE], past)

    def time(self, row: int) -> float:
        """Seconds for which media have flowed, up to the last look."""
        return self._whole.item(row, _TIME)

    def means(self, row: int, gap: float = 0.0) -> tuple[float, float, float]:
        """Mean rtt, jitter and loss of the whole call; in `gap` further seconds every packet was lost."""
        return _means(self._whole, row, gap)

    def share(self, row: int) -> float:
        """Mean share of its full rate that the call sent while media flowed, worse direction; 1 if none did."""
        time = self.time(row)
        return self._whole.item(row, _SHARE) / time if time > 0.0 else 1.0

    def stretch(self, row: int) -> tuple[float, float, float]:
        """Mean rtt, jitter and loss on the present path. NaN if nothing was lived."""
        return _means(self._stretch, row)

    def _grow(self) -> None:
        size = len(self._since)
        self._since = np.concatenate([self._since, np.zeros(size)])
        for name in ("_now", "_whole", "_stretch"):
            table = getattr(self, name)
            setattr(self, name, np.concatenate([table, np.zeros_like(table)]))
        self._free.extend(range(2 * size - 1, size - 1, -1))


def _means(table: NDArray[np.float64], row: int, gap: float = 0.0) -> tuple[float, float, float]:
    rtt, jitter, loss, _, time = table[row].tolist()
    if time <= 0.0:
        return NAN, NAN, NAN
    return rtt / time, jitter / time, (loss + gap) / (time + gap)
