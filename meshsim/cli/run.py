"""`meshsim run`: simulate one scenario, save it on the way, go on with what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from meshsim.cli import names, options

_RESUMED = ("scenario", "overrides", "policy", "out", "seed", "pcap")
_FORKED = ("scenario", "seed", "pcap")


@click.command("run")
@click.argument("scenario", required=False, shell_complete=names.scenarios)
@click.option("-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one key; may be repeated.")
@click.option("--policy", default=None, help="Routing policy instead of the scenario's.", shell_complete=names.policies)
@click.option(
    "--checkpoint-every",
    type=float,
    metavar="SECONDS",
    help="Save the run each time so many simulated seconds have passed.",
)
@click.option("--resume", type=options.folder, metavar="DIR", help="Go on with a saved run that did not finish.")
@click.option("--fork", type=options.folder, metavar="DIR", help="Go on from a saved run's checkpoint, changed by -o.")
@click.option(
    "--pcap",
    type=click.IntRange(min=0),
    multiple=True,
    metavar="CALL",
    help="Capture a call's packets to calls/CALL.pcapng in the trace's folder; may be repeated.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what came of it to an HTML file, too.",
)
@options.common(out_default=None, out_help="Folder for the trace; a new one under runs/ when not given.")
@click.pass_context
def command(ctx: click.Context, /, scenario: str | None, *, as_json: bool, report: Path | None, **given: Any) -> None:
    """Simulate SCENARIO (a file or a preset's name) and write its trace.

    \b
    Example:
      meshsim run demo -o calls.rate=0.5 --seed 3 --out runs/demo-3 --json
      meshsim run demo --checkpoint-every 60 --out runs/warm
      meshsim run tiny --report tiny.html
      meshsim run demo --pcap 12 --pcap 40 --out runs/captured
      meshsim run --resume runs/warm
      meshsim run --fork runs/warm -o routing.policy=direct --out runs/what-if
    """
    _check(ctx, resume=given["resume"] is not None, fork=given["fork"] is not None)
    from meshsim.lab.run import make_folder, run

    if report is not None:
        make_folder(report.parent)
    result = run(scenario, progress=not as_json, **given)
    written = {} if report is None else {"report": str(result.report(report))}
    options.emit(result.summary | written, json_wanted=as_json)


def _check(ctx: click.Context, *, resume: bool, fork: bool) -> None:
    """Refuses words that would be without effect.

    Raises:
        UsageError: With the word.
    """
    if resume and fork:
        raise click.UsageError("--resume and --fork exclude each other.", ctx)
    if not (resume or fork or ctx.params["scenario"]):
        raise click.UsageError("Missing argument 'SCENARIO' (or --resume DIR, or --fork DIR).", ctx)
    for name in _RESUMED if resume else _FORKED if fork else ():
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE and ctx.params[name] not in (None, ()):
            what = "SCENARIO" if name == "scenario" else f"--{name.rstrip('s')}"
            raise click.UsageError(f"{what} is the checkpoint's own and cannot be given with it.", ctx)
