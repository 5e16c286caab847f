from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from meshsim.measure.stats import paired_difference


@pytest.mark.full
def test_what_the_page_says_to_type_runs_and_its_bandit_beats_chance_on_seeds_that_it_never_saw(root: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs" / "gym.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    last = [left_by(block) for block in blocks][-1]
    assert set(last["held_out"]).isdisjoint(range(1, 5))
    assert paired_difference(last["learnt"], last["chance"]).low > 0.1


def left_by(block: str) -> dict[str, Any]:
    """What a block leaves behind."""
    names: dict[str, Any] = {}
    exec(compile(block, "docs/gym.md", "exec"), names)  # noqa: S102 - our own page
    return names
