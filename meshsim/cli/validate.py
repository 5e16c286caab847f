"""`meshsim validate`: the simulator beside theory, and beside published samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshsim.cli import options

if TYPE_CHECKING:
    from rich.console import Group


@click.command("validate")
@click.option("--case", "cases", multiple=True, metavar="SLUG", help="Only this case; may be given more than once.")
@click.option("--list", "listed", is_flag=True, help="List the cases with their formulas, and run none.")
@click.option(
    "--gnnet",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare with the published OMNeT++ samples in this folder instead.",
)
@click.option("--media", is_flag=True, help="Run the rate control of media through the cases of RFC 8867 instead.")
@click.option("--statistics", is_flag=True, help="Hold intervals to what they say, on made-up experiments, instead.")
@click.option("--samples", type=click.IntRange(min=1), help="With --gnnet: only so many samples of each folder.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="With --gnnet: processes.")
@options.as_json
def command(
    cases: tuple[str, ...],
    folder: Path | None,
    samples: int | None,
    workers: int,
    *,
    listed: bool,
    media: bool,
    statistics: bool,
    as_json: bool,
) -> int:
    """Hold the simulator to queueing theory; exit code 3 when a quantity misses.

    Every quantity is measured in independent runs with fixed seeds. Theory must lie in the interval, whose intervals
    together hold with 99 % (Holm), and the mean must be off by no more than the error allowed.

    \b
    Example:
      meshsim validate
      meshsim validate --case mm1_80 --case erlang_b --json
      meshsim validate --media
      meshsim validate --statistics
    """
    for name, asked in (("--media", media), ("--statistics", statistics)):
        if asked and (cases or listed or folder is not None or (media and statistics)):
            raise click.UsageError(f"{name} has cases of its own: leave out all others")
    if samples is not None and folder is None:
        raise click.UsageError("--samples goes with --gnnet")
    if folder is not None and (cases or listed):
        raise click.UsageError("--gnnet has no cases: leave out --case and --list")
    if folder is not None:
        return _compare(folder, samples, workers, as_json=as_json)
    if media:
        from meshsim.lab.media import validate_media

        return options.emit_goals(validate_media(progress=not as_json), json_wanted=as_json)
    if statistics:
        from meshsim.lab.coverage import validate_statistics

        return options.emit_goals(validate_statistics(progress=not as_json), json_wanted=as_json)
    from meshsim.lab.validation import list_cases, validate

    if listed:
        options.emit(list_cases(), json_wanted=as_json)
        return 0
    answer = validate(cases, progress=not as_json)
    if as_json:
        options.emit(answer, json_wanted=True)
    else:
        _show(answer["tables"]["quantities"], answer["goals"])
    return options.goals_code(answer)


def _compare(folder: Path, samples: int | None, workers: int, *, as_json: bool) -> int:
    """People see each sample as it is done, and the goals; machines everything."""
    from meshsim.lab.gnnet import compare

    answer = compare(folder, samples=samples, workers=workers, progress=None if as_json else _tell)
    return options.emit_goals(answer if as_json else {**answer, "tables": {}}, json_wanted=as_json)


def _tell(row: Mapping[str, Any]) -> None:
    errors = {name.removesuffix("_delay_mape"): value for name, value in row.items() if name.endswith("_delay_mape")}
    told = ", ".join(f"{name} {value:.2%}" for name, value in errors.items() if value is not None)
    click.echo(f"{row['year']} {row['sample']}: mean delay off by {told}")


def _show(rows: Sequence[Mapping[str, Any]], goals: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = options.FILE_WIDTH
    for goal in goals:
        console.print(_block(goal, [row for row in rows if row["case"] == goal["goal"]]))
    passed = sum(goal["pass"] for goal in goals)
    console.print(f"{passed} of {len(goals)} cases are as theory says, {len(rows)} quantities")


def _block(goal: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Group:
    """One case: its verdict and formula, and a line for each quantity."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text.assemble(
        (f"{'pass' if goal['pass'] else 'MISS'} ", "green" if goal["pass"] else "bold red"),
        (goal["goal"], "bold"),
        f"  {rows[0]['formula']} ({rows[0]['source']})",
    )
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("     quantity", min_width=32)
    for column in ("theory", "mean", "interval", "error", "allowed", "runs"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(f"{'' if row['passed'] else 'MISS':5}{row['quantity']}", *_numbers(row))
    return Group(head, table)


def _numbers(row: Mapping[str, Any]) -> tuple[str, ...]:
    relative = row["relation"] in {"mean", "near"}
    return (
        f"{row['theory']:.6g}",
        f"{row['mean']:.6g}",
        f"[{row['low']:.6g}, {row['high']:.6g}]",
        f"{row['error']:+.2%}" if relative else f"{row['error']:.2g}",
        f"{row['allowed']:.1%}" if relative else f"{row['allowed']:.2g}",
        f"{row['replications']}",
    )
