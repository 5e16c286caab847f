"""`meshsim demo`: the whole road on a named real topology."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from meshsim.cli import options

if TYPE_CHECKING:
    from pathlib import Path


@click.command("demo")
@options.common(out_default="demo-out", out_help="Folder for traces, models and report.html.")
@click.option("--quick", is_flag=True, help="Smaller simulation and shorter training.")
def command(out: Path, seed: int, quick: bool, as_json: bool) -> int:
    """The whole road, from a scenario to a call on real nodes and one report; exit code 3 when a goal is missed.

    \b
    Example:
      meshsim demo --out demo-out --seed 1
    """
    from meshsim.lab.demo import demo

    result = demo(out=out, seed=seed, quick=quick, progress=not as_json)
    if as_json:
        click.echo(json.dumps(options.plain(result)))
    else:
        _summarise(result)
    return options.goals_code(result)


def _summarise(result: dict[str, Any]) -> None:
    click.echo(f"{result['nodes']} nodes on {result['topology']}, {result['calls']} calls decided by each policy:")
    for policy, rate in result["poor_call_rate"].items():
        click.echo(f"  {policy:<10} {rate['mean']:6.1%} poor calls ({rate['low']:.1%} to {rate['high']:.1%})")
    scale, mesh, failover = result["scale"], result["mesh"], result["failover"]
    click.echo(f"{scale['nodes']} nodes, {scale['calls']} calls simulated in {scale['seconds']:.1f} s")
    call = mesh["call"]
    click.echo(
        f"{mesh['nodes']} real nodes{'' if mesh['valid'] else ' (run INVALID)'}: {' -> '.join(call['path'])}, "
        f"{call['audio_packets_received']} audio packets heard"
    )
    click.echo(
        f"relay killed: noticed in {failover['detect_ms']:.0f} ms, silent for {failover['gap_ms']:.0f} ms, "
        f"then {' -> '.join(call['path_after_failover'])}"
    )
    twin = {goal["goal"]: goal["value"] for goal in result["twin"]["goals"]}
    click.echo(
        f"twin: {len(result['twin']['tables']['calls'])} calls in the simulator and on real nodes: the same path "
        f"{twin['same_path']:.0%}, MOS {twin['median_mos_difference']:.2f} apart"
    )
    for goal in result["goals"]:
        if not goal["pass"]:
            click.echo(f"missed: {goal['goal']} = {goal['value']:.4g}, aimed at {goal['op']} {goal['target']:g}")
    click.echo(f"report: {result['report']}")
