"""What queueing theory, the age of beliefs and reputations make of a path, hop by hop: all that a hand can write."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import quality
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.quality.targets import places
from meshsim.routing.calibration import UtilityWeights, sigmoid
from meshsim.routing.features import (
    DELAY_REFERENCE,
    HOP,
    JITTER_REFERENCE,
    NODE,
    RATE_REFERENCE,
    UNKNOWN_JITTER,
    UNKNOWN_LOSS,
)
from meshsim.routing.policies.base import POLICIES, believed_scores
from meshsim.routing.policies.greedy import trusted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.routing.features import Features, Scores

    _Column = NDArray[np.float64]

MEMORY = 100.0
"""Seconds after which a measurement counts as much as a prediction."""

BURST = 1500 * 8.0
"""Bits of what is served at a time on an access link: a full packet."""

FORWARDING = 0.5e-3
"""Seconds in which a relay that has nothing else to do forwards a packet."""

WIDTH = (0.1, 0.3, 0.6)
"""Scale of the logistic error of a fresh estimate of RTT, jitter and loss, in their logarithms."""

WIDENING = (0.2, 0.4, 1.0)
"""What is added to `WIDTH` for an estimate that is all prediction."""

BUFFER = 0.02
"""Seconds: the longest wait that a call is taken to make for itself, for it adapts."""

_LEAST_IDLE = 0.002
_LEAST_LOSS = 1e-6
_COLUMN = {name: HOP.index(name) for name in HOP}
_LOAD = NODE.index("load")
_BOUNDS = np.log([[t.rtt, t.jitter, t.loss] for t in map(quality.target, MediaType)])
_DEMANDS = [demand(media) for media in MediaType]
_RATES = np.array([[asked.rate_bps, asked.rate_bps * asked.lowest] for asked in _DEMANDS]).T


@POLICIES.register("physics")
class Physics:
    """Hops composed as `mesh.quality` has it, each corrected by its age and by what the call itself adds to queues.

    - **Age.** A measurement that is a seconds old counts MEMORY / (MEMORY + a), beside the prediction: of the delay
      from the distance, of jitter and loss what is assumed of a link that nobody has measured. The predicted delay of a
      link that was never measured is kept within what its triangles allow (`routing.triangle`).
    - **Queues.** A hop of utilisation u lets packets wait S u / (1 - u), with a variance of S^2 (1 / (1 - u)^2 - 1), by
      M/M/1 (Kleinrock, "Queueing systems" I, 1975) with the service time S of a burst. The call's own rate raises u,
      and the hop's delay and variance grow by the difference. A relay adds the wait of its load. A hop with less spare
      rate than what the call can adapt to loses the rest.
    - **Choice.** For each bound of the target of what the call carries, the logistic function of the estimate's margin
      in logarithms, the wider the older the beliefs are; their product, times the reputation of each relay over 100,
      is taken for the probability of a good call. The utility is what the scorer's is: that probability, and a little
      for the MOS.

    The constants were chosen on graphs that may train; nothing else is learnt.
    """

    name = "physics"

    def score(self, features: Features) -> Scores:
        """The utility, with what is predicted of RTT, jitter, loss and MOS."""
        estimate, ignorance = _estimate(features)
        rtt, jitter, loss = 2.0 * estimate[:, 0], np.sqrt(estimate[:, 1]), -np.expm1(-estimate[:, 2])
        mos = quality.mos(features.media, rtt / 2.0, jitter, loss)
        weights = UtilityWeights()
        good = _good(features, rtt, jitter, loss, ignorance) * trusted(features, features.graph.nodes.reputation)
        utility = weights.ok * good + weights.mos * mos
        return replace(believed_scores(features, utility), rtt=rtt, jitter=jitter, loss=loss, mos=mos)


def _estimate(features: Features) -> tuple[_Column, _Column]:
    """Delay in s, variance in s^2 and loss exponent of P paths, (P, 3), and how much of it is guessed, (P,)."""
    hop = {name: features.hop[:, place].astype(np.float64) for name, place in _COLUMN.items()}
    age = np.expm1(hop["log_age"])
    guessed = age / (age + MEMORY)
    rate, lowest = (rates[features.hop_path] for rates in _rates(features))
    wait, variance = _own_wait(hop, rate)
    delay = DELAY_REFERENCE * np.exp(hop["log_delay"] + _mended(hop, guessed)) + wait
    jitter = (1.0 - guessed) * JITTER_REFERENCE * np.exp(hop["log_jitter"]) + guessed * UNKNOWN_JITTER
    lost = (1.0 - guessed) * hop["loss"] - guessed * np.log1p(-UNKNOWN_LOSS)
    lost += np.maximum(np.log(lowest / RATE_REFERENCE) - hop["log_rate"], 0.0)
    relaying, unsteady = _forwarding(features)
    total = _added(features, np.stack([delay + relaying, jitter**2 + variance + unsteady, lost], axis=1))
    return total, _added(features, guessed[:, None])[:, 0] / features.belief.hops


def _rates(features: Features) -> tuple[_Column, _Column]:
    """What each of P calls asks for, and what it can adapt to, bits per second."""
    rates = _RATES[:, places(features.media)].reshape(2, -1)
    rate, lowest = np.broadcast_to(rates, (2, len(features)))
    return rate, lowest


def _mended(hop: dict[str, _Column], guessed: _Column) -> _Column:
    """What is added to the logarithm of a hop's delay: towards the prediction, or into the bounds of its triangles."""
    below, above = (hop[name] - hop["log_delay"] for name in ("log_below", "log_above"))
    bounded = np.minimum(np.maximum(0.0, below), above)
    predicted = np.where(hop["triangulated"] > 0.0, bounded, 0.0)
    return np.where(hop["observed"] > 0.0, -guessed * hop["log_stretch"], predicted)


