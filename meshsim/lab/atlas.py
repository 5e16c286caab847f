"""Maps of topologies as picture files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.lab import figures
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
    try:
        figures.save(figures.topology(topology), path)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(path)) from error
