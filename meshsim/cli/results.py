"""`meshsim results`: ask batches and traces in SQL, what their columns mean, and what failed."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meshsim.cli import options
from meshsim.cli.app import FAILED, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 50
"""Rows that people are shown."""


@click.group("results")
def command() -> None:
    """Ask what was found: tables in SQL, their columns, and what failed.

    \b
    Example:
      meshsim results query "SELECT policy, avg(poor_call_rate) FROM runs GROUP BY policy" --in runs/experiment-smoke
    """


@command.command("query")
@click.argument("sql")
@click.option(
    "--in",
    "folders",
    type=options.folder,
    multiple=True,
    metavar="FOLDER",
    help="Of a batch or a trace; may be repeated. The one below runs/ when there is only one.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@options.as_json
def query(sql: str, folders: Sequence[Path], as_csv: bool, as_json: bool) -> None:
    """Answer SQL, one statement that reads, over the tables of batches and traces.

    A batch has runs, series and attempts; a trace has calls, routes, nodes, trust, events and more. Tables of several
    folders are put below each other, with a first column `folder`. `meshsim results dictionary` has all columns.

    \b
    Example:
      meshsim results query "FROM runs ORDER BY poor_call_rate" --in runs/experiment-smoke
      meshsim results query "SELECT outcome, count(*) AS calls FROM calls GROUP BY outcome" --in runs/demo-3 --json
    """
    from meshsim.lab import results

    table = results.query(sql, folders or [_only()])
    rows = table.to_pylist()
    if as_json:
        options.emit(rows, json_wanted=True)
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, table.column_names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        options.print_rows(rows[:MOST])
        click.echo(
            f"{len(rows)} rows" if len(rows) <= MOST else f"{MOST} of {len(rows)} rows; --csv and --json have all"
        )


@command.command("dictionary")
@click.argument("folder", type=options.folder, required=False)
def dictionary(folder: Path | None) -> None:
    """Say of every column what it means, its type and its unit, as Markdown; of FOLDER, or of all tables there can be.

    \b
    Example:
      meshsim results dictionary runs/experiment-smoke
    """
    from meshsim.lab import results

    known = results.all_schemas() if folder is None else results.schemas_of(folder)
    click.echo(results.dictionary(known), nl=False)


@command.command("failures")
@click.argument("folder", type=options.folder)
@options.as_json
def failures(folder: Path, as_json: bool) -> int:
    """Say what failed in the batch of FOLDER: why, with traceback, and the command that runs it once more.

    Exit code 3 when something did.

    \b
    Example:
      meshsim results failures runs/experiment-smoke
    """
    from meshsim.lab import results

    found = results.failures(folder)
    if as_json:
        options.emit(found, json_wanted=True)
    else:
        for one in found:
            click.echo(f"{one.run}: {one.failure} (tried {one.attempts} times)")
            click.echo("\n".join(f"    {line}" for line in one.detail.splitlines()))
            click.echo(f"  again: {one.again}")
        click.echo("nothing failed" if not found else f"{len(found)} runs failed")
    return FAILED if found else OK


@command.command("export")
@click.argument("folder", type=options.folder)
@click.option("--mlflow", type=options.folder, metavar="DIR", help="Copy the runs into a store of MLflow's in DIR.")
@click.option("--tensorboard", type=options.folder, metavar="DIR", help="Copy them into event files below DIR.")
@options.as_json
def export(folder: Path, mlflow: Path | None, tensorboard: Path | None, as_json: bool) -> None:
    """Copy the runs of the batch of FOLDER to where other runs are kept. What is there already stays as it is.

    \b
    Example:
      meshsim results export runs/experiment-smoke --mlflow mlruns --tensorboard tb
    """
    from meshsim.lab import tracking

    ways = {"mlflow": (mlflow, tracking.to_mlflow), "tensorboard": (tensorboard, tracking.to_tensorboard)}
    asked = {name: (target, copy) for name, (target, copy) in ways.items() if target is not None}
    if not asked:
        raise click.UsageError("Missing option: --mlflow DIR or --tensorboard DIR.")
    told = {name: {"to": str(target), "new_runs": copy(folder, target)} for name, (target, copy) in asked.items()}
    options.emit(told, json_wanted=as_json)


def _only() -> Path:
    """The one folder with results below `runs/`.

    Raises:
        ConfigError: If there is none, or more than one.
    """
    from meshsim.lab import results
    from meshsim.mesh.errors import ConfigError

    found = results.around(results.BATCHES)
    if len(found) != 1:
        problem = f"{results.BATCHES}/ has {len(found) or 'no'} folders with results; name one or more with --in"
        raise ConfigError(problem, key="--in", allowed=[str(one.path) for one in found])
    return found[0].path