def _own_wait(hop: dict[str, _Column], rate: _Column) -> tuple[_Column, _Column]:
    """What a call of `rate` adds to the mean and to the variance of the wait of each hop; (S,) each.

    The differences of u / (1 - u) and of its variance before and after, written so that they grow with u throughout.
    """
    idle = np.maximum(1.0 - hop["utilisation"], _LEAST_IDLE)
    capacity = RATE_REFERENCE * np.exp(hop["log_rate"]) / idle
    more = rate / capacity
    left = np.maximum(idle - more, _LEAST_IDLE)
    burst = BURST / capacity
    wait = burst * more / (idle * left)
    variance = burst**2 * more * (idle + left) / (idle * left) ** 2
    return np.minimum(wait, BUFFER), np.minimum(variance, BUFFER**2)


def _forwarding(features: Features) -> tuple[_Column, _Column]:
    """Mean and variance of the wait in the relay that each hop leads to; (S,) each, 0 where it leads to an end."""
    to_relay = np.append(features.hop_path[1:] == features.hop_path[:-1], False)
    load = features.node[features.hop_dst, _LOAD].astype(np.float64)
    idle = np.minimum(np.maximum(1.0 - load, _LEAST_IDLE), 1.0)
    return to_relay * FORWARDING * (1.0 / idle - 1.0), to_relay * FORWARDING**2 * (1.0 / idle**2 - 1.0)


def _added(features: Features, parts: _Column) -> _Column:
    """Sums over the hops of each path; (S, K) -> (P, K)."""
    columns = (np.bincount(features.hop_path, weights=part, minlength=len(features)) for part in parts.T)
    return np.stack(list(columns), axis=1)


def _good(features: Features, rtt: _Column, jitter: _Column, loss: _Column, ignorance: _Column) -> _Column:
    """What is taken for the probability that the call meets its target; (P,)."""
    measures = np.log(np.maximum(np.stack([rtt, jitter, loss], axis=1), _LEAST_LOSS))
    width = np.array(WIDTH) + ignorance[:, None] * np.array(WIDENING)
    return np.asarray(np.prod(sigmoid((_BOUNDS[places(features.media)] - measures) / width), axis=1))
