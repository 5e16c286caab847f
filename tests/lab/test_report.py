from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from meshsim.lab import figures
from meshsim.lab.report import Report, Section, Table, picture, render, write
from meshsim.measure.stats import Interval

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
        failures=["direct, seed 1: it <broke>"],
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
    assert re.search(r"<b>held</b> &nbsp;learned beats shortest", text)
    assert re.search(r'class="missed"><b>missed</b> &nbsp;and costs nothing', text)


def test_a_report_can_be_read_in_the_dark_on_paper_and_on_a_phone() -> None:
    text = render(example())
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text
    assert '<html lang="en">' in text


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
