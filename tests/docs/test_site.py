"""The site builds without warnings, and a reader without network misses nothing of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.full

LOADED = re.compile(r"<(?:script|img|iframe|source)[^>]*\ssrc=\"(https?:)?//|<link[^>]*\shref=\"(https?:)?//")
IN_STYLES = re.compile(r"(?:@import|url\()\s*[\"']?(https?:)?//")


@pytest.fixture(scope="module")
def site(root: Path) -> Path:
    done = subprocess.run(["make", "docs"], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "docs" / "_build" / "html"


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    assert [str(page) for page in pages if LOADED.search(page.read_text(encoding="utf-8"))] == []


def test_styles_load_nothing_from_elsewhere(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    assert [str(style) for style in styles if IN_STYLES.search(style.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", ["cli", "config", "trace", "api-routing"])
def test_the_reference_is_written_by_the_code(site: Path, page: str) -> None:
    text = (site / "docs" / "generated" / f"{page}.html").read_text(encoding="utf-8")
    said = {
        "cli": "meshsim run",
        "config": "session_mean",
        "trace": "poor",
        "api-routing": "RoutingEngine",
    }
    assert said[page] in text
