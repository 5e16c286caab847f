"""Speech codecs as the E-model sees them: equipment impairment and robustness against loss, each on its own scale.

Narrow-band values of ITU-T codecs are those of G.113, Appendix I (provisional planning values). Opus is from Alahmadi,
Pocta, Melvin, "An adaptive bitrate switching algorithm for speech applications in context of WebRTC", ACM TOMM 17(4)
2021, doi 10.1145/3458751, as published with their library opus-codec-quality-evaluation; its super-wide-band rows are
left out, for they are on a scale that is neither of G.107.1 nor of G.107.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshsim.mesh.quality.emodel import Scale
from meshsim.mesh.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """A codec at one bit rate.

    Attributes:
        name: With its rate in kbit/s.
        scale: Of both factors.
        ie: Equipment impairment factor.
        bpl: Robustness against random loss, percent.
        bpl_bursty: Against losses in bursts, used with a BurstR of 1; None where only random loss was measured.
    """

    name: str
    scale: Scale
    ie: float
    bpl: float
    bpl_bursty: float | None = None


CODECS: Registry[Codec] = Registry("codec")
"""By name: `g711`, `g711_plc`, `g729a`, ..., `opus_nb_cbr_11`, `opus_wb_vbr_13`."""

_G113 = {
    "g711": (0.0, 4.3),
    "g711_plc": (0.0, 25.1),
    "g729a": (11.0, 19.0),
    "g723_1": (15.0, 16.1),
    "gsm_efr": (5.0, 10.0),
}

_OPUS = {
    "opus_wb_vbr_11": (28.41322299, 23.93979569, 20.11987374),
    "opus_wb_vbr_12": (23.29505705, 22.2151863, 18.90376092),
    "opus_wb_vbr_13": (19.958882, 19.49608704, 16.91955649),
    "opus_wb_cbr_12": (29.76435108, 24.80947978, 20.77703993),
    "opus_wb_cbr_13": (26.16108167, 23.0047189, 19.372252),
    "opus_wb_cbr_14": (20.77194577, 17.5623101, 15.84824707),
    "opus_wb_cbr_15": (18.06274989, 18.73740804, 16.09740659),
    "opus_nb_vbr_6": (23.00233478, 24.5644848, 15.35503534),
    "opus_nb_vbr_7": (21.25545861, 22.45885046, 14.42549516),
    "opus_nb_vbr_8": (16.02443357, 20.25866692, 13.47963008),
    "opus_nb_vbr_9": (11.73674352, 18.90829837, 12.44222463),
    "opus_nb_cbr_6": (46.26834316, 8.939710714, 5.655040056),
    "opus_nb_cbr_7": (31.73480382, 18.17914283, 11.76446295),
    "opus_nb_cbr_8": (19.24547807, 15.12823436, 10.1315844),
    "opus_nb_cbr_9": (13.20879771, 17.23921027, 11.36427122),
    "opus_nb_cbr_10": (6.197366255, 15.32972957, 10.47043983),
    "opus_nb_cbr_11": (2.030115291, 15.95164784, 10.73313709),
}

for _name, (_ie, _bpl) in _G113.items():
    CODECS.add(_name, Codec(name=_name, scale=Scale.NARROWBAND, ie=_ie, bpl=_bpl))
for _name, (_ie, _bpl, _bursty) in _OPUS.items():
    _scale = Scale.WIDEBAND if "_wb_" in _name else Scale.NARROWBAND
    CODECS.add(_name, Codec(name=_name, scale=_scale, ie=_ie, bpl=_bpl, bpl_bursty=_bursty))
