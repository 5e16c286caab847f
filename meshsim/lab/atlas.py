"""Maps of topologies as picture files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from meshsim.lab.figures import house_style
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.mesh.topology import Topology

_KINDS = (".svg", ".png", ".pdf")


def draw(topology: Topology, path: Path) -> None:
    """Draws places and links of `topology` into the file `path`; its ending says the kind of picture.

    Raises:
        ConfigError: If the ending is of no kind of picture, or `path` cannot be written.
    """
    if path.suffix not in _KINDS:
        raise ConfigError(f"not a picture: its name ends in {path.suffix!r}", file=str(path), allowed=_KINDS)
    at = np.stack([topology.longitude, topology.latitude], axis=1)
    with house_style():
        figure = Figure(figsize=(7.2, 4.8), layout="constrained")
        axes = figure.add_subplot()
        axes.add_collection(LineCollection(list(at[np.stack([topology.src, topology.dst], axis=1)]), linewidths=0.5))
        axes.scatter(at[:, 0], at[:, 1], s=6, zorder=2)
        axes.set(xlabel="longitude", ylabel="latitude", title=topology.name)
        try:
            figure.savefig(path)
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", file=str(path)) from error
