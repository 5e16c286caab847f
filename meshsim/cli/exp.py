"""`meshsim exp`: experiments, each a folder with a question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from meshsim.cli import names, options
from meshsim.cli.app import FAILED, OK

_OUT = options.out(None, "Folder of the results; runs/experiment-NAME when not given.")
_EXECUTOR = click.option(
    "--executor",
    type=click.Choice(["serial", "local", "ray"]),
    default="serial",
    show_default=True,
    help="Who runs the episodes: this process, processes of this machine, a Ray cluster.",
)
_WORKERS = click.option("--workers", type=click.IntRange(min=1), help="Processes; as many as there are cores.")
_RETRIES = click.option(
    "--retries", type=click.IntRange(min=0), default=0, show_default=True, help="Times a failed run is tried again."
)
_TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds after which a run is given up."
)
_FAIL_FAST = click.option("--fail-fast", is_flag=True, help="End with the first run that fails for good.")
_STALE = click.option("--allow-stale", is_flag=True, help="Take results of other code for done.")
_TRACES = click.option("--keep-traces", is_flag=True, help="Keep the trace of every run, below traces/.")


@click.group("exp")
def command() -> None:
    """List, run and look at experiments.

    \b
    Example:
      meshsim exp run smoke --out runs/smoke
    """


@command.command("list")
@options.root
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
@click.argument("name", shell_complete=names.experiments)
@options.root
@_EXECUTOR
@_WORKERS
@_RETRIES
@_TIMEOUT
@_FAIL_FAST
@_STALE
@_TRACES
@click.option("--dry-run", is_flag=True, help="Only say how many runs there are, how many are done, and how long.")
@_OUT
@options.as_json
def run_(name: str, root: Path, out: Path | None, as_json: bool, dry_run: bool, **how: Any) -> int:
    """Run the experiment NAME and print means, paired comparisons and the checksum of its table.

    Runs that the same code has finished before are not run again, so that a batch that was killed goes on where it was.
    Exit code 3 when a run failed. The table is the same whoever runs the episodes.

    \b
    Example:
      meshsim exp run smoke --executor local --out runs/smoke --json
    """
    from meshsim.lab.experiment import examine

    if dry_run:
        options.emit(examine(name, out=out, root=root, fresh=True), json_wanted=as_json)
        return OK
    return _run(name, root, out, as_json=as_json, **how)


@command.command("resume")
@click.argument("name", shell_complete=names.experiments)
@options.root
@_EXECUTOR
@_WORKERS
@_RETRIES
@_TIMEOUT
@_FAIL_FAST
@_STALE
@_TRACES
@_OUT
@options.as_json
def resume(name: str, root: Path, out: Path | None, as_json: bool, **how: Any) -> int:
    """Go on with the experiment NAME, which was begun before.

    \b
    Example:
      meshsim exp resume smoke --executor local
    """
    from meshsim.lab.experiment import examine

    examine(name, out=out, root=root)
    return _run(name, root, out, as_json=as_json, **how)


@command.command("status")
@click.argument("name", shell_complete=names.experiments)
@options.root
@_OUT
@options.as_json
def status(name: str, root: Path, out: Path | None, as_json: bool) -> int:
    """Say how far the experiment NAME is: runs done, stale (by other code), failed, missing, and who is at it.

    Exit code 3 while runs are missing.

    \b
    Example:
      meshsim exp status smoke
    """
    from meshsim.lab.experiment import examine

    told = examine(name, out=out, root=root)
    options.emit(told, json_wanted=as_json)
    return FAILED if told["missing"] else OK


@command.command("report")
@click.argument("name", shell_complete=names.experiments)
@options.root
@_OUT
@click.option("--figures", type=options.folder, metavar="DIR", help="Write each picture to a file of its own, too.")
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["svg", "pdf", "png"]),
    default="svg",
    show_default=True,
    help="Of these pictures.",
)
@options.as_json
def report(name: str, root: Path, out: Path | None, as_json: bool, figures: Path | None, suffix: str) -> int:
    """Write tables and report of the experiment NAME anew from what has been run; runs nothing.

    \b
    Example:
      meshsim exp report smoke
      meshsim exp report smoke --figures paper --format pdf
    """
    from meshsim.lab.experiment import report_experiment

    answer = report_experiment(name, out=out, root=root, figures=figures, suffix=f".{suffix}")
    options.emit_tables(answer, json_wanted=as_json)
    return FAILED if answer["missing"] else OK


def _run(
    name: str, root: Path, out: Path | None, *, as_json: bool, allow_stale: bool, keep_traces: bool, **how: Any
) -> int:
    from meshsim.lab.batch import Settings
    from meshsim.lab.experiment import run_experiment

    answer = run_experiment(
        name,
        out=out,
        settings=Settings(**how),
        allow_stale=allow_stale,
        keep_traces=keep_traces,
        root=root,
        progress=not as_json,
    )
    options.emit_tables(answer, json_wanted=as_json)
    return FAILED if answer["failures"] or answer["missing"] else OK
