from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meshsim.learn.config import Data, Episodes, Optimisation, TrainConfig
from meshsim.learn.dataset import Dataset, load
from meshsim.learn.fit import Fit, fit

if TYPE_CHECKING:
    from types import ModuleType


def _synthetic() -> ModuleType:
    spec = importlib.util.spec_from_file_location("learn_synthetic", Path(__file__).with_name("synthetic.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def small_config(**optimisation: Any) -> TrainConfig:
    episodes = {
        split: (Episodes(scenario="synthetic", seeds=(seed,)),)
        for seed, split in enumerate(("train", "calibration", "validation"))
    }
    return TrainConfig(
        data=Data(**episodes), optimisation=Optimisation(**{"epochs": 12, "learning_rate": 4e-3, **optimisation})
    )


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    return _synthetic()


@pytest.fixture(scope="session")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    root = tmp_path_factory.mktemp("learn")
    write = _synthetic().write_trace
    return {seed: write(root / str(seed), seed=seed, calls=60) for seed in range(1, 8)}


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    return small_config()


@pytest.fixture(scope="session")
def training(traces: dict[int, Path]) -> Dataset:
    return load([traces[seed] for seed in (1, 2, 3, 4)])


@pytest.fixture(scope="session")
def held_out(traces: dict[int, Path]) -> Dataset:
    return load([traces[5], traces[6]], use="validate")


@pytest.fixture(scope="session")
def fitted(config: TrainConfig, training: Dataset, held_out: Dataset) -> Fit:
    return fit(config, training, held_out)
