"""`meshsim explain`: why one call of a trace goes the way it goes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from meshsim.cli import names, options


@click.command("explain")
@click.argument("trace", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("call", type=click.IntRange(min=0))
@click.option("--model", default="route-scorer", show_default=True, shell_complete=names.models, help="The scorer.")
@options.as_json
def command(trace: Path, call: int, model: str, as_json: bool) -> None:
    """Explain the route of CALL, a row of the calls in the folder TRACE.

    Tells all candidates with what is predicted and what was true, what each hop adds, where the choice differs from the
    runner-up, and the smallest changes that would turn it.

    \b
    Example:
      meshsim run demo -o duration=2min -o warmup=0s --out runs/explained
      meshsim explain runs/explained 12
    """
    from meshsim.lab.explain import explain

    found = explain(trace, call, model=model)
    if as_json:
        options.emit(asdict(found), json_wanted=True)
        return
    words = {"call": found.call, "asked": found.asked, "decision": found.decision, "reasons": list(found.reasons)}
    options.emit(words, json_wanted=False)
    options.emit_tables({"tables": found.tables()}, json_wanted=False)
