"""`meshsim calibrate`: links as nodes measured them, as a scenario."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import names, options

_TRACE = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("calibrate")
@click.argument("trace", type=_TRACE)
@click.argument("scenario", shell_complete=names.scenarios)
@click.option("--out", type=options.file, required=True, help="File for the fitted scenario; its graph goes beside it.")
@click.option(
    "--later", type=_TRACE, help="Traces to test the fit on, in place of the last third of TRACE, then all fitted to."
)
@options.seed
@options.as_json
def command(trace: Path, scenario: str, out: Path, later: Path | None, seed: int, as_json: bool) -> None:
    """Fit the links of SCENARIO to what its nodes measured: TRACE, one node's trace or a folder of them.

    The fitted scenario runs as any other, in the simulator and as a twin; how far its links are from what was measured
    later is printed beside how far the scenario's own are.

    \b
    Example:
      meshsim calibrate runs/twin-1/real twin --out fitted.yaml
      meshsim calibrate runs/twin-1/real twin --later runs/twin-1-2/real --out fitted-to-all.yaml --json
    """
    from meshsim.lab.calibration import fit

    answer = fit(trace, scenario, out=out, later=later, seed=seed)
    options.emit_tables(answer, json_wanted=as_json)
