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
def command(out: Path, seed: int, quick: bool, as_json: bool) -> None:
    """The whole road: scenario, simulation, training, ONNX, a call on real nodes, one report.

    \b
    Example:
      meshsim demo --out demo-out --seed 1
    """
    from meshsim.lab.demo import demo

    result = demo(out=out, seed=seed, quick=quick, progress=not as_json)
    if as_json:
        click.echo(json.dumps(options.plain(result)))
        return
    _summarise(result)


def _summarise(result: dict[str, Any]) -> None:
    click.echo(f"calls: {result['calls']}")
    for policy, interval in sorted(result["poor_call_rate"].items()):
        click.echo(f"poor calls, {policy}: {interval['mean']:.1%} ({interval['low']:.1%} to {interval['high']:.1%})")
    call = result["mesh"]["call"]
    click.echo(f"real call: {' -> '.join(call['path'])}, {call['audio_packets_received']} audio packets received")
    failover = result["failover"]
    click.echo(f"failover: noticed in {failover['detect_ms']:.0f} ms, silent for {failover['gap_ms']:.0f} ms")
    click.echo(f"report: {result['report']}")
