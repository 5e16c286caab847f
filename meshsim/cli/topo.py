"""`meshsim topo`: the topologies that a scenario can name."""

from __future__ import annotations

import click

from meshsim.cli import options


@click.group("topo")
def command() -> None:
    """List and show topologies.

    \b
    Example:
      meshsim topo list --family sndlib
      meshsim topo show sndlib/geant
    """


@command.command("list")
@click.option("--family", default="", help="Only names that begin with this.")
@options.as_json
def list_(family: str, as_json: bool) -> None:
    """List the names that `underlay.topology` accepts.

    \b
    Example:
      meshsim topo list --family topozoo/A
    """
    from meshsim.scenario import topologies

    names = sorted(name for name in topologies.names() if name.startswith(family))
    options.emit({"topologies": names}, json_wanted=True) if as_json else click.echo("\n".join(names))


@command.command()
@click.argument("name")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of a generated topology.")
@options.as_json
def show(name: str, seed: int, as_json: bool) -> None:
    """Show the size, the link lengths and the places of the topology NAME.

    \b
    Example:
      meshsim topo show sndlib/geant --json
    """
    from meshsim.scenario import topologies

    topology = topologies.load(name, seed=seed)
    kilometres = topology.length / 1000.0
    answer = {
        "name": topology.name,
        "nodes": len(topology),
        "links": len(topology.src),
        "link_length_mean_km": float(kilometres.mean()),
        "link_length_max_km": float(kilometres.max()),
        "places": list(topology.names),
    }
    options.emit(answer, json_wanted=as_json)
