"""`meshsim evaluate`: a scorer against the goals of a suite."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import names, options


@click.command("evaluate")
@click.argument("model", shell_complete=names.models)
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
@options.as_json
def command(model: str, suite: str, quick: bool, cache: Path | None, as_json: bool) -> int:
    """Evaluate MODEL (a name or a folder) on a suite; exit code 3 when a goal is missed.

    \b
    Example:
      meshsim evaluate route-scorer --suite smoke --json
      meshsim evaluate route-scorer --suite clean --quick --cache runs/suites
    """
    from meshsim.lab.suites import evaluate, readable

    answer = evaluate(model, suite, quick=quick, cache=cache, progress=not as_json)
    if as_json:
        return options.emit_goals(answer, json_wanted=True)
    return options.emit_goals({**answer, "tables": readable(answer["tables"])}, json_wanted=False)
