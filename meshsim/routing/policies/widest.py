"""The most spare rate at the narrowest hop, alone or together with hops and delay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.routing.policies.base import POLICIES, believed_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.routing.features import Features, Scores

MIDDLING_RATE = 10e6
"""Bits per second that count half when rates are squeezed below one."""


def _squeezed(value: NDArray[np.float64], middle: float) -> NDArray[np.float64]:
    """`value` >= 0 in order, in [0, 1)."""
    value = np.maximum(value, 0.0)
    return np.asarray(value / (value + middle))


@POLICIES.register("widest")
class Widest:
    """The widest path (Pollack, "The maximum capacity through a network", Operations Research 8(5), 1960).

    Width is what the narrowest hop is believed to have to spare. Among paths as wide, the least delay.
    """

    name = "widest"

    def score(self, features: Features) -> Scores:
        """The width, in [0, 1); the RTT counts a millionth of it."""
        belief = features.belief
        width = _squeezed(belief.rate, MIDDLING_RATE)
        return believed_scores(features, width - 1e-6 * _squeezed(belief.rtt, 1.0))


@POLICIES.register("widest-shortest")
class WidestShortest:
    """Of the paths of fewest hops the widest.

    Source: Guerin, Orda, Williams, "QoS routing mechanisms and OSPF extensions", GLOBECOM 1997; RFC 2676.
    """

    name = "widest-shortest"

    def score(self, features: Features) -> Scores:
        """Minus the hops; the width, squeezed below one hop, decides among equals."""
        belief = features.belief
        return believed_scores(features, _squeezed(belief.rate, MIDDLING_RATE) - belief.hops)


@POLICIES.register("shortest-widest")
class ShortestWidest:
    """Of the widest paths the one of least delay.

    Source: Wang, Crowcroft, "Quality-of-service routing for supporting multimedia applications", IEEE JSAC 14(7), 1996.
    No two measured widths are the same, so widths are compared in octaves: powers of two of bits per second.
    """

    name = "shortest-widest"

    def score(self, features: Features) -> Scores:
        """The octave of the width; the RTT, squeezed below one octave, decides among equals."""
        belief = features.belief
        octave = np.floor(np.log2(np.maximum(belief.rate, 1.0)))
        return believed_scores(features, octave - _squeezed(belief.rtt, 1.0))
