"""What of a call's quality is its relays' doing.

A relay answers for what it does to packets, not for where it stands: loss and jitter beyond the target of the media
count against it, and so does a round trip beyond the target that is much longer than the one the route was chosen for.
A route that was promised to be long and is long is geography. Opinions (MOS) fall with distance: they measure no
conduct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.quality import poor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.quality.targets import Media

PROMISE_SLACK = 1.5
"""A round trip is longer than promised from here on, as a multiple: promises come from stale, noisy measurements."""

LOSS_AT_HALF = 0.043
"""Loss at which the grade is halved: packet-loss robustness Bpl of G.711 without concealment, ITU-T G.113 App. I."""

JITTER_AT_HALF = 0.040
"""Jitter at which the grade is halved, seconds: what a usual playout buffer holds."""


def misconduct(
    rtt: ArrayLike, jitter: ArrayLike, loss: ArrayLike, media: Media, promised: ArrayLike = np.nan
) -> NDArray[np.bool_]:
    """Whether relays are to blame for the quality of calls that were completed.

    Args:
        rtt: Round-trip time, seconds, any shape; NaN where nothing was measured, which blames nobody.
        jitter: Seconds, same shape.
        loss: Probability, same shape.
        media: What the calls carried, as `mesh.quality.poor` takes it.
        promised: Round-trip time predicted when the route was chosen, seconds; NaN where the judge knows none, and
            then no round trip is too long.

    >>> misconduct([0.5, 0.5, 0.1], 0.002, [0.0, 0.0, 0.05], "audio", [0.45, 0.2, 0.1]).tolist()
    [False, True, True]
    """
    rtt, jitter, loss = (np.asarray(measure, dtype=np.float64) for measure in (rtt, jitter, loss))
    longer = rtt > PROMISE_SLACK * np.asarray(promised, dtype=np.float64)  # never true of NaN
    bad = poor(np.where(longer, rtt, 0.0), jitter, loss, media)
    return np.asarray(bad & ~(np.isnan(jitter) | np.isnan(loss)))


def grade(loss: float, jitter: float) -> float:
    """How well a route treated its packets, in (0, 1]: 1 without loss and jitter.

    The form is that of the E-model's loss impairment, Ppl / (Ppl + Bpl) (ITU-T G.107, equation 7-29).

    >>> grade(0.043, 0.0)
    0.5
    """
    return LOSS_AT_HALF / (LOSS_AT_HALF + loss) * JITTER_AT_HALF / (JITTER_AT_HALF + jitter)
