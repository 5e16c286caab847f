"""What is made of claims about links: both ends must bear a claim out, and light must be able to keep it.

A relay that praises its links would draw traffic to itself. So of the two reports of a link the worse counts, value by
value; what one end alone says never makes a link look better than one that nobody has measured, nor observed; and a
delay that nothing on Earth can keep over the distance between the ends' places is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.view import LinkBelief, find_links
from meshsim.routing.features import predicted_links

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.view import NodeBelief

FASTEST = 2.5e8
"""Metres per second: light in glass makes 2.0e8 (`geo.FIBRE_SPEED`); above it is room for what measurements err."""

WORST = {"delay": np.maximum, "jitter": np.maximum, "loss": np.maximum, "rate": np.minimum}
"""For each value of a link, which of two is the worse."""


def outruns_light(
    delay: NDArray[np.float64],
    latitude: NDArray[np.float64],
    longitude: NDArray[np.float64],
    src: NDArray[np.int32],
    dst: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """(K,) which delays are shorter than the distance between the ends allows.

    Args:
        delay: (K,) one-way seconds.
        latitude: (N,) degrees, from the nodes' records.
        longitude: (N,) degrees.
        src: (K,) node indices.
        dst: (K,) node indices.

    >>> ends = np.array([0.0, 0.0]), np.array([0.0, 90.0])
    >>> outruns_light(np.array([0.030, 0.050]), *ends, np.array([0, 0]), np.array([1, 1])).tolist()
    [True, False]
    """
    metres = geo.distance(latitude[src], longitude[src], latitude[dst], longitude[dst])
    return np.asarray(delay < metres / FASTEST)


def attested(links: LinkBelief, nodes: NodeBelief) -> LinkBelief:
    """What to believe of K links, each stated by its first end, when statements are held to each other.

    Args:
        links: Sorted by (src, dst); each row is what `src` says.
        nodes: Who they are, and where.

    Returns:
        The same links: as the end says that says worse; no better than nobody's guess, and not `observed`, where the
        other end says nothing; as guessed where either end claims what light could not keep.
    """
    if not len(links):
        return links
    other = find_links(links, links.dst, links.src, len(nodes))
    both, back = other >= 0, np.maximum(other, 0)
    false = outruns_light(links.delay, nodes.latitude, nodes.longitude, links.src, links.dst)
    false |= both & false[back]
    guess = predicted_links(nodes, links.src, links.dst)
    values = {}
    for name, worse in WORST.items():
        said, guessed = getattr(links, name), getattr(guess, name)
        agreed = worse(said, np.where(both, said[back], guessed))
        values[name] = np.where(false, guessed, agreed)
    observed = links.observed & both & ~false
    return LinkBelief(src=links.src, dst=links.dst, age=links.age, observed=observed, **values)
