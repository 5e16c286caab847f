"""Frames a second of the page of a run while somebody drags it, in headless Chromium: `python benchmarks/view.py RUN`.

A frame counts when the middle row of the picture differs from the one before.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path

from meshsim.lab.view import view
from meshsim.lab.view.browser import Browser

SECONDS = 5.0
"""Of dragging."""

COUNTER = """(() => {
  const told = window.told = { frames: 0, differ: 0, last: null };
  const canvas = document.getElementById("picture");
  const look = () => {
    const row = canvas.getContext("2d").getImageData(0, canvas.height >> 1, canvas.width, 1).data;
    let sum = 0;
    for (const value of row) sum = (sum * 31 + value) | 0;
    told.frames += 1;
    if (sum !== told.last) { told.differ += 1; told.last = sum; }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()"""


def main(folder: Path) -> dict[str, float]:
    """Drags the page of a run in circles and counts."""
    with tempfile.TemporaryDirectory() as place, Browser(1280, 800) as browser:
        page = Path(place) / "view.html"
        view(folder).save(page)
        browser.open(page)
        browser.run(COUNTER)
        browser.mouse("mousePressed", 600, 400, button="left", buttons=1, clickCount=1)
        began = time.monotonic()
        while (now := time.monotonic() - began) < SECONDS:
            turn = 2.0 * now
            x, y = 600 + 200 * math.sin(turn), 400 + 100 * math.cos(turn)
            browser.mouse("mouseMoved", x, y, button="left", buttons=1)
        told = browser.run("window.told")
        return {
            "bytes": page.stat().st_size,
            "frames_per_second": told["frames"] / now,
            "differing_frames_per_second": told["differ"] / now,
        }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
