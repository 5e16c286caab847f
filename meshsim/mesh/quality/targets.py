"""When a call is poor, and what its people think of it: one target and one opinion model for each type of media.

Labels, tables, reputation and scores all judge by `poor` and `mos`. The models have scales of their own: a MOS of one
type of media says nothing beside that of another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.quality.transfer import goodput_share, transfer_mos
from meshsim.mesh.quality.video import video_call_mos, video_rate
from meshsim.mesh.quality.voice import voice_mos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Media = MediaType | str | Sequence[str] | NDArray[np.str_] | NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityTarget:
    """The bounds beyond which a call is poor; the defaults are those of voice.

    Source: Jiang et al., "VIA: Improving Internet Telephony Call Quality Using Predictive Relay Selection",
    SIGCOMM 2016.

    Attributes:
        rtt: Seconds; infinite where none is asked for.
        loss: Probability.
        jitter: Seconds (RFC 3550); infinite where none is asked for.
        rate: Least share of the full rate; 0 where the rate cannot fall.
    """

    rtt: float = 0.320
    loss: float = 0.012
    jitter: float = 0.012
    rate: float = 0.0


TARGET = QualityTarget()
"""Of voice."""

_TARGETS = {
    MediaType.AUDIO: TARGET,
    # the voice of a video call asks for what voice asks for; at 352 kbit/s (.38 of the rate), or at full rate with
    # 1.21 % of loss, the picture is just fair: a Vq of 3 by ITU-T G.1070
    MediaType.AUDIO_VIDEO: QualityTarget(rate=0.38),
    # nobody hears jitter and nobody waits for an answer, but a transfer must not take more than twice its time; beyond
    # 5 % of loss timeouts rule, and no square root tells what goes through (Padhye et al., SIGCOMM 1998)
    MediaType.DATA: QualityTarget(rtt=math.inf, jitter=math.inf, loss=0.05, rate=0.5),
}

_PLACE = {media: row for row, media in enumerate(MediaType)}
_BOUNDS = np.array([(t.rtt, t.jitter, t.loss, t.rate) for t in map(_TARGETS.__getitem__, MediaType)]).T
_DATA = _PLACE[MediaType.DATA]
_ROUNDING = 1e-9


def target(media: MediaType) -> QualityTarget:
    """The bounds beyond which a call of `media` is poor.

    >>> target(MediaType.DATA).rate
    0.5
    """
    return _TARGETS[media]


def places(media: Media) -> NDArray[np.int64]:
    """Places of types of media in `MediaType`; scalar for one, (K,) for K; places stay what they are."""
    if isinstance(media, str):
        return np.asarray(_PLACE[MediaType(media)])
    if isinstance(media, np.ndarray) and media.dtype.kind == "i":
        return media.astype(np.int64, copy=False)
    return np.array([_PLACE[MediaType(each)] for each in media], dtype=np.int64)


def poor(
    rtt: ArrayLike,
    jitter: ArrayLike,
    loss: ArrayLike,
    media: Media = MediaType.AUDIO,
    *,
    share: ArrayLike = 1.0,
) -> NDArray[np.bool_]:
    """Whether a call with these measures is poor (beyond any bound of its `target`); NaN counts as poor.

    Args:
        rtt: Round-trip time, seconds, any shape.
        jitter: Interarrival jitter, seconds, same shape.
        loss: Packet loss probability, same shape.
        media: What the call carries; one for all, or as many as there are calls, by name or place in `MediaType`.
        share: Of its full rate that the call gets, same shape; data count what arrives of it (`goodput_share`).
    """
    rtt, jitter, loss = np.asarray(rtt), np.asarray(jitter), np.asarray(loss)
    if isinstance(media, str):
        bound = _TARGETS[MediaType(media)]
        met = (rtt <= bound.rtt) & (jitter <= bound.jitter) & (loss <= bound.loss)
        if bound.rate > 0.0:
            met &= _carried(rtt, loss, share, media) >= bound.rate - _ROUNDING
        return np.asarray(~met)
    place = places(media)
    most_rtt, most_jitter, most_loss, least_share = _BOUNDS[:, place]
    met = (rtt <= most_rtt) & (jitter <= most_jitter) & (loss <= most_loss)
    carried = np.where(place == _DATA, _carried(rtt, loss, share, MediaType.DATA), share)
    return np.asarray(~(met & (carried >= least_share - _ROUNDING)))


def _carried(rtt: ArrayLike, loss: ArrayLike, share: ArrayLike, media: str) -> NDArray[np.float64]:
    """Share of the full rate that arrives."""
    if media != MediaType.DATA:
        return np.asarray(share, dtype=np.float64)
    asked = demand(MediaType.DATA)
    return goodput_share(rtt, loss, share, rate=asked.rate_bps, segment=asked.packet_bytes)


def mos(
    media: Media, delay: ArrayLike, jitter: ArrayLike, loss: ArrayLike, share: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """Mean opinion score of a call, each type of media by its own model and on its own scale.

    Voice: the E-model, narrow band (`voice_mos`, 1 to 4.5). Voice and video: ITU-T G.1070 (`video_call_mos`, 1 to about
    3.0 at full rate). Data: the time that transfers take (`transfer_mos`, 1 to 4.5).

    Args:
        media: What the call carries; one for all, or as many as there are calls, by name or place in `MediaType`.
        delay: One-way network delay, seconds, any shape.
        jitter: Seconds, same shape.
        loss: Probability, same shape.
        share: Of its full rate that the call gets, same shape.

    >>> mos([MediaType.AUDIO, MediaType.AUDIO_VIDEO, MediaType.DATA], 0.05, 0.002, 0.0).round(2).tolist()
    [4.37, 3.02, 4.5]
    """
    if isinstance(media, str):
        return _MODELS[_PLACE[MediaType(media)]](delay, jitter, loss, share)
    place = places(media)
    columns = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (delay, jitter, loss, share)), place)
    said = np.empty(columns[0].shape)
    for row, model in enumerate(_MODELS):
        mine = columns[-1] == row
        if mine.any():
            said[mine] = model(*(column[mine] for column in columns[:-1]))
    return said


def _voice(delay: ArrayLike, jitter: ArrayLike, loss: ArrayLike, _: ArrayLike) -> NDArray[np.float64]:
    return voice_mos(delay, jitter, loss)


def _video(delay: ArrayLike, jitter: ArrayLike, loss: ArrayLike, share: ArrayLike) -> NDArray[np.float64]:
    return video_call_mos(delay, jitter, loss, video_rate(share))


def _data(delay: ArrayLike, _: ArrayLike, loss: ArrayLike, share: ArrayLike) -> NDArray[np.float64]:
    return transfer_mos(_carried(2.0 * np.asarray(delay, dtype=np.float64), loss, share, MediaType.DATA))


_MODELS = (_voice, _video, _data)
"""In the order of `MediaType`."""
