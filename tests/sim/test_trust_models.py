"""Every reputation model runs in an episode, decides as any other would, and is saved with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshsim.sim import begin
from meshsim.sim.checkpoint import checkpoint, resume
from meshsim.trust import models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshsim.scenario import Plan

ASKING = [name for name in models if name not in {"additive", "beta"}]  # which stand in all other tests


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "meritrank" else pytest.mark.full) for name in ASKING]
)
def test_an_episode_with_any_model_goes_on_from_a_checkpoint_to_the_identical_trace(
    name: str, small: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = small(1, duration=60.0, trust={"model": name})
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "cut")
    while episode.env.now < 30.0:
        episode.env.step()
    checkpoint(episode)
    assert resume(tmp_path / "cut").finish().trace_sha256 == whole.trace_sha256
