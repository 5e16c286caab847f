"""What the how-tos show is run: every Python block of a page, in order, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted([*DOCS.glob("howto-*.md"), DOCS / "getting-started.md", DOCS / "embed.md"])


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def files(page: Path) -> list[tuple[str, str]]:
    """The blocks that a page says are files: name and text."""
    named = r"^`(\w+\.py)`:\n\n```python\n(.*?)^```"
    return re.findall(named, page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.full
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("\n".join(blocks(page)), encoding="utf-8")
    for name, text in files(page):
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_how_to_stands_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"^(howto-\S+)$", (DOCS / "howto.md").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert listed == {page.stem for page in DOCS.glob("howto-*.md")}


def test_every_page_of_docs_is_within_reach_of_the_index() -> None:
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    toctrees = re.compile(r"^```\{toctree\}\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
    texts = [page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")]
    listed = {line for text in texts for tree in toctrees.findall(text) for line in tree.split()}
    assert pages <= listed
