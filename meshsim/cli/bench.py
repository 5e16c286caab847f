"""`meshsim bench`: speed, beside reference engines and held to goals."""

from __future__ import annotations

import click

from meshsim.cli import names, options

NODE_PARTS = ("emulator", "failures", "liars", "links", "media", "mesh")
"""Of `lab.bench.node`."""
_QUICK = click.option("--quick", is_flag=True, help="A small case only: a smoke test, whose numbers say little.")


@click.group("bench")
def command() -> None:
    """Measure how fast the simulator is beside reference engines.

    \b
    Example:
      meshsim bench packet --json
    """


@command.command("packet")
@_QUICK
@options.as_json
def packet(quick: bool, as_json: bool) -> int:
    """Both packet engines beside SimPy and a bare compiled event heap; exit code 3 when a goal is missed.

    \b
    Example:
      meshsim bench packet --json
    """
    from meshsim.lab.bench.packet import run

    return options.emit_goals(run(quick=quick, progress=not as_json), json_wanted=as_json)


@command.command("elastic")
@_QUICK
@options.as_json
def elastic(quick: bool, as_json: bool) -> int:
    """Transfers that share links max-min fairly, beside SimGrid on the same arrivals where it is installed.

    \b
    Example:
      meshsim bench elastic --json
    """
    from meshsim.lab.bench.elastic import run

    return options.emit_goals(run(quick=quick, progress=not as_json), json_wanted=as_json)


@command.command("flow")
@_QUICK
@click.option("--agents/--no-agents", default=True, help="Whether to measure an agent in every node, too: minutes.")
@options.as_json
def flow(quick: bool, agents: bool, as_json: bool) -> int:
    """What an hour of 5,000 nodes with 20,000 calls at a time costs, and how the cost grows with the nodes.

    \b
    Example:
      meshsim bench flow --no-agents --json
    """
    from meshsim.lab.bench.flow import run

    return options.emit_goals(run(quick=quick, agents=agents, progress=not as_json), json_wanted=as_json)


@command.command("variance")
@_QUICK
@options.as_json
def variance(quick: bool, as_json: bool) -> int:
    """Two policies on common random numbers: paired against unpaired differences over 30 seeds.

    \b
    Example:
      meshsim bench variance --json
    """
    from meshsim.lab.bench.variance import run

    return options.emit_goals(run(quick=quick, progress=not as_json), json_wanted=as_json)


@command.command("fidelity")
@_QUICK
@options.as_json
def fidelity(quick: bool, as_json: bool) -> int:
    """What calls live through as fluid flows, beside the same calls packet by packet.

    Loss and MOS are judged at the 95th percentile of calls; the tables tell the maxima, too.

    \b
    Example:
      meshsim bench fidelity --json
    """
    from meshsim.lab.bench.fidelity import run

    return options.emit_goals(run(quick=quick, progress=not as_json), json_wanted=as_json)


@command.command("batch")
@_QUICK
@options.as_json
def batch(quick: bool, as_json: bool) -> int:
    """What the engine of experiments costs per run, serial, local and on Ray, and how fast it finds what is done.

    \b
    Example:
      meshsim bench batch --quick
    """
    from meshsim.lab.bench.batch import run

    return options.emit_goals(run(quick=quick, progress=not as_json), json_wanted=as_json)


@command.command("route")
@_QUICK
@click.option("--model", default="route-scorer", show_default=True, shell_complete=names.models, help="The scorer.")
@options.as_json
def route(quick: bool, model: str, as_json: bool) -> int:
    """What one decision costs a node with 128 candidates, and onnxruntime beside torch on the same network.

    \b
    Example:
      meshsim bench route --quick
    """
    from meshsim.lab.bench.route import run

    return options.emit_goals(run(quick=quick, progress=not as_json, model=model), json_wanted=as_json)


@command.command("train")
@_QUICK
@options.as_json
def train(quick: bool, as_json: bool) -> int:
    """What an epoch of training costs, in batches and one view at a time, in one process and two.

    How long the packaged scorer's training would take here is reckoned from that.

    \b
    Example:
      meshsim bench train --quick
    """
    from meshsim.lab.bench.train import run

    return options.emit_goals(run(quick=quick, progress=not as_json), json_wanted=as_json)


@command.command("trust")
@_QUICK
@click.option("--static", "parts", flag_value="static", help="Only scores from assigned outcomes, and their changes.")
@click.option("--loop", "parts", flag_value="loop", help="Only calls routed by scores, under attack.")
@click.option("--desk", "parts", flag_value="desk", help="Only who is banned when people report abuse, and liars too.")
@click.option("--scale", "parts", flag_value="scale", help="Only what receipts and scores cost.")
@options.as_json
def trust(quick: bool, parts: str | None, as_json: bool) -> int:
    """Models of reputation against attacks: who is believed, whose calls succeed, and what it costs.

    \b
    Example:
      meshsim bench trust --quick
      meshsim bench trust --loop --json
    """
    from meshsim.lab.bench.trust import run

    return options.emit_goals(run(parts, quick=quick, progress=not as_json), json_wanted=as_json)


@command.command("node")
@_QUICK
@click.argument("parts", nargs=-1, type=click.Choice(NODE_PARTS))
@options.as_json
def node(parts: tuple[str, ...], quick: bool, as_json: bool) -> int:
    """What real nodes on this machine cost and stand, beside raw aiortc; PARTS alone, or all.

    All of them take minutes; what else runs on the machine is measured, too.

    \b
    Example:
      meshsim bench node emulator --quick
      meshsim bench node failures --json
    """
    from meshsim.lab.bench.node import run

    return options.emit_goals(run(parts, quick=quick, progress=not as_json), json_wanted=as_json)
