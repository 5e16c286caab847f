"""Call quality: from links to paths, and from paths to what people hear, see and get.

`targets` judges calls: `poor`, `mos` and `target` by type of media. `voice`, `video` and `transfer` are the models
behind it; `emodel` is the whole E-model and its wider scales, for planning and comparison; `paths` composes links.
"""

from __future__ import annotations

from meshsim.mesh.quality.paths import compose_jitter, compose_loss
from meshsim.mesh.quality.targets import TARGET, QualityTarget, mos, poor, target
from meshsim.mesh.quality.transfer import goodput_share, transfer_mos
from meshsim.mesh.quality.video import video_call_mos, video_quality
from meshsim.mesh.quality.voice import (
    BUFFER_FLOOR,
    BUFFER_PER_JITTER,
    OPUS_NB_BPL,
    OPUS_NB_IE,
    PACKETISATION,
    R_DEFAULT,
    delay_impairment,
    loss_impairment,
    mos_of,
    voice_mos,
)

__all__ = [
    "BUFFER_FLOOR",
    "BUFFER_PER_JITTER",
    "OPUS_NB_BPL",
    "OPUS_NB_IE",
    "PACKETISATION",
    "R_DEFAULT",
    "TARGET",
    "QualityTarget",
    "compose_jitter",
    "compose_loss",
    "delay_impairment",
    "goodput_share",
    "loss_impairment",
    "mos",
    "mos_of",
    "poor",
    "target",
    "transfer_mos",
    "video_call_mos",
    "video_quality",
    "voice_mos",
]
