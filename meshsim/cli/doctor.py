"""`meshsim doctor`: what is here, what is not and what it would add, and what is broken."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from meshsim import __version__
from meshsim.cli import options
from meshsim.cli.app import FAILED, OK
from meshsim.cli.extras import ADDS, BASE, EXTRAS, installed, missing, unfit

LEAST_DISK = 1.0
"""Gigabytes below which a batch is likely to end for want of room."""

GOOD, ABSENT, BROKEN = "ok", "absent", "BROKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: What.
        state: `ok`; `absent`, which is no fault; or `BROKEN`.
        told: What there is, or what is wrong and what mends it.
    """

    part: str
    state: str
    told: str


@click.command("doctor")
@click.option("--thorough", is_flag=True, help="Import every package that is installed, too; takes some seconds.")
@options.as_json
def command(thorough: bool, as_json: bool) -> int:
    """Say what is installed, what each extra would add, and what this machine offers.

    Exit code 3 when something that is here is broken; what is merely absent is no fault.

    \b
    Example:
      meshsim doctor --json
      meshsim doctor --thorough
    """
    answer = examine(thorough=thorough)
    if as_json:
        options.emit(answer, json_wanted=True)
    else:
        click.echo(f"meshsim {answer['meshsim']}, Python {answer['python']}, {answer['executable']}")
        click.echo(f"{answer['machine']}, {answer['cores']} cores{_memory()}\n")
        click.echo("\n".join(_lines(answer["findings"])))
    return FAILED if answer["broken"] else OK


def examine(*, thorough: bool = False) -> dict[str, Any]:
    """What `meshsim doctor` tells, as a mapping; `extras` maps each extra to its absent packages."""
    findings = [_base(thorough=thorough), *(_extra(name, thorough=thorough) for name in EXTRAS)]
    findings += [_scorer(), _data(os.environ.get("MESHSIM_DATA_DIR")), _disk(), _loopback()]
    findings += [_kernel(), _browser(), _namespaces()]
    return {
        "meshsim": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "machine": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "root": hasattr(os, "geteuid") and os.geteuid() == 0,
        "extras": {extra: missing(extra) for extra in EXTRAS},
        "versions": installed(),
        "findings": findings,
        "broken": [finding.part for finding in findings if finding.state == BROKEN],
    }


def _lines(findings: Iterable[Finding]) -> list[str]:
    colours = {GOOD: "green", ABSENT: "yellow", BROKEN: "red"}
    return [
        f"  {click.style(f'{one.state:<6}', fg=colours[one.state])}  {one.part:<10}  {one.told}" for one in findings
    ]


# Packages -------------------------------------------------------------------------------------------------------------


def _base(*, thorough: bool) -> Finding:
    versions = installed()
    wrong = [f"{name} is not installed" for name in BASE.values() if name not in versions]
    wrong += _wrong(BASE, thorough=thorough)
    if wrong:
        return Finding(part="base", state=BROKEN, told=f"{'; '.join(wrong)}: pip install --upgrade meshsim")
    return Finding(part="base", state=GOOD, told=", ".join(f"{name} {versions[name]}" for name in BASE.values()))


def _extra(extra: str, *, thorough: bool) -> Finding:
    install = f"pip install --upgrade 'meshsim[{extra}]'"
    wrong = _wrong(EXTRAS[extra], thorough=thorough)
    if wrong:
        return Finding(part=extra, state=BROKEN, told=f"{'; '.join(wrong)}: {install}")
    absent = missing(extra)
    if absent:
        told = f"{ADDS[extra]}; lacks {', '.join(absent)}: pip install 'meshsim[{extra}]'"
        return Finding(part=extra, state=ABSENT, told=told)
    return Finding(part=extra, state=GOOD, told=ADDS[extra])


def _wrong(packages: dict[str, str], *, thorough: bool) -> list[str]:
    """What is installed, and not as it must be."""
    told = unfit(packages.values())
    return [*told, *(wrong for name in packages if (wrong := _unloadable(name)))] if thorough else told


