"""From simulated episodes to a whole artefact: load, fit, calibrate, export, evaluate, write the card."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.learn.boosting import grow
from meshsim.learn.calibrate import calibrate
from meshsim.learn.card import card_text, untested
from meshsim.learn.config import SPLITS, USES, TrainConfig, Trees, load_config
from meshsim.learn.dataset import Dataset, load
from meshsim.learn.digest import digest_of
from meshsim.learn.evaluate import OpenLoop, evaluate_dataset
from meshsim.learn.export import export
from meshsim.learn.fit import fit
from meshsim.routing.policies import Learned, Policy, make

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meshsim.learn.config import Split
    from meshsim.learn.course import Epoch, How

BASELINES = ("direct", "shortest", "weighted")
"""What the card compares the scorer with, on the same calls."""

LEARNED = "learned"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A trained and exported scorer.

    Attributes:
        folder: The artefact.
        parity: Largest absolute difference between torch and ONNX.
        history: Every epoch.
        best: Number of the epoch that was kept.
        calls: Calls of each split.
        topologies: Graphs of each split.
        digests: sha256 of each split's examples, hexadecimal.
        report: Open-loop results by scenario, of the episodes under `data.report`.
    """

    folder: Path
    parity: float
    history: tuple[Epoch, ...]
    best: int
    calls: dict[str, int]
    topologies: dict[str, tuple[str, ...]]
    digests: dict[str, str]
    report: dict[str, OpenLoop]

    def summary(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "model": str(self.folder),
            "onnx_parity_max_abs": self.parity,
            "epochs": len(self.history),
            "best_epoch": self.best,
            "calls": self.calls,
            "topologies": {split: list(names) for split, names in self.topologies.items()},
            "data_sha256": self.digests,
            "report": {scenario: result.rows() for scenario, result in self.report.items()},
        }


def train(
    config: TrainConfig | Path,
    *,
    traces: Mapping[Split, Sequence[Path]],
    out: Path,
    progress: Callable[[float], None] | None = None,
    how: How | None = None,
) -> TrainResult:
    """Trains a scorer and writes its artefact.

    Args:
        config: What to do, or the YAML file that says so.
        traces: The episodes of each split, simulated as `config.wanted()` lists them.
        out: The artefact's folder.
        progress: Called with the share done, in [0, 1].
        how: On what it is fitted and what is kept on the way; of trees, only their episodes are.

    Raises:
        ConfigError: If the configuration is wrong, a split is empty, or this machine cannot do it so.
        TraceError: If a graph must not be used so.
    """
    plan = config if isinstance(config, TrainConfig) else load_config(config)
    if how is not None:
        how.check(plan.model.kind)
    thinned = {"train": plan.data.every}
    data = {split: load(traces.get(split, ()), use=USES[split], every=thinned.get(split, 1)) for split in SPLITS}
    if isinstance(plan.model, Trees):
        fitted = grow(plan, data["train"], data["validation"], progress)
    else:
        fitted = fit(plan, data["train"], data["validation"], progress, how)
    calibration = calibrate(fitted.scorer, data["calibration"], threads=plan.optimisation.threads)
    parts = _by_scenario(data["report"])
    with tempfile.TemporaryDirectory() as draft:  # the card stands in the artefact and tells what the artefact does
        export(fitted.scorer, calibration, untested(plan), Path(draft))
        report = {scenario: report_on(part, Learned(Path(draft))) for scenario, part in parts.items()}
    calls = {str(split): len(part) for split, part in data.items()}
    topologies = {str(split): part.topologies for split, part in data.items()}
    digests = {str(split): digest_of(part) for split, part in data.items()}
    card = card_text(plan, fitted, calls, topologies, report, digests)
    parity = export(fitted.scorer, calibration, card, Path(out))
    return TrainResult(
        folder=Path(out),
        parity=parity,
        history=fitted.history,
        best=fitted.best,
        calls=calls,
        topologies=topologies,
        digests=digests,
        report=report,
    )


def report_on(dataset: Dataset, learned: Policy) -> OpenLoop:
    """`learned` beside the baselines on the same calls."""
    return evaluate_dataset(dataset, {**{name: make(name) for name in BASELINES}, LEARNED: learned})


def _by_scenario(dataset: Dataset) -> dict[str, Dataset]:
    """The examples of each scenario, runs and views as they were numbered."""
    names = dict.fromkeys(run.scenario for run in dataset.runs)
    return {
        name: Dataset(
            runs=dataset.runs,
            views=dataset.views,
            examples=tuple(example for example in dataset.examples if dataset.runs[example.run].scenario == name),
        )
        for name in names
    }
