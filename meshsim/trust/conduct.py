"""What of a call's quality is its relays' doing.

A relay answers for what it does to packets, not for where it stands. What is beyond the target of the media counts
against it, unless the route was chosen although so much was expected of it: a route that was promised to be long, or
to lead over a lossy last mile, and is so, is geography. Opinions (MOS) fall with distance: they measure no conduct.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.quality import poor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.quality.targets import Media

    Promised = Sequence[ArrayLike] | NDArray[np.float64]

PROMISE_SLACK = 1.5
"""A promise is broken from so many times what was promised: promises come from stale, noisy measurements."""

NO_PROMISE = (math.nan, math.nan, math.nan)
"""Where the judge knows of no promise, loss and jitter count by themselves, and no round trip is too long."""

Expectation = tuple[float, float, float]
"""Round trip and jitter, seconds, and loss."""

UNCALLED_FOR = 0.5
"""A loss beyond this counts whatever was expected: nobody chooses a route that loses more than it carries."""

LOSS_AT_HALF = 0.043
"""Loss at which the grade is halved: packet-loss robustness Bpl of G.711 without concealment, ITU-T G.113 App. I."""

JITTER_AT_HALF = 0.040
"""Jitter at which the grade is halved, seconds: what a usual playout buffer holds."""


def misconduct(
    rtt: ArrayLike, jitter: ArrayLike, loss: ArrayLike, media: Media, promised: Promised = NO_PROMISE
) -> NDArray[np.bool_]:
    """Whether relays are to blame for the quality of calls that were completed.

    Args:
        rtt: Round-trip time, seconds, any shape; NaN where nothing was measured, which blames nobody.
        jitter: Seconds, same shape.
        loss: Probability, same shape.
        media: What the calls carried, as `mesh.quality.poor` takes it.
        promised: Round trip, jitter and loss that were expected when the route was chosen, same shape or for all;
            NaN where the judge knows of no promise.

    >>> misconduct([0.5, 0.5, 0.1], 0.002, [0.0, 0.0, 0.05], "audio", ([0.45, 0.2, 0.1], 0.002, 0.0)).tolist()
    [False, True, True]
    """
    rtt, jitter, loss = (np.asarray(measure, dtype=np.float64) for measure in (rtt, jitter, loss))
    known = np.isfinite(np.asarray(promised[0], dtype=np.float64))
    kept = [
        measure <= PROMISE_SLACK * np.asarray(said, dtype=np.float64)  # never true of NaN
        for measure, said in zip((rtt, jitter, loss), promised, strict=True)
    ]
    bad = poor(
        np.where(known & ~kept[0], rtt, 0.0), np.where(kept[1], 0.0, jitter), np.where(kept[2], 0.0, loss), media
    )
    bad |= loss > UNCALLED_FOR
    return np.asarray(bad & ~(np.isnan(jitter) | np.isnan(loss)))


def credited(said: Expectation, believed: Expectation) -> Expectation:
    """What a judge takes of another's promise: no more than what it believes of the route itself bears out.

    A caller may lie to blame relays, by a round trip that nobody could keep, or to absolve them, by a loss that
    excuses a gray hole. So of round trips the longer counts, of jitter and loss the smaller: where no promise was
    made, and where the judge believes nothing of its own, no round trip is too long, and jitter and loss have no
    excuse. Whatever is promised, relays are never blamed for a round trip that the judge expected, and never excused
    for jitter and loss that it did not.

    Args:
        said: The caller's promise; NaN for what it left out.
        believed: What the judge believes of the route; NaN for what it does not know.

    >>> credited((1e-6, 0.001, 0.3), (0.2, 0.002, 0.01))
    (0.2, 0.001, 0.01)
    >>> credited(NO_PROMISE, (0.2, 0.002, 0.01))
    (nan, nan, nan)
    """
    rtt = np.maximum(said[0], believed[0])  # of a NaN and a number the NaN, unlike max
    jitter, loss = np.minimum(said[1:], believed[1:]).tolist()
    return float(rtt), jitter, loss


def grade(loss: float, jitter: float) -> float:
    """How well a route treated its packets, in (0, 1]: 1 without loss and jitter.

    The form is that of the E-model's loss impairment, Ppl / (Ppl + Bpl) (ITU-T G.107, equation 7-29).

    >>> grade(0.043, 0.0)
    0.5
    """
    return LOSS_AT_HALF / (LOSS_AT_HALF + loss) * JITTER_AT_HALF / (JITTER_AT_HALF + jitter)
