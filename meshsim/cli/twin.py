"""`meshsim twin`: one scenario in the simulator and on real nodes."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import names, options


@click.command("twin")
@click.argument("scenario", shell_complete=names.scenarios)
@click.option("-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one key; may be repeated.")
@click.option("--policy", default=None, help="Routing policy instead of the scenario's.", shell_complete=names.policies)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write what came of it to an HTML file, too.",
)
@options.common(out_default=None, out_help="New folder for traces, keys and logs; one under runs/ when not given.")
def command(
    scenario: str,
    overrides: tuple[str, ...],
    policy: str | None,
    report: Path | None,
    as_json: bool,
    seed: int,
    out: Path | None,
) -> int:
    """Run SCENARIO (a file or a preset's name) in the simulator and on real nodes; exit code 3 when a goal is missed.

    Every node is a process of its own, every datagram passes a link emulator that treats it as the simulator's world
    would have; the run takes as long as the scenario.

    \b
    Example:
      meshsim twin twin --report twin.html
      meshsim twin twin_churn --seed 2 --policy shortest --json
    """
    from meshsim.lab.run import make_folder
    from meshsim.lab.twin import twin

    if report is not None:
        make_folder(report.parent)
    result = twin(scenario, out=out, seed=seed, policy=policy, overrides=overrides, progress=not as_json)
    written = {} if report is None else {"report": str(result.report(report))}
    return options.emit_goals({**result.answer(), **written}, json_wanted=as_json)
