"""`meshsim exp`: experiments, each a folder with a question."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import options
from meshsim.cli.app import FAILED, OK

_ROOT = click.option(
    "--root", type=options.folder, default=Path("experiments"), show_default=True, help="Folder of experiments."
)


@click.group("exp")
def command() -> None:
    """List and run experiments.

    \b
    Example:
      meshsim exp run smoke --out runs/smoke
    """


@command.command("list")
@_ROOT
@options.as_json
def list_(root: Path, as_json: bool) -> None:
    """List the experiments with their questions.

    \b
    Example:
      meshsim exp list
    """
    from meshsim.lab.experiment import list_experiments

    options.emit(list_experiments(root), json_wanted=as_json)


@command.command("run")
@click.argument("name")
@_ROOT
@click.option(
    "--executor",
    type=click.Choice(["serial", "processes"]),
    default="serial",
    show_default=True,
    help="Who runs the episodes.",
)
@options.out(None, "Folder for the table and the traces; a new one under runs/ when not given.")
@options.as_json
def run_(name: str, root: Path, executor: str, out: Path | None, as_json: bool) -> int:
    """Run the experiment NAME and print means, paired comparisons and the checksum of its table.

    Exit code 3 when an episode failed. The table is the same whoever runs the episodes.

    \b
    Example:
      meshsim exp run smoke --executor serial --out runs/smoke --json
    """
    from meshsim.lab.experiment import run_experiment

    answer = run_experiment(name, out=out, executor=executor, root=root, progress=not as_json)
    options.emit_tables(answer, json_wanted=as_json)
    return FAILED if answer["failures"] else OK
