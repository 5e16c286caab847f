"""The E-model: what a telephone connection is worth to those who talk, by levels, noises, delays, codec and loss.

Narrow band is ITU-T G.107 (06/2015), all of it; wide band G.107.1 (06/2019 with Corrigendum 1) and full band G.107.2
(06/2019) are here on an echo-free path, as neither models anything else beyond what planners set by default. Formulas
are cited by number. The three scales are not comparable: a `Rating` knows its own, and only it becomes a MOS.

What calls are judged by all the time is `voice`, the narrow-band model on an echo-free path with default levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.quality.voice import mos_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.quality.codecs import Codec

    Floats = NDArray[np.float64]


class Scale(Enum):
    """A scale of R: by what it is divided to read it as one of 0 to 100 (Annex A of G.107.1 and of G.107.2)."""

    NARROWBAND = 1.0
    WIDEBAND = 1.29
    FULLBAND = 1.48


@dataclass(frozen=True, slots=True)
class Rating:
    """A transmission rating R with the scale it is on.

    Attributes:
        value: R, any shape.
        scale: Which.
    """

    value: Floats
    scale: Scale

    @property
    def mos(self) -> Floats:
        """MOS of the scale's own listeners (MOS-CQE, CQEW or CQEF), in [1, 4.5]: compare within one scale only."""
        return mos_of(self.value / self.scale.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection, by the names and units of ITU-T G.107, Table 2; the defaults are its defaults.

    Attributes:
        slr: Send loudness rating, dB.
        rlr: Receive loudness rating, dB.
        stmr: Sidetone masking rating, dB.
        ds: D-value of the telephone at the sending side, dB.
        dr: D-value at the receiving side, dB.
        telr: Talker echo loudness rating, dB.
        wepl: Weighted echo path loss, dB.
        t: Mean one-way delay of the echo path, milliseconds.
        tr: Round-trip delay in a closed four-wire loop, milliseconds.
        ta: Absolute delay in echo-free connections, milliseconds.
        qdu: Quantisation distortion units.
        ie: Equipment impairment factor.
        bpl: Packet-loss robustness factor.
        ppl: Packet loss, percent.
        burst_ratio: BurstR; 1 for random loss.
        nc: Circuit noise at the 0 dBr point, dBm0p.
        nfor: Noise floor at the receiving side, dBmp.
        ps: Room noise at the sending side, dB(A).
        pr: Room noise at the receiving side, dB(A).
        a: Advantage factor.
        sensitivity: sT, how sensitive these people are to delay; 1 by default.
        tolerated: mT, the delay from which it matters, milliseconds; 100 by default.
    """

    slr: ArrayLike = 8.0
    rlr: ArrayLike = 2.0
    stmr: ArrayLike = 15.0
    ds: ArrayLike = 3.0
    dr: ArrayLike = 3.0
    telr: ArrayLike = 65.0
    wepl: ArrayLike = 110.0
    t: ArrayLike = 0.0
    tr: ArrayLike = 0.0
    ta: ArrayLike = 0.0
    qdu: ArrayLike = 1.0
    ie: ArrayLike = 0.0
    bpl: ArrayLike = 4.3
    ppl: ArrayLike = 0.0
    burst_ratio: ArrayLike = 1.0
    nc: ArrayLike = -70.0
    nfor: ArrayLike = -64.0
    ps: ArrayLike = 35.0
    pr: ArrayLike = 35.0
    a: ArrayLike = 0.0
    sensitivity: ArrayLike = 1.0
    tolerated: ArrayLike = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairments:
    """What makes up R (7-1): `ro` less all but the last, plus the advantage.

    Attributes:
        ro: Basic signal-to-noise ratio.
        loudness: Iolr, too loud.
        sidetone: Of too loud or too faint a sidetone (7-11).
        quantisation: Iq.
        talker_echo: Idte.
        listener_echo: Idle.
        delay: Idd.
        equipment: Ie,eff, codec and loss.
        advantage: A.
    """

    ro: Floats
    loudness: Floats
    sidetone: Floats
    quantisation: Floats
    talker_echo: Floats
    listener_echo: Floats
    delay: Floats
    equipment: Floats
    advantage: Floats

    @property
    def rating(self) -> Rating:
        """R on the narrow-band scale."""
        simultaneous = self.loudness + self.sidetone + self.quantisation
        delayed = self.talker_echo + self.listener_echo + self.delay
        return Rating(self.ro - simultaneous - delayed - self.equipment + self.advantage, Scale.NARROWBAND)


def narrowband(connection: Connection) -> Impairments:
    """ITU-T G.107 of one connection, or of many whose parameters broadcast.

    >>> float(narrowband(Connection()).rating.value.round(2))
    93.21
    """
    c = _Arrays(connection)
    no = _noise(c)
    ro = 15.0 - 1.5 * (c.slr + no)  # 7-2
    loudness, sidetone = _loudness(c, no), _sidetone(c)
    return Impairments(
        ro=ro,
        loudness=loudness,
        sidetone=sidetone,
        quantisation=_quantisation(c, ro),
        talker_echo=_talker_echo(c, no, sidetone),
        listener_echo=_listener_echo(c, ro),
        delay=_delay(c.ta, c.sensitivity, c.tolerated),
        equipment=_equipment(c.ie, c.bpl, c.ppl, c.burst_ratio, 95.0),
        advantage=c.a,
    )


def rate(codec: Codec, delay: ArrayLike = 0.0, loss: ArrayLike = 0.0, *, bursty: bool = False) -> Rating:
    """R of an echo-free call with default levels and this codec, on the codec's own scale.

    Args:
        codec: From `codecs`.
        delay: One-way mouth-to-ear delay, seconds.
        loss: Probability.
        bursty: Whether losses come in bursts, for codecs with a robustness of their own for that.

    Raises:
        ValueError: If the codec has no published robustness against losses in bursts, but `bursty`.
    """
    if bursty and codec.bpl_bursty is None:
        raise ValueError(f"{codec.name} has no published robustness against losses in bursts")
    bpl = codec.bpl_bursty if bursty and codec.bpl_bursty is not None else codec.bpl
    ta, ppl = 1e3 * np.asarray(delay, dtype=np.float64), 100.0 * np.asarray(loss, dtype=np.float64)
    if codec.scale is Scale.NARROWBAND:
        return narrowband(Connection(ta=ta, ppl=ppl, ie=codec.ie, bpl=bpl)).rating
    ro, of_delay, most = _WIDER[codec.scale]
    impaired = of_delay * _delay(ta, 1.0, 100.0) + _equipment(codec.ie, bpl, ppl, 1.0, most)
    return Rating(ro - impaired, codec.scale)


def burst_ratio(good_to_bad: ArrayLike, bad_to_good: ArrayLike) -> Floats:
    """BurstR of a Gilbert channel that loses all packets of its bad state: its mean burst over that of random loss.

    Source: ITU-T G.107, 7.5: the mean burst is 1/q, that of random loss of the same probability 1/(1 - Ppl), which
    makes BurstR = 1/(p + q).

    Args:
        good_to_bad: p, probability per packet.
        bad_to_good: q, probability per packet.

    >>> burst_ratio(0.01, [0.99, 0.49]).tolist()
    [1.0, 2.0]
    """
    return np.asarray(1.0 / (np.asarray(good_to_bad, dtype=np.float64) + np.asarray(bad_to_good, dtype=np.float64)))


# --- the parts --------------------------------------------------------------------------------------------------------


class _Arrays:
    """The parameters of a connection as arrays of float64."""

    def __init__(self, connection: Connection) -> None:
        self._of = connection

    def __getattr__(self, name: str) -> Floats:
        return np.asarray(getattr(self._of, name), dtype=np.float64)


def _noise(c: _Arrays) -> Floats:
    """No, the power of all noises at the 0 dBr point, dBm0p."""
    nos = c.ps - c.slr - c.ds - 100.0 + 0.004 * (c.ps - (c.slr + c.rlr) - c.ds - 14.0) ** 2  # 7-4
    pre = c.pr + 10.0 * np.log10(1.0 + 10.0 ** ((10.0 - (c.stmr + c.dr)) / 10.0))  # 7-6
    nor = c.rlr - 121.0 + pre + 0.008 * (pre - 35.0) ** 2  # 7-5
    nfo = c.nfor + c.rlr  # 7-7
    return np.asarray(10.0 * np.log10(sum(10.0 ** (noise / 10.0) for noise in (c.nc, nos, nor, nfo))))  # 7-3


def _loudness(c: _Arrays, no: Floats) -> Floats:
    x = (c.slr + c.rlr) + 0.2 * (64.0 + no - c.rlr)  # 7-10
    return np.asarray(20.0 * ((1.0 + (x / 8.0) ** 8) ** (1 / 8) - x / 8.0))  # 7-9


def _sidetone(c: _Arrays) -> Floats:
    heard = -10.0 * np.log10(10.0 ** (-c.stmr / 10.0) + np.exp(-c.t / 4.0) * 10.0 ** (-c.telr / 10.0))  # 7-12
    loud = 12.0 * (1.0 + ((heard - 13.0) / 6.0) ** 8) ** (1 / 8)
    middle = 28.0 * (1.0 + ((heard + 1.0) / 19.4) ** 35) ** (1 / 35)
    quiet = 13.0 * (1.0 + ((heard - 3.0) / 33.0) ** 13) ** (1 / 13)
    return np.asarray(loud - middle - quiet + 29.0)  # 7-11


def _quantisation(c: _Arrays, ro: Floats) -> Floats:
    q = 37.0 - 15.0 * np.log10(c.qdu)  # 7-17
    g = 1.07 + 0.258 * q + 0.0602 * q**2  # 7-16
    y, z = (ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0, 46.0 / 30.0 - g / 40.0  # 7-14, 7-15
    return np.asarray(15.0 * np.log10(1.0 + 10.0**y + 10.0**z))  # 7-13


_ANECHOIC = 1.0
"""Milliseconds of the echo path below which talkers hear no echo."""
_LOW_SIDETONE, _HIGH_SIDETONE = 9.0, 20.0
"""dB of STMR below which sidetone masks echo, and above which there is too little of it."""


def _talker_echo(c: _Arrays, no: Floats, sidetone: Floats) -> Floats:
    terv = c.telr - 40.0 * np.log10((1.0 + c.t / 10.0) / (1.0 + c.t / 150.0)) + 6.0 * np.exp(-0.3 * c.t**2)  # 7-22
    terv = np.where(c.stmr < _LOW_SIDETONE, terv + sidetone / 2.0, terv)  # 7-23
    re, roe = 80.0 + 2.5 * (terv - 14.0), -1.5 * (no - c.rlr)  # 7-21, 7-20
    half = (roe - re) / 2.0
    echo = (half + np.sqrt(half**2 + 100.0) - 1.0) * (1.0 - np.exp(-c.t))  # 7-19
    echo = np.where(c.t < _ANECHOIC, 0.0, echo)
    return np.asarray(np.where(c.stmr > _HIGH_SIDETONE, np.sqrt(echo**2 + sidetone**2), echo))  # 7-24


def _listener_echo(c: _Arrays, ro: Floats) -> Floats:
    half = (ro - 10.5 * (c.wepl + 7.0) * (c.tr + 1.0) ** -0.25) / 2.0  # 7-26
    return np.asarray(half + np.sqrt(half**2 + 169.0))  # 7-25


def _delay(ta: ArrayLike, sensitivity: ArrayLike, tolerated: ArrayLike) -> Floats:
    late = np.maximum(np.asarray(ta, dtype=np.float64) / np.asarray(tolerated, dtype=np.float64), 1.0)
    x, n = np.log2(late), 6.0 * np.asarray(sensitivity, dtype=np.float64)
    return np.asarray(25.0 * ((1.0 + x**n) ** (1.0 / n) - 3.0 * (1.0 + (x / 3.0) ** n) ** (1.0 / n) + 2.0))  # 7-27, 28


def _equipment(ie: ArrayLike, bpl: ArrayLike, ppl: ArrayLike, ratio: ArrayLike, most: float) -> Floats:
    lost, own = np.asarray(ppl, dtype=np.float64), np.asarray(ie, dtype=np.float64)
    return np.asarray(own + (most - own) * lost / (lost / np.asarray(ratio) + np.asarray(bpl)))  # 7-29


_WIDER = {
    # Ro, what multiplies Idd, and the most that loss costs: 129 and an unchanged 95 (G.107.1, 7-2 and 7-15); full band
    # from its own noise floor, 20 - 1.5 (SLR + No) with Nc = Nfo = -96 dBm0p, and 132 (G.107.2, 7.2, 7.4, 7.5)
    Scale.WIDEBAND: (129.0, 1.0, 95.0),
    Scale.FULLBAND: (20.0 - 1.5 * (8.0 + 10.0 * np.log10(2.0 * 10.0**-9.6)), 1.48, 132.0),
}
