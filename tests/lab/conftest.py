from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.lab.run import Result, run

SHORT = ("duration=60s", "warmup=5s", "calls.rate=0.5", "control.mode=modelled")


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A minute of the preset `smoke`."""
    return run("smoke", seed=3, overrides=SHORT, policy="shortest", out=tmp_path_factory.mktemp("lab") / "run")


@pytest.fixture
def small() -> tuple[str, ...]:
    """Overrides that make the preset `smoke` a matter of a second."""
    return SHORT


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    """A folder with one experiment of two policies and two seeds."""
    folder = tmp_path / "experiments" / "07_tiny_question"
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(
        "question: Does it matter?\n"
        "scenario: smoke\n"
        "policies: [direct, shortest]\n"
        "seeds: [1, 2]\n"
        f"overrides: [{', '.join(SHORT)}]\n"
        "compare:\n"
        "  - {better: shortest, worse: direct}\n",
        encoding="utf-8",
    )
    return folder.parent
