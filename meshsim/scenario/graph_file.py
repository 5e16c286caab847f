"""What a scenario says of a graph file as its underlay: `topology: town.graphml`, or a mapping with options."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from meshsim.mesh.errors import ConfigError
from meshsim.scenario.part import Part
from meshsim.scenario.quantities import Extent, Flag, refuse
from meshsim.scenario.topologies import files
from meshsim.scenario.topologies.files import Part as Component  # noqa: TC001 - pydantic reads it

if TYPE_CHECKING:
    from meshsim.mesh.topology import Topology

FOLDER = "folder"
"""In a validation's context: the folder of the scenario's file, from which paths are tried first."""

_AT = ("underlay", "topology", "file")


class GraphFile(Part):
    """A graph in a file: GraphML, GML, node-link JSON, edge CSV or SNDlib's XML, each also packed (`.gz`)."""

    file: str
    """Its path, from the folder of the scenario or from where meshsim was started."""
    component: Component = "linked"
    """Which places stay: all, those with an edge, or those of the largest part in which all can reach each other."""
    directed: Flag | None = None
    """Whether edges go one way; as the file says when absent."""
    length: Extent | None = None
    """Metres of edges whose length nothing says, in a file without coordinates; such are refused when absent."""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    """Checksum of the file; noted when the scenario is read, so that a changed file is told."""

    @model_validator(mode="before")
    @classmethod
    def _found(cls, value: object, info: ValidationInfo) -> object:
        """Writes down which file is meant, and what it is."""
        if not isinstance(value, dict) or not isinstance(value.get("file"), str):
            return value
        path = _nearest(value["file"], (info.context or {}).get(FOLDER))
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no path"
            raise refuse(f"the graph file {str(path)!r} cannot be read: {reason}", at=_AT) from error
        said = value.get("sha256") or found
        if said != found:
            raise refuse(
                f"the graph file {str(path)!r} is not the one that is meant", allowed=[f"sha256 {said}"], at=_AT
            )
        return {**value, "file": path.as_posix(), "sha256": found}

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            topology = self.read().topology
        except ConfigError as error:
            place = ":".join(str(part) for part in (error.file, error.line) if part is not None)
            problem = ": ".join(part for part in (place, error.key, error.message) if part)
            raise refuse(problem, allowed=error.allowed, near=error.nearest, at=_AT) from error
        largest = len(files.largest_part(topology))
        if largest < len(topology):
            problem = f"{self.file} is in parts: the largest has {largest} of {len(topology)} places"
            raise refuse(problem, allowed=["component: largest"], at=_AT)
        return self

    def read(self) -> files.Imported:
        """The topology, and what was mended to make it."""
        return files.read(
            self.file, files.Options(component=self.component, directed=self.directed, length=self.length)
        )

    def topology(self) -> Topology:
        """The topology of the file."""
        return self.read().topology


def _nearest(written: str, folder: str | None) -> Path:
    """The file in the scenario's folder, or else the path as written."""
    beside = Path(folder or ".") / written
    try:
        return beside if beside.is_file() else Path(written)
    except (OSError, ValueError):
        return Path(written)
