"""What people see and hear of a video call: ITU-T G.1070 (06/2018), an opinion model for video telephony.

Video quality is that of clause 11.3 with the coefficients of Table B.4, column 1: H.264 baseline profile, VGA, a screen
of 6 inches; speech and video are put together by clause 11.4 with those of Annex C for a screen of 4.2 inches, the
larger of the two that were published. Valid for 8 to 30 frames a second, up to 3 % of loss and 1 s of delay. Beyond,
the formulas go on, and are kept from saying that worse is better, but nobody has asked people.

Rate, frames and loss are a plan's, not a decoder's: no content, no freezes, no repair. Packets that retransmission or
FEC bring back must be left out of the loss by the caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.mesh.media import VIDEO_RATE, VIDEO_WIRE_RATE, VOICE_WIRE_RATE
from meshsim.mesh.quality.voice import R_DEFAULT, loss_impairment, mos_of, mouth_to_ear

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FRAMES_PER_SECOND = 30.0


class VideoCoefficients(NamedTuple):
    """v1 to v12 of ITU-T G.1070 (Annex B), for bit rates in kbit/s and loss in percent."""

    v1: float
    v2: float
    v3: float
    v4: float
    v5: float
    v6: float
    v7: float
    v8: float
    v9: float
    v10: float
    v11: float
    v12: float


H264_VGA = VideoCoefficients(
    6.743, 0.9998e-2, 3.051, 168.1, 1.766, 1.130, 18.340e-4, 1.232, 53.25, 3.353, 6.025, 80.752
)
"""H.264 baseline profile, VGA, 6 inches: Table B.4, column 1."""

_M = (-4.457e-1, -6.638e-1, 4.042e-1, 2.321)
_SPEECH_VIDEO = (-3.255e-1, 3.309e-1, 1.494e-1, 5.457e-1)
_DELAY, _NO_DELAY = -3.235e-4, 3.915
"""m1 to m4, m5 to m8, m9 (per millisecond) and m10 of Annex C, 4.2 inches."""

_LEAST_DELAY_TERM = -_M[0] / _M[2]
"""Of the term for delay, about 1.1: below it, beyond 4 s of delay, better pictures would lower the published score."""
_NO_GAIN = -_M[1] / _M[2]
"""Audio-visual quality, about 1.6, below which delay would raise the published score."""

_LOWEST_RATE = 1.0
"""Bits per second: keeps logarithms and powers finite."""


def video_rate(share: ArrayLike) -> NDArray[np.float64]:
    """Bits per second of coded video in a video call that sends `share` of its full rate; voice keeps its own.

    >>> float(video_rate(1.0))
    1000000.0
    """
    wire = np.asarray(share, dtype=np.float64) * (VOICE_WIRE_RATE + VIDEO_WIRE_RATE) - VOICE_WIRE_RATE
    return np.asarray(np.maximum(wire, 0.0) * (VIDEO_RATE / VIDEO_WIRE_RATE))


def video_quality(
    rate: ArrayLike,
    loss: ArrayLike,
    *,
    frames: float = FRAMES_PER_SECOND,
    coefficients: VideoCoefficients = H264_VGA,
) -> NDArray[np.float64]:
    """Vq of ITU-T G.1070 (11-16 to 11-21), in [1, 5].

    Args:
        rate: Of the coded video without headers, bits per second.
        loss: Share of video packets that no repair brings back.
        frames: Frames per second.
        coefficients: Of codec, picture size and screen.

    >>> video_quality([1e6, 1e6, 2e5], [0.0, 0.03, 0.0]).round(2).tolist()
    [3.87, 2.17, 2.25]
    """
    v = coefficients
    kilobits = np.maximum(np.asarray(rate, dtype=np.float64), _LOWEST_RATE) / 1e3
    best_frames = v.v1 + v.v2 * kilobits
    at_best = v.v3 * (1.0 - 1.0 / (1.0 + (kilobits / v.v4) ** v.v5))
    width = v.v6 + v.v7 * kilobits
    coded = at_best * np.exp(-((np.log(frames) - np.log(best_frames)) ** 2) / (2.0 * width**2))
    robustness = v.v10 + v.v11 * np.exp(-frames / v.v8) + v.v12 * np.exp(-kilobits / v.v9)
    return np.asarray(1.0 + coded * np.exp(-100.0 * np.asarray(loss, dtype=np.float64) / robustness))


def together(speech: ArrayLike, video: ArrayLike, delay: ArrayLike) -> NDArray[np.float64]:
    """Multimedia quality MMq of ITU-T G.1070 (11-22 to 11-27), speech and video in step, in [1, 5].

    Args:
        speech: Quality of speech without its delay, 1 to 4.5.
        video: Quality of video, 1 to 5.
        delay: One-way mouth-to-ear delay of both, seconds.
    """
    sq, vq = np.asarray(speech, dtype=np.float64), np.asarray(video, dtype=np.float64)
    a, b, c, d = _SPEECH_VIDEO
    seen = np.clip(a * sq + b * vq + c * sq * vq + d, 1.0, 5.0)
    late = _NO_DELAY + _DELAY * 2e3 * np.asarray(delay, dtype=np.float64)
    late = np.where(seen < _NO_GAIN, _NO_DELAY, np.maximum(late, _LEAST_DELAY_TERM))
    return np.asarray(np.clip(_M[0] * seen + _M[1] * late + _M[2] * seen * late + _M[3], 1.0, 5.0))


def video_call_mos(delay: ArrayLike, jitter: ArrayLike, loss: ArrayLike, rate: ArrayLike) -> NDArray[np.float64]:
    """MOS of a video call: Opus and H.264 that share their losses, on the scale of ITU-T G.1070.

    Not to be compared with `voice_mos`: a perfect video call of 1 Mbit/s is worth about 3.0 here.

    Args:
        delay: One-way network delay, seconds.
        jitter: Seconds; both media wait in one buffer, so that lips keep in step.
        loss: Probability.
        rate: Of the coded video, bits per second.
    """
    speech = mos_of(R_DEFAULT - loss_impairment(loss))
    return together(speech, video_quality(rate, loss), mouth_to_ear(delay, jitter))
