"""`meshsim view`: a run as a page one can look into."""

from __future__ import annotations

from pathlib import Path

import click

from meshsim.cli import options

PAGE = "view.html"
"""What the page is called beside the tables of a run, unless it gets a name."""

_file = click.Path(dir_okay=False, path_type=Path)


@click.command("view")
@click.argument("run", type=options.folder)
@click.option("--out", type=_file, help="The page's file; view.html in the folder of the run when not given.")
@click.option("--picture", type=_file, metavar="FILE.png", help="A picture of it as well, taken by Chromium.")
@options.as_json
def command(run: Path, *, out: Path | None, picture: Path | None, as_json: bool) -> None:
    """Draw the network of RUN (the folder of a trace) as one page for a browser, which needs no network itself.

    \b
    Example:
      meshsim view runs/demo-3
      meshsim view runs/demo-3 --out network.html --picture network.png
    """
    from meshsim.lab.view import view
    from meshsim.lab.view.browser import Browser

    page, place = view(run), out or run / PAGE
    page.save(place)
    answer = {"page": str(place), "bytes": place.stat().st_size}
    if picture is not None:
        with Browser() as browser:
            browser.open(place)
            picture.write_bytes(browser.picture())
        answer["picture"] = str(picture)
    options.emit(answer, json_wanted=as_json)
