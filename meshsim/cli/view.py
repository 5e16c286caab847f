"""`meshsim view`: a run as a page one can look into, when it is over or while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshsim.cli import names, options

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = "view.html"
"""What the page is called beside the tables of a run, unless it gets a name."""


@click.command("view")
@click.argument("run", metavar="RUN", shell_complete=names.scenarios)
@click.option("--out", type=options.file, help="The page's file; view.html in the folder of the run when not given.")
@click.option("--picture", type=options.file, metavar="FILE.png", help="A picture of it as well, taken by Chromium.")
@click.option("--live", is_flag=True, help="RUN is a scenario: simulate it now and show it on a page while it goes on.")
@click.option("-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="With --live: set one key.")
@click.option("--policy", default=None, shell_complete=names.policies, help="With --live: routing policy.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    help="With --live: simulated seconds a second; 0 for all it can.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="With --live: of the page; any that is free by default."
)
@options.seed
@options.as_json
def command(run: str, *, out: Path | None, picture: Path | None, live: bool, as_json: bool, **how: Any) -> None:
    """Draw the network of RUN (the folder of a trace) as one page for a browser, which needs no network itself.

    With --live, simulate a scenario and serve its page to this machine while it goes on; Ctrl-C ends it.

    \b
    Example:
      meshsim view runs/demo-3
      meshsim view runs/demo-3 --out network.html --picture network.png
      meshsim view demo --live -o calls.rate=2 --speed 30
    """
    if live:
        _follow(run, as_json=as_json, **how)
        return
    from meshsim.lab.view import view
    from meshsim.lab.view.browser import Browser

    folder = Path(run)
    page, place = view(folder), out or folder / PAGE
    page.save(place)
    answer = {"page": str(place), "bytes": place.stat().st_size}
    if picture is not None:
        with Browser() as browser:
            browser.open(place)
            picture.write_bytes(browser.picture())
        answer["picture"] = str(picture)
    options.emit(answer, json_wanted=as_json)


def _follow(
    scenario: str, *, overrides: Sequence[str], policy: str | None, speed: float, port: int, seed: int, as_json: bool
) -> None:
    """Simulates a scenario into a folder that is thrown away, and shows it meanwhile."""
    import tempfile

    from meshsim.lab.view.live import follow
    from meshsim.lab.view.steps import STEPS
    from meshsim.scenario import compile_plan, load
    from meshsim.sim import begin

    plan = compile_plan(load(scenario, overrides), seed)
    with tempfile.TemporaryDirectory(prefix="meshsim-") as folder:
        episode = begin(plan, Path(folder) / "live", policy=policy)
        every = max(1.0, plan.scenario.duration / (STEPS - 1))
        follow(episode, every=every, speed=speed, port=port, ready=lambda address: _tell(address, as_json=as_json))
    if not as_json:
        click.echo("the simulation has finished")


def _tell(address: str, *, as_json: bool) -> None:
    options.emit({"page": address}, json_wanted=as_json)
