"""One HTML file that needs nothing else: verdicts, tables with intervals, inline SVG, provenance, the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from meshsim.lab import figures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows for people: text that is ready to read.

    Attributes:
        columns: Headings; the first column names the row.
        rows: As many cells as there are columns.
        caption: What it shows, where the section does not say it.
        words: How many columns, from the left, hold words; the rest are numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a report.

    Attributes:
        title: A statement or a question.
        text: Paragraphs.
        tables: Shown first.
        pictures: SVG texts with what they show, for those who cannot see them.
    """

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report says.

    Attributes:
        title: Of the whole.
        lead: One or two sentences: what was done.
        verdicts: Statements with whether they held.
        sections: In order.
        provenance: Name and value of what one must know to repeat it.
        command: The command that makes this report again.
    """

    title: str
    lead: str
    verdicts: Sequence[tuple[bool, str]] = ()
    sections: Sequence[Section] = ()
    provenance: Sequence[tuple[str, str]] = ()
    command: str = ""
    failures: Sequence[str] = field(default=())


def picture(figure: Figure, text: str) -> tuple[str, str]:
    """A figure as inline SVG, with its description."""
    return Markup(figures.svg(figure)), text  # noqa: S704 - our own SVG, not a person's text


def render(report: Report) -> str:
    """The report as one HTML text without any reference outside itself."""
    environment = Environment(
        loader=PackageLoader("meshsim.lab"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(report=report)


def write(report: Report, path: Path) -> Path:
    """Renders to `path`; a reader never sees half a report."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(render(report), encoding="utf-8")
    return beside.replace(path)
