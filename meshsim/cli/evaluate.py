"""`meshsim evaluate`: a scorer against the goals of a suite."""

from __future__ import annotations

import click

from meshsim.cli import names, options


@click.command("evaluate")
@click.argument("model", shell_complete=names.models)
@click.option("--suite", default="smoke", show_default=True, help="Name of the suite.")
@options.as_json
def command(model: str, suite: str, as_json: bool) -> int:
    """Evaluate MODEL (a name or a folder) on a suite; exit code 3 when a goal is missed.

    \b
    Example:
      meshsim evaluate route-scorer --suite smoke --json
    """
    from meshsim.lab.suites import evaluate

    answer = evaluate(model, suite, progress=not as_json)
    options.emit(answer, json_wanted=as_json)
    return options.goals_code(answer)
