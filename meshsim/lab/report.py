"""One HTML file that needs nothing else: verdicts, tables with intervals, inline SVG, provenance, the command."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from meshsim.lab import figures
from meshsim.lab.figures.style import IN_THE_DARK
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

_MARKED = re.compile(r'(id="|href="#|url\(#)([^")]+)')
_NAME_BYTES = 4
_SLUG = re.compile(r"[^a-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows for people: text that is ready to read.

    Attributes:
        columns: Headings; the first column names the row.
        rows: As many cells as there are columns.
        caption: What it shows, where the section does not say it.
        words: How many columns, from the left, hold words; the rest are numbers.
        folded: Whether only its caption shows until somebody asks for more.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    words: int = 1
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of a report.

    Attributes:
        figure: As drawn.
        text: What it shows.
    """

    figure: Figure
    text: str

    @property
    def svg(self) -> Markup:
        """Inline SVG; its ids are its own, whatever stands beside it."""
        drawn = figures.svg(self.figure)
        own = hashlib.blake2b(drawn.encode(), digest_size=_NAME_BYTES).hexdigest()
        return Markup(_MARKED.sub(rf"\1f{own}-\2", drawn))  # noqa: S704 - our own SVG, not a person's text


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a report.

    Attributes:
        title: A statement or a question.
        text: Paragraphs.
        pictures: Figures with what they show.
        tables: Shown after the pictures.
        pages: Whole HTML pages to look into, with what they show; whoever lets no scripts run has the pictures.
    """

    title: str
    text: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    pages: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that did not come to an end.

    Attributes:
        what: In one line: which run, and why.
        command: The command that does it once more; empty where there is none.
        detail: The traceback; empty where there is none.
    """

    what: str
    command: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report says.

    Attributes:
        title: Of the whole.
        lead: One or two sentences: what was done.
        verdicts: Statements with whether they held; None where nothing was claimed.
        sections: In order.
        failures: What did not come to an end, shown before the sections.
        provenance: Name and value of what one must know to repeat it.
        command: The command that makes this report again.
    """

    title: str
    lead: str
    verdicts: Sequence[tuple[bool | None, str]] = ()
    sections: Sequence[Section] = ()
    failures: Sequence[Failure] = ()
    provenance: Sequence[tuple[str, str]] = ()
    command: str = ""


def picture(figure: Figure, text: str) -> Picture:
    """A figure with what it shows, for those who cannot see it."""
    return Picture(figure, text)


def save_pictures(report: Report, folder: Path, suffix: str) -> list[Path]:
    """Writes every picture of a report to a file of its own, as `figures.save` does; their files, in order.

    Args:
        report: Whose pictures.
        folder: Made where absent.
        suffix: `.svg`, `.pdf` or `.png`.

    Raises:
        ConfigError: If there is no such format, or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}", key="--figures") from error
    paths: list[Path] = []
    for one in (drawn for section in report.sections for drawn in section.pictures):
        slug = _SLUG.sub("-", one.text.lower()).strip("-")
        paths.append(folder / f"{len(paths) + 1:02}-{slug}{suffix}")
        figures.save(one.figure, paths[-1])
    return paths


def render(report: Report) -> str:
    """The report as one HTML text without any reference outside itself."""
    environment = Environment(
        loader=PackageLoader("meshsim.lab"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(report=report, in_the_dark=IN_THE_DARK)


def write(report: Report, path: Path) -> Path:
    """Renders to `path`; a reader never sees half a report.

    Raises:
        ConfigError: If it cannot be written there.
    """
    text = render(report)
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        return beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror}", key="--out") from error
