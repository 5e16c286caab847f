"""`meshsim topo`: the topologies that a scenario can name, and graph files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from meshsim.cli import options

if TYPE_CHECKING:
    from meshsim.scenario.topologies.files import Imported

_OF_FILES = ("component", "directed", "length")
_USES = ("train", "validate", "simulate", "evaluate")


@click.group("topo")
def command() -> None:
    """List and show topologies, and convert graph files.

    \b
    Example:
      meshsim topo list --family sndlib
      meshsim topo show sndlib/geant
      meshsim topo convert freifunk/ulm ulm.graphml
    """


@command.command("list")
@click.option("--family", default="", help="Only names that begin with this.")
@click.option("--use", type=click.Choice(_USES), help="Only those of which this is the most that they may be used for.")
@click.option("--sizes", is_flag=True, help="Load each and tell its size; null where its data are not on this machine.")
@options.as_json
def list_(family: str, use: str | None, sizes: bool, as_json: bool) -> None:
    """List the names that `underlay.topology` accepts.

    \b
    Example:
      meshsim topo list --family topozoo/A --sizes --json
    """
    named = _begun(family)
    kept = [name for name in named if use in (None, _use(name))]
    rows = [{"name": name, "use": _use(name), **(_size(name) if sizes else {})} for name in kept]
    if as_json:
        options.emit({"topologies": rows}, json_wanted=True)
    else:
        for row in rows:
            click.echo("  ".join(str(value) for value in row.values()))


def _begun(family: str) -> list[str]:
    """The names that begin so; somebody who asks for a family that is none has misspelt it."""
    from meshsim.mesh.errors import ConfigError, nearest
    from meshsim.scenario import topologies

    names = topologies.names()
    begun = [name for name in names if name.startswith(family)]
    if not begun:
        families = sorted({name.partition("/")[0] for name in names})
        problem = f"no topology begins with {family!r}"
        raise ConfigError(problem, key="--family", allowed=families, nearest=nearest(family, families))
    return begun


def _use(name: str) -> str:
    from meshsim.scenario.topologies import GENERATORS, allowed_for

    return allowed_for(f"generated/{name}" if name in GENERATORS else name)


def _size(name: str) -> dict[str, int | None]:
    from meshsim.mesh.errors import ConfigError
    from meshsim.scenario import topologies

    try:
        topology = topologies.load(name)
    except ConfigError:  # its data are elsewhere, or it is a generator that needs to be told more
        return {"nodes": None, "links": None}
    return {"nodes": len(topology), "links": len(topology.src)}


def _of_files(component: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that say what to make of a graph file."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option(
                "--component",
                type=click.Choice(["all", "linked", "largest"]),
                default=component,
                show_default=True,
                help="Of a file: which places stay: all, those with an edge, those of the largest part.",
            ),
            click.option("--directed/--undirected", default=None, help="Of a file: whether edges go one way."),
            click.option("--length", metavar="LENGTH", help="Of a file without coordinates: edges of unknown length."),
        ):
            function = option(function)
        return function

    return decorate


def _read(source: str, seed: int, component: str, directed: bool | None, length: str | None) -> Imported:
    from meshsim.mesh import units
    from meshsim.scenario.topologies import GENERATORS, files, read

    if not files.named_like_file(source):
        found = read(source, seed)
        _refuse_idle(source, _OF_FILES if source in GENERATORS else (*_OF_FILES, "seed"))
        return found
    _refuse_idle(source, ("seed",))
    metres = None if length is None else units.parse(length, "distance")
    said = {"component": component, "directed": directed, "length": metres}
    return files.read(source, files.options(said))


def _refuse_idle(source: str, idle: Sequence[str]) -> None:
    """Refuses what was given and changes nothing: whoever gave it takes `source` for something else."""
    from meshsim.mesh.errors import ConfigError

    given = click.get_current_context().get_parameter_source
    for name in idle:
        if given(name) is ParameterSource.COMMANDLINE:
            kind = "a generator" if name == "seed" else "a graph file"
            raise ConfigError(f"changes nothing of {source}, which is not {kind}", key=f"--{name}")


_SEED = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of a generated topology."
)


@command.command()
@click.argument("source")
@_SEED
@_of_files("linked")
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="Draw its map into this file, too.")
@options.as_json
def show(source: str, as_json: bool, figure: Path | None, **how: Any) -> None:
    """Show the topology SOURCE, a name or a graph file: size, degrees, parts, diameter, what was mended, places.

    \b
    Example:
      meshsim topo show sndlib/geant --json
      meshsim topo show town.graphml.gz --component largest
    """
    from meshsim.scenario.topologies.summary import summarise

    found = _read(source, **how)
    if figure is not None:
        from meshsim.lab.atlas import draw

        draw(found.topology, figure)
    answer = {**options.plain(summarise(found.topology)), "notes": found.notes, "places": found.topology.names}
    options.emit(answer, json_wanted=as_json)


@command.command()
@click.argument("source")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@_SEED
@_of_files("all")
@options.as_json
def convert(source: str, target: Path, as_json: bool, **how: Any) -> None:
    """Write the topology SOURCE, a name or a graph file, to the file TARGET in the format of its ending.

    \b
    Example:
      meshsim topo convert sndlib/geant geant.graphml
      meshsim topo convert town.xml town.json.gz
    """
    from meshsim.scenario.topologies import files

    found = _read(source, **how)
    files.write(found.topology, target)
    answer = {
        "written": target,
        "nodes": len(found.topology),
        "links": len(found.topology.src),
        "notes": found.notes,
    }
    options.emit(answer, json_wanted=as_json)
