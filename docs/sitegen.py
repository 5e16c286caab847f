"""Writes the reference from what the code says of itself, before Sphinx reads it: one truth, never committed."""

from __future__ import annotations

import importlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshsim.cli.app import VERBS, app
from meshsim.measure.records import SCHEMA_VERSION, TABLES
from meshsim.scenario import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils.nodes import document
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGES = HERE / "generated"
PACKAGES = (
    "mesh",
    "links",
    "measure",
    "trust",
    "identity",
    "scenario",
    "routing",
    "routing.policies",
    "routing.protocols",
    "agent",
    "agent.adversary",
    "control",
    "node",
    "learn",
    "sim",
    "lab",
    "testing",
)


SCENARIO = """Every key that a scenario may have, from `meshsim config schema`. Keys that a table does not know are
refused, with the nearest one that it knows. Try `meshsim config show demo`."""

TRACE = f"""A trace is a folder of Parquet files with these tables (schema version {SCHEMA_VERSION}). Times are int64
nanoseconds since the episode's start, nodes and links are rows of `nodes` and `links`; other units stand in the
names."""


def setup(site: Sphinx) -> dict[str, Any]:
    """Tells Sphinx when to write the pages, how docstrings and links read, and that builds may be parallel."""
    site.connect("builder-inited", lambda _: write_pages())
    site.connect("autodoc-process-docstring", tidy, priority=100)
    site.connect("doctree-read", settle_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_pages() -> None:
    """Writes the pages anew where they changed, so that a second build reads only what is new."""
    PAGES.mkdir(exist_ok=True)
    pages = {"cli": cli(), "config": config(), "trace": trace(), "api": api_index()}
    pages |= {f"api-{name.replace('.', '-')}": api(name) for name in PACKAGES}
    for name, text in pages.items():
        path = PAGES / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def cli() -> str:
    """Every verb's help, as it is printed."""
    parts = ["# The command line", "What `meshsim COMMAND --help` prints, for every verb.", *_help(app, ["meshsim"])]
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, words: list[str]) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(words), max_content_width=100, terminal_width=100)
    yield f"## {' '.join(words)}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for name in sorted(VERBS) if command is app else command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _help(below, [*words, name])


def config() -> str:
    """Every key of a scenario file, a table for each part of it."""
    schema = json_schema()
    parts = [
        "# The scenario file",
        SCENARIO,
        _fields("The file", schema),
        *(_fields(name, part) for name, part in sorted(schema.get("$defs", {}).items())),
    ]
    return "\n\n".join(parts) + "\n"


def _fields(title: str, part: dict[str, Any]) -> str:
    lines = [f"(scenario-{title.lower()})=", f"## {title}", "", _inline(part.get("description", "")), ""]
    if "properties" in part:
        lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
        for key, field in part["properties"].items():
            default = f"`{json.dumps(field['default'])}`" if "default" in field else "required"
            lines.append(f"| `{key}` | {_kind(field)} | {_cell(default)} | {_inline(field.get('description', ''))} |")
    else:
        lines.append(_kind(part))
    return "\n".join(lines)


def _kind(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#scenario-{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in field:
            return " or ".join(dict.fromkeys(_kind(each) for each in field[several]))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}))}"
    return str(field.get("type", "any"))


def trace() -> str:
    """Every table and column of a trace."""
    parts = [
        "# The trace",
        TRACE,
    ]
    for name, columns in TABLES.items():
        rows = [f"| `{column.name}` | `{column.type}` | {_inline(column.text)} |" for column in columns]
        parts.append("\n".join([f"## {name}", "", "| column | type | what it holds |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def api_index() -> str:
    """The table of contents of the public packages, lowest layer first."""
    names = "\n".join(f"api-{name.replace('.', '-')}" for name in PACKAGES)
    return (
        "# The API\n\nThe names that each package exports, lowest layer first. At the top, "
        "`import meshsim as ms` gives `ms.run`, `ms.load_scenario`, `ms.Result` and `ms.RoutingEngine`.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n"
    )


def api(name: str) -> str:
    """What one package exports: signatures and docstrings."""
    module = importlib.import_module(f"meshsim.{name}")
    first = _inline((module.__doc__ or "").split("\n\n", maxsplit=1)[0])
    parts = [f"# meshsim.{name}", first]
    parts += [_entry(f"meshsim.{name}", word, getattr(module, word)) for word in module.__all__]
    return "\n\n".join(part for part in parts if part) + "\n"


def _entry(module: str, word: str, value: object) -> str:
    if not callable(value):
        return f"```{{eval-rst}}\n.. py:data:: {module}.{word}\n```"  # its docstring would be that of its type
    kind, members = ("autoclass", "\n   :members:") if isinstance(value, type) else ("autofunction", "")
    return f"```{{eval-rst}}\n.. {kind}:: {module}.{word}{members}\n```"


def _inline(text: str) -> str:
    return _cell(" ".join(text.split()))


def _cell(text: str) -> str:
    if "`" not in text:
        text = text.replace("<", "&lt;").replace("*", "\\*")
    return text.replace("|", "\\|")


def tidy(_site: Sphinx, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Puts in order what plain docstrings may do and reStructuredText may not: stars and bars outside of `code`."""
    lines[:] = [_escaped(line) for line in lines]


def _escaped(line: str) -> str:
    pieces = re.split(r"(`[^`]*`)", line)
    return "".join(piece if piece.startswith("`") else re.sub(r"([*|]|_\b)", r"\\\1", piece) for piece in pieces)


def settle_links(site: Sphinx, page: document) -> None:
    """Links to folders and files of the repository that are no pages show their path as text."""
    from docutils import nodes  # noqa: PLC0415 - only while Sphinx runs
    from sphinx import addnodes  # noqa: PLC0415 - the same

    here = ROOT / Path(site.env.docname).parent
    for link in list(page.findall(addnodes.pending_xref)):
        target = link.get("reftarget", "").partition("#")[0]
        path = Path(os.path.normpath(here / target)) if target else HERE
        if target and path.exists() and not _is_page(site, path):
            link.replace_self(nodes.inline("", "", *link.children))


def _is_page(site: Sphinx, path: Path) -> bool:
    return site.env.path2doc(str(path)) in site.env.found_docs
