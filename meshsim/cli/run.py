"""`meshsim run`: simulate one scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from meshsim.cli import options

if TYPE_CHECKING:
    from pathlib import Path


@click.command("run")
@click.argument("scenario")
@click.option("-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one key; may be repeated.")
@click.option("--policy", default=None, help="Routing policy instead of the scenario's.")
@options.common(out_default=None, out_help="Folder for the trace; a new one under runs/ when not given.")
def command(
    scenario: str, overrides: tuple[str, ...], policy: str | None, out: Path | None, seed: int, as_json: bool
) -> None:
    """Simulate SCENARIO (a file or a preset's name) and write its trace.

    \b
    Example:
      meshsim run demo -o calls.rate=0.5 --seed 3 --out runs/demo-3 --json
    """
    from meshsim.lab.run import run

    result = run(scenario, seed=seed, overrides=overrides, out=out, policy=policy, progress=not as_json)
    options.emit(result.summary, json_wanted=as_json)
