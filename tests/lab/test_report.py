from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from meshsim.lab import figures
from meshsim.lab.figures import style
from meshsim.lab.report import Failure, Report, Section, Table, picture, render, write
from meshsim.measure.stats import Interval
from meshsim.mesh.errors import ConfigError

VOID = {"meta", "link", "br", "img", "hr", "input"}


def example() -> Report:
    drawn = picture(figures.poor_rates({"direct": Interval(0.3, 0.2, 0.4)}), 'Poor calls of "direct"')
    table = Table(columns=["policy", "poor"], rows=[["<b>direct</b>", "30 [20, 40]"]])
    return Report(
        title="A & B",
        lead="What was done <script>alert(1)</script>",
        verdicts=[(True, "learned beats shortest"), (False, "and costs nothing")],
        sections=[Section(title="Is 1 < 2?", text=["One.", "Two."], tables=[table], pictures=[drawn])],
        provenance=[("seed", "1"), ("trace_sha256", "abc")],
        command="meshsim exp run x --out 'a b'",
        failures=[
            Failure(what="direct, seed 1: it <broke>", command="meshsim run x --seed 1", detail="Traceback: <x>")
        ],
    )


class Balanced(HTMLParser):
    """Whether every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_a_report_needs_nothing_else() -> None:
    text = render(example())
    assert re.findall(r"<(?:link|script|img|iframe|object|embed)\b", text) == []
    assert re.findall(r'(?:src|href|action)\s*=\s*"(?!#)[^"]*"', text) == []
    assert "@import" not in text
    assert "url(http" not in text


def test_a_report_escapes_what_people_and_nodes_wrote() -> None:
    text = render(example())
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;direct&lt;/b&gt;" in text
    assert "it &lt;broke&gt;" in text
    assert "<title>A &amp; B</title>" in text
    assert 'aria-label="Poor calls of &#34;direct&#34;"' in text


def test_a_report_is_one_whole_document() -> None:
    parser = Balanced()
    parser.feed(render(example()))
    assert parser.wrong == []
    assert parser.open == []


def test_verdicts_say_in_words_whether_they_held() -> None:
    text = render(example())
    assert re.search(r'class="held"><b>held</b> &nbsp;learned beats shortest', text)
    assert re.search(r'class="missed"><b>missed</b> &nbsp;and costs nothing', text)


def test_a_report_can_be_read_in_the_dark_on_paper_and_on_a_phone() -> None:
    text = render(example())
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text
    assert '<html lang="en">' in text


def _brightness(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((_brightness(one), _brightness(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_all_words_stand_out_from_their_paper_by_day_and_by_night() -> None:
    themes = [
        dict(re.findall(r"--(\w+): (#\w{6})", css)) for css in re.findall(r":root \{([^}]*)\}", render(example()))
    ]
    assert len(themes) == 2
    for theme in themes:
        for words in ("ink", "muted", "good", "bad"):
            for paper in ("paper", "soft"):
                assert contrast(theme[words], theme[paper]) >= 4.5, (words, paper)


def test_pictures_can_be_seen_in_the_dark() -> None:
    paper = re.findall(r"--paper: (#\w{6})", render(example()))[1]
    drawn = {*style.COLOURS.values(), *style.CURVES, *style.ROLE_COLOURS, style.INK, style.MUTED}
    assert style.IN_THE_DARK["#ffffff"] == paper
    for colour in drawn:
        assert contrast(style.IN_THE_DARK.get(colour, colour), paper) >= 3.0, colour


class Outline(HTMLParser):
    """Levels of headings, ids, and what labels refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.named: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.levels += [int(tag[1])] if re.fullmatch(r"h[1-6]", tag) else []
        self.ids += [value for name, value in told.items() if name == "id" and value]
        self.named += [value for name, value in told.items() if name == "aria-labelledby" and value]
        self.named += [value[1:] for name, value in told.items() if name.endswith("href") and value]


def test_headings_are_in_order_and_every_id_is_there_once() -> None:
    plain = [Section(title=f"Part {n}") for n in range(3)]
    outline = Outline()
    outline.feed(render(replace(example(), sections=[*example().sections, *plain])))
    assert outline.levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(outline.levels))
    assert len(set(outline.ids)) == len(outline.ids)
    assert {"failures", "part-1", "part-4", "again"} <= set(outline.named) <= set(outline.ids)


def test_a_failure_comes_with_its_traceback_and_the_command_that_repeats_it() -> None:
    text = render(example())
    assert "<pre>meshsim run x --seed 1</pre>" in text
    assert "<details><summary>Traceback</summary><pre>Traceback: &lt;x&gt;</pre></details>" in text


def test_a_page_within_a_report_cannot_get_out_of_its_frame() -> None:
    page = ('<script>let a = "b"</script>', "The network")
    text = render(replace(example(), sections=[Section(title="Where", pages=[page])]))
    assert "<script>" not in text
    assert 'title="The network" sandbox="allow-scripts" srcdoc="&lt;script&gt;let a = &#34;b&#34;' in text


def test_a_report_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        write(example(), tmp_path / "nowhere" / "report.html")


def test_what_is_not_there_leaves_no_heading() -> None:
    text = render(Report(title="Bare", lead="Nothing."))
    assert "What failed" not in text
    assert "<ul" not in text
    assert "<pre>" not in text


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write(example(), tmp_path / "report.html")
    assert place.read_text(encoding="utf-8") == render(example())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    monkeypatch.setattr("meshsim.lab.report.PackageLoader", lambda _: None)
    with pytest.raises(TypeError):
        write(example(), tmp_path / "report.html")
    assert place.read_text(encoding="utf-8").endswith("</html>")
