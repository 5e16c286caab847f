"""`meshsim doctor`: what is here and what is not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from meshsim import __version__
from meshsim.cli import options
from meshsim.cli.extras import EXTRAS, missing


@click.command("doctor")
@options.as_json
def command(as_json: bool) -> None:
    """Say what is installed, what each extra would add, and what this machine offers.

    \b
    Example:
      meshsim doctor --json
    """
    answer = examine()
    if as_json:
        options.emit(answer, json_wanted=True)
        return
    extras = answer.pop("extras")
    options.emit(answer, json_wanted=False)
    for extra, absent in extras.items():
        lack = f"lacks {', '.join(absent)}; pip install 'meshsim[{extra}]'" if absent else "complete"
        click.echo(f"  {extra:<8} {lack}")


def examine() -> dict[str, Any]:
    """What `meshsim doctor` tells, as a mapping; `extras` maps each extra to its absent packages."""
    return {
        "meshsim": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "machine": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "free_disk_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "data": _data_state(os.environ.get("MESHSIM_DATA_DIR")),
        "extras": {extra: missing(extra) for extra in EXTRAS},
    }


def _data_state(setting: str | None) -> str:
    if not setting:
        return "MESHSIM_DATA_DIR is not set: topologies come from topohub and generators only"
    folder = Path(setting)
    if not folder.is_dir():
        return f"MESHSIM_DATA_DIR={setting} is not a folder"
    return f"{setting}: {sum(entry.is_dir() for entry in folder.iterdir())} data sets"
