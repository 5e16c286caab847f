"""`meshsim artifact`: a finished experiment as one file that can do itself again."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import names, options
from meshsim.cli.app import FAILED, OK


@click.group("artifact")
def command() -> None:
    """Bundle a finished experiment with all it takes to do it again, or do that.

    \b
    Example:
      meshsim artifact make smoke --out smoke.zip
    """


@command.command("make")
@click.argument("name", shell_complete=names.experiments)
@options.root
@click.option("--results", type=options.folder, help="Folder of the results; runs/experiment-NAME when not given.")
@click.option("--out", type=options.file, metavar="FILE.zip", help="NAME.zip when not given.")
@options.as_json
def make(name: str, root: Path, results: Path | None, out: Path | None, as_json: bool) -> None:
    """Write question, tables, report, versions and checksum of the finished experiment NAME into one file.

    \b
    Example:
      meshsim exp run smoke
      meshsim artifact make smoke --out smoke.zip
    """
    from meshsim.lab import artifact

    options.emit(artifact.make(name, out or Path(f"{name}.zip"), results=results, root=root), json_wanted=as_json)


@command.command("check")
@click.argument("file", type=options.file)
@click.option("--executor", type=click.Choice(["serial", "local", "ray"]), default="serial", show_default=True)
@click.option("--workers", type=click.IntRange(min=1), help="Processes; as many as there are cores.")
@options.as_json
def check(file: Path, executor: str, workers: int | None, as_json: bool) -> int:
    """Do the experiment in FILE again and compare its table, byte for byte. Exit code 3 when it differs.

    \b
    Example:
      meshsim artifact check smoke.zip --executor local
    """
    from meshsim.lab import artifact
    from meshsim.lab.batch import Settings

    found = artifact.check(file, Settings(executor=executor, workers=workers))
    told = {
        "experiment": found.experiment,
        "holds": found.holds,
        "table_sha256": found.found,
        "expected": found.said,
        "notes": found.notes,
    }
    options.emit(told, json_wanted=as_json)
    return OK if found.holds else FAILED
