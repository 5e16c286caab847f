from __future__ import annotations

from pathlib import Path

from meshsim.lab.training import episodes
from meshsim.learn.config import Wanted
from meshsim.measure.trace import Trace, trace_sha256


def test_wanted_episodes_are_simulated_each_into_its_split(tmp_path: Path) -> None:
    short = ("duration=20s",)
    wanted = [
        Wanted("train", "tiny", 1, short),
        Wanted("validation", "tiny", 2, short),
        Wanted("train", "tiny", 3, short),
    ]
    done: list[float] = []
    traces = episodes(wanted, tmp_path, done.append)
    assert {split: len(paths) for split, paths in traces.items()} == {"train": 2, "validation": 1}
    assert [Trace(path).header["seed"] for path in traces["train"]] == [1, 3]
    assert len({trace_sha256(path) for paths in traces.values() for path in paths}) == 3
    assert done == [1 / 3, 2 / 3, 1.0]
