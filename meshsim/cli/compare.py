"""`meshsim compare`: two runs or two batches beside each other."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meshsim.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command("compare")
@click.argument("of", metavar="A", type=options.folder)
@click.argument("against", metavar="B", type=options.folder)
@click.option(
    "--metric", "metrics", multiple=True, help="What to compare; may be repeated. poor_call_rate when not given."
)
@click.option("--out", type=options.file, metavar="FILE.html", help="Write a report as well.")
@options.as_json
def command(of: Path, against: Path, metrics: Sequence[str], out: Path | None, as_json: bool) -> None:
    """Hold A against B: two batches, paired by seed, or two traces of the same calls.

    Prints a verdict for each metric, the differences with their intervals, and what was configured differently.

    \b
    Example:
      meshsim compare runs/demo-weighted runs/demo-direct --metric poor_call_rate --metric mos
      meshsim compare runs/experiment-smoke runs/experiment-smoke-before --out compared.html --json
    """
    from meshsim.lab.comparing import DEFAULT, compare

    found = compare(of, against, metrics or DEFAULT)
    answer = {
        "verdicts": found.verdicts,
        "tables": {
            "differences": [
                {
                    "cell": row.cell,
                    "metric": row.metric,
                    "of": row.of,
                    "against": row.against,
                    "difference": row.gap.mean,
                    "low": row.gap.low,
                    "high": row.gap.high,
                    "p_value": row.p_value,
                    "hedges_g": row.effect.g,
                }
                for row in found.rows
            ],
            "configured differently": [{"key": key, found.of: a, found.against: b} for key, a, b in found.changes],
        },
        **({"notes": found.notes} if found.notes else {}),
    }
    if out is not None:
        from meshsim.lab.comparison_report import write_comparison

        words = ["meshsim", "compare", str(of), str(against), *(w for name in metrics for w in ("--metric", name))]
        answer["report"] = str(write_comparison(found, of, against, out, shlex.join([*words, "--out", str(out)])))
    options.emit_tables(answer, json_wanted=as_json)
