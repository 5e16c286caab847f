"""The names that Tab offers for an argument, found without importing what they name.

A person waits for each Tab, and the packages below take up to a second to import; here only folders and files are read.
A test holds each list to the real one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

_PACKAGE = Path(__file__).resolve().parent.parent
_REGISTERED = re.compile(r'^@(?:POLICIES|PROTOCOLS)\.register\("([^"]+)"\)', re.MULTILINE)
_GROUP = re.compile(r"^\[meshsim\.routing_(?:policy|protocol)\]$([^\[]*)", re.MULTILINE)


def scenarios(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Presets, or files where none begins so."""
    return _offered(presets(), incomplete, otherwise="file")


def policies(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Who can choose routes: policies, the oracle, protocols, plug-ins."""
    return _offered(choosers(), incomplete)


def experiments(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Slugs of the experiments below --root."""
    return _offered(slugs(Path(ctx.params.get("root") or "experiments")), incomplete)


def models(_ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Trained scorers, or folders where none begins so."""
    return _offered(scorers(), incomplete, otherwise="dir")


def presets() -> list[str]:
    """As `scenario.presets()`."""
    return sorted(file.stem for file in (_PACKAGE / "scenario" / "presets").glob("*.yaml"))


def choosers() -> list[str]:
    """As `lab.run.choosers()`, sorted."""
    texts = (file.read_text(encoding="utf-8") for file in (_PACKAGE / "routing").glob("p*/*.py"))
    return sorted({"oracle", *_plugged(), *(name for text in texts for name in _REGISTERED.findall(text))})


def slugs(root: Path) -> list[str]:
    """The experiments below `root`, as `meshsim exp` calls them."""
    folders = sorted(file.parent.name for file in root.glob("*/experiment.yaml"))
    return [name.partition("_")[2].replace("_", "-") for name in folders]


def scorers() -> list[str]:
    """As `routing.artefact.list_models()`."""
    shelves = (_PACKAGE.parent / "models", _PACKAGE / "_models")
    return sorted({file.parent.name for shelf in shelves for file in shelf.glob("*/manifest.json")})


def _plugged() -> Iterator[str]:
    """Policies and protocols of other packages; `importlib.metadata` would take as long as all the rest."""
    for folder in sys.path:
        for file in Path(folder).glob("*.dist-info/entry_points.txt"):
            for group in _GROUP.findall(file.read_text(encoding="utf-8")):
                yield from (line.partition("=")[0].strip() for line in group.splitlines() if "=" in line)


def _offered(names: Iterable[str], incomplete: str, *, otherwise: str | None = None) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    fitting = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return fitting or ([] if otherwise is None else [CompletionItem(incomplete, type=otherwise)])