def _unloadable(name: str) -> str:
    """Why an installed package cannot be imported; nothing where it can, or is not there."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        return "" if error.name == name else f"{name} cannot be imported: {error}"
    except Exception as error:  # noqa: BLE001 - foreign code fails in its own ways, and that is what is asked
        return f"{name} cannot be imported: {error}"
    return ""


# What is no package ---------------------------------------------------------------------------------------------------


def _scorer() -> Finding:
    try:
        from meshsim.routing.artefact import verify_model
        from meshsim.routing.policies.learned import DEFAULT_MODEL

        verify_model(DEFAULT_MODEL)
    except Exception as error:  # noqa: BLE001 - whatever it is, the person is told
        return Finding(part="scorer", state=BROKEN, told=str(error))
    return Finding(part="scorer", state=GOOD, told=f"{DEFAULT_MODEL}: every checksum holds")


def _data(setting: str | None) -> Finding:
    if not setting:
        told = "MESHSIM_DATA_DIR is not set: topologies come from topohub and generators only"
        return Finding(part="data", state=ABSENT, told=told)
    folder = Path(setting)
    if not folder.is_dir():
        return Finding(part="data", state=BROKEN, told=f"MESHSIM_DATA_DIR={setting} is not a folder")
    sets = sum(entry.is_dir() for entry in folder.iterdir())
    return Finding(part="data", state=GOOD, told=f"{setting}: {sets} data sets (meshsim data verify)")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    told = f"{free:.1f} GB free in {Path.cwd()}"
    if free < LEAST_DISK:
        return Finding(part="disk", state=BROKEN, told=f"{told}: runs need {LEAST_DISK:g} GB to be safe")
    if not os.access(Path.cwd(), os.W_OK):
        return Finding(part="disk", state=ABSENT, told=f"{told}, which may not be written to: give --out")
    return Finding(part="disk", state=GOOD, told=told)


def _loopback() -> Finding:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("127.0.0.1", 0))
    except OSError as error:
        return Finding(part="loopback", state=BROKEN, told=f"nodes cannot open UDP on 127.0.0.1: {error}")
    return Finding(part="loopback", state=GOOD, told="nodes can open UDP on 127.0.0.1")


def _kernel() -> Finding:
    if "ipykernel" in installed(["ipykernel"]):
        return Finding(part="notebooks", state=GOOD, told="kernel python3 of this Python (make lab)")
    return Finding(part="notebooks", state=ABSENT, told="no Jupyter kernel: pip install 'meshsim[lab]'")


def _browser() -> Finding:
    found = _found_browser()
    if found is None:
        told = "no Chromium on the path: pictures of pages (meshsim view --picture) and the tests that look at them"
        return Finding(part="browser", state=ABSENT, told=told)
    return _answering("browser", [found, "--version"], lambda told: f"{told.strip()}, {found}")


def _found_browser() -> str | None:
    try:
        from meshsim.lab.view.browser import find_browser
    except ModuleNotFoundError:  # without the lab nothing would use it
        return None
    return find_browser()


def _namespaces() -> Finding:
    unshare = shutil.which("unshare")
    if unshare is None:
        return Finding(part="namespaces", state=ABSENT, told="no unshare here: network namespaces cannot be made")
    as_root = os.geteuid() == 0
    who = "as root" if as_root else "by user namespaces"
    words = [unshare, *([] if as_root else ["--map-root-user"]), "--net", "true"]
    return _answering("namespaces", words, lambda _: f"network namespaces can be made, {who}", fault=ABSENT)


def _answering(part: str, words: list[str], told: Callable[[str], str], *, fault: str = BROKEN) -> Finding:
    """What a program of the machine answers, or that it does not."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - found on the path
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(part=part, state=fault, told=str(error))
    return Finding(part=part, state=GOOD, told=told(done.stdout))


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # elsewhere than on Linux
        return ""
    return f", {total / 1e9:.1f} GB of memory"
