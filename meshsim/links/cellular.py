"""A cellular access link by distance: path loss, what a scheduler gets out of the SNR, and where coverage ends.

Source: 3GPP TR 36.942 (v17), macro cell in a city at 2 GHz (4.5.2) and link throughput by a truncated, attenuated
Shannon bound (annex A.2). Losses below coverage are those that four attempts of hybrid ARQ at a block error rate of
10 % leave (TS 36.213 aims at 10 % for the first attempt).
"""

from __future__ import annotations

import math
from typing import NamedTuple

REFERENCE_DB, SLOPE_DB = 128.1, 37.6
"""Path loss at 1 km, and for each factor of ten in distance, dB."""

DOWN_ATTENUATION, UP_ATTENUATION = 0.6, 0.4
MOST_DOWN, MOST_UP = 4.4, 2.0
"""Bits per second and hertz."""

LEAST_SNR = -10.0
"""Decibels: below there is no coverage."""

BLOCK_ERRORS, ATTEMPTS = 0.1, 4

FAINT = 16e3
"""Bits per second that are left at the end of coverage: what signalling needs."""


class Cell(NamedTuple):
    """A base station and what it shares out.

    Attributes:
        power_dbm: Transmitted, antenna gains included.
        noise_dbm: Thermal noise and interference in the bandwidth.
        bandwidth: Hertz.
        share: Of the bandwidth that one user gets, in (0, 1].
        shadowing_db: Standard deviation of the shadowing.
    """

    power_dbm: float = 61.0
    noise_dbm: float = -80.0
    bandwidth: float = 10e6
    share: float = 0.2
    shadowing_db: float = 6.0


def cellular_snr(distance: float, shadow: float, cell: Cell) -> float:
    """SNR in dB at `distance` metres (at least 35) with a standard normal `shadow`.

    >>> round(cellular_snr(1000.0, 0.0, Cell()), 1)
    12.9
    """
    loss = REFERENCE_DB + SLOPE_DB * math.log10(max(distance, 35.0) / 1000.0)
    return cell.power_dbm - loss - cell.noise_dbm + cell.shadowing_db * shadow


def cellular_link(distance: float, shadow: float, cell: Cell) -> tuple[float, float, float]:
    """What a user gets: rate up and down in bits per second, and the share of packets lost.

    Args:
        distance: Metres to the base station.
        shadow: A standard normal draw.
        cell: The station.

    >>> near, far = cellular_link(200.0, 0.0, Cell()), cellular_link(2500.0, 0.0, Cell())
    >>> near[0] > far[0], near[1] > far[1], near[2] <= far[2]
    (True, True, True)
    """
    snr = cellular_snr(distance, shadow, cell)
    if snr < LEAST_SNR:
        return FAINT, FAINT, 1.0
    bound = math.log2(1.0 + 10.0 ** (snr / 10.0))
    shared = cell.bandwidth * cell.share
    up = max(shared * min(UP_ATTENUATION * bound, MOST_UP), FAINT)
    down = max(shared * min(DOWN_ATTENUATION * bound, MOST_DOWN), FAINT)
    return up, down, BLOCK_ERRORS**ATTEMPTS
