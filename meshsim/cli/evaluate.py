"""`meshsim evaluate`: a scorer against the goals of a suite, or the model of delays against published samples."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from meshsim.cli import names, options

_UNSAID = ParameterSource.DEFAULT


@click.command("evaluate")
@click.argument("model", required=False, shell_complete=names.models)
@click.option(
    "--suite",
    default="smoke",
    show_default=True,
    help="Name of the suite: smoke, clean, stale, attack, scale, shift or closed-loop.",
)
@click.option("--quick", is_flag=True, help="Only the few worlds of the suite that stand for all.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the suite's episodes here, and take those that are there.",
)
@click.option(
    "--gnnet",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Instead, hold a model of flows' delays (MODEL, a folder; models/delays without) to published samples here.",
)
@options.as_json
def command(model: str | None, suite: str, quick: bool, cache: Path | None, gnnet: Path | None, as_json: bool) -> int:
    """Evaluate MODEL (a name or a folder) on a suite; exit code 3 when a goal is missed.

    \b
    Example:
      meshsim evaluate route-scorer --suite smoke --json
      meshsim evaluate route-scorer --suite clean --quick --cache runs/suites
      meshsim evaluate --gnnet /path/to/data/gnnet/2022/50
    """
    if gnnet is not None:
        return _delays(gnnet, model, as_json)
    if model is None:
        raise click.UsageError("which MODEL? `meshsim models list` names those at hand")
    from meshsim.lab.suites import evaluate, readable

    answer = evaluate(model, suite, quick=quick, cache=cache, progress=not as_json)
    if as_json:
        return options.emit_goals(answer, json_wanted=True)
    return options.emit_goals({**answer, "tables": readable(answer["tables"])}, json_wanted=False)


def _delays(folder: Path, model: str | None, as_json: bool) -> int:
    context = click.get_current_context()
    given = [name for name in ("suite", "quick", "cache") if context.get_parameter_source(name) is not _UNSAID]
    if given:
        raise click.UsageError(f"--{given[0]} goes with a suite, not with --gnnet")
    from meshsim.lab.delays import evaluate_delays

    answer = evaluate_delays(folder, model=None if model is None else Path(model), progress=not as_json)
    return options.emit_goals(answer, json_wanted=as_json)
