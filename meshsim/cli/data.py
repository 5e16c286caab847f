"""`meshsim data`: the measured data sets, their terms, and whether they are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from meshsim.cli import options
from meshsim.cli.app import FAILED, OK

if TYPE_CHECKING:
    from meshsim.scenario.topologies.registry import Verdict

_TERMS = ("title", "origin", "licence", "citation", "allowed_use", "used_for")


@click.group("data")
def command() -> None:
    """List and verify the data sets that scenarios can use.

    The measured data are no part of the package: MESHSIM_DATA_DIR names the folder that holds them.

    \b
    Example:
      meshsim data list
      meshsim data verify wondernetwork
    """


@command.command("list")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@options.as_json
def list_(names: tuple[str, ...], as_json: bool) -> None:
    """Tell origin, licence, citation, allowed use and files of every data set, or of those NAMEd.

    \b
    Example:
      meshsim data list planetlab490 --json
    """
    from meshsim.scenario.topologies import registry

    found = [registry.data_set(name) for name in names or registry.data_sets()]
    if as_json:
        options.emit({"folder": registry.data_folder(), "sets": found}, json_wanted=True)
        return
    for entry in found:
        told = {
            key: getattr(entry, key) for key in ("title", "origin", "licence", "citation", "allowed_use", "used_for")
        }
        size = sum(file.bytes for file in entry.files.values())
        told["files"] = "those of the package" if entry.packaged else f"{len(entry.files)}, {size:,} bytes"
        options.emit({entry.name: told}, json_wanted=False)


@command.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@options.as_json
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Hold the files of every data set, or of those NAMEd, to the registry's sizes and checksums.

    Exit code 3 when a set is absent, or a file is missing, changed or unknown.

    \b
    Example:
      MESHSIM_DATA_DIR=/path/to/data meshsim data verify
    """
    from meshsim.scenario.topologies import registry

    verdicts = [registry.verify(name) for name in names or registry.data_sets()]
    whole = all(verdict.whole for verdict in verdicts)
    if as_json:
        options.emit({"folder": registry.data_folder(), "whole": whole, "sets": verdicts}, json_wanted=True)
    else:
        click.echo("\n".join(line for verdict in verdicts for line in _lines(verdict)))
    return OK if whole else FAILED


def _lines(verdict: Verdict) -> list[str]:
    if verdict.absent:
        return [f"{verdict.name}: absent: {verdict.absent}"]
    found = [("missing", verdict.missing), ("changed", verdict.changed), ("unknown", verdict.extra)]
    wrong = [f"  {what}: {file}" for what, files in found for file in files]
    state = f"{len(wrong)} differ, " if wrong else ""
    return [f"{verdict.name}: {state}{verdict.checked} files as they must be", *wrong]
