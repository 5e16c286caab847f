from __future__ import annotations

import json
import re
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshsim.cli.app import FAILED, OK, main
from meshsim.lab.demo import FIRST_UNSEEN, demo
from meshsim.lab.suites import SUITES
from meshsim.learn.config import load_config
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshsim.learn.config import Wanted

ROOT = Path(__file__).parents[2]


def trained_on() -> Iterator[Wanted]:
    """Every episode that any scorer of the project was fitted, calibrated, stopped or reported on."""
    with as_file(files("meshsim.lab") / "demo.yaml") as path:
        yield from load_config(path).wanted()
    for config in sorted((ROOT / "models").glob("*/train.yaml")):
        yield from load_config(config).wanted()


def test_no_scorer_has_seen_an_episode_that_the_demo_or_a_suite_evaluates_on() -> None:
    seen = {(wanted.scenario, wanted.seed) for wanted in trained_on()}
    assert seen
    assert max(seed for _, seed in seen) < FIRST_UNSEEN
    for name in SUITES:
        assert seen.isdisjoint((case.scenario, seed) for case in SUITES[name].cases for seed in case.seeds)


def test_a_folder_that_is_not_a_demos_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a demo's"):
        demo(out=tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.full
def test_the_demo_goes_the_whole_road(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["demo", "--quick", "--json", "--out", str(tmp_path / "demo")])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == (OK if all(goal["pass"] for goal in told["goals"]) else FAILED)
    assert {"learned_minus_weighted_high", "real_run_valid"} <= {goal["goal"] for goal in told["goals"]}
    assert told["topology"] == load("demo").underlay.topology
    assert told["calls"] > 100
    rates = told["poor_call_rate"]
    assert set(rates) == {"direct", "shortest", "weighted", "learned", "committed", "oracle"}
    assert rates["oracle"]["mean"] <= rates["learned"]["mean"] < rates["shortest"]["mean"]
    assert set(told["closed_loop"]) >= {"learned", "shortest", "weighted"}
    assert told["onnx_parity_max_abs"] <= 1e-4
    assert told["scale"]["nodes"] >= 1000
    assert told["mesh"]["nodes"] >= 6
    call = told["mesh"]["call"]
    assert len(call["path"]) > 2
    assert call["path_after_failover"] != call["path"]
    assert call["audio_packets_received"] > 0
    assert told["failover"]["detect_ms"] > 0
    assert told["failover"]["gap_ms"] > 0
    assert told["twin"]["processes"] == 10
    assert {"twin_valid", "twin_same_path"} <= {goal["goal"] for goal in told["goals"]}
    assert told["reputation_events"] > 0
    report = Path(told["report"]).read_text(encoding="utf-8")
    assert "<svg" in report
    assert not re.search(r"""(src|href)\s*=\s*["']?http""", report)
