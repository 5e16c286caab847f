"""A fit that was cut off goes on as if it had not been, and several processes fit what one fits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from meshsim.learn.batch import batches_of, join
from meshsim.learn.course import FILE, Course, Crew, Epoch, How, identity
from meshsim.learn.dataset import load
from meshsim.learn.digest import digest_of
from meshsim.learn.fit import fit, run_epochs, settled
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from meshsim.learn.config import TrainConfig
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.fit import Fit


class CutOffError(Exception):
    """What comes between two epochs."""


@pytest.fixture
def short(config: TrainConfig) -> TrainConfig:
    return config.model_copy(update={"optimisation": config.optimisation.model_copy(update={"epochs": 3})})


def cut_after(number: int) -> How:
    def told(epoch: Epoch) -> None:
        if epoch.number == number:
            raise CutOffError

    return How(told=told)


def same(one: Fit, other: Fit) -> bool:
    pairs = zip(one.scorer.state_dict().values(), other.scorer.state_dict().values(), strict=True)
    return one.history == other.history and all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("after", [1, 2])
def test_a_fit_that_was_cut_off_ends_as_if_it_had_not_been(
    short: TrainConfig, training: Dataset, held_out: Dataset, tmp_path: Path, after: int
) -> None:
    whole = fit(short, training, held_out)
    with pytest.raises(CutOffError):
        fit(short, training, held_out, how=replace(cut_after(after), checkpoint=tmp_path))
    told: list[int] = []
    how = How(checkpoint=tmp_path, told=lambda epoch: told.append(epoch.number))
    assert same(fit(short, training, held_out, how=how), whole)
    assert told == list(range(after + 1, 4))
    assert same(fit(short, training, held_out, how=how), whole)  # what is done is not done again
    assert len(told) == 3 - after


def test_half_a_checkpoint_is_never_read(
    short: TrainConfig, training: Dataset, held_out: Dataset, tmp_path: Path
) -> None:
    (tmp_path / f"{FILE}.part").write_bytes(b"half of")
    fit(short, training, held_out, how=How(checkpoint=tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {FILE}


def test_a_checkpoint_of_another_training_is_refused(
    short: TrainConfig, training: Dataset, held_out: Dataset, tmp_path: Path
) -> None:
    fit(short, training, held_out, how=How(checkpoint=tmp_path))
    with pytest.raises(ConfigError, match="another configuration, other data"):
        fit(short.model_copy(update={"seed": 9}), training, held_out, how=How(checkpoint=tmp_path))
    with pytest.raises(ConfigError, match="another configuration, other data"):
        fit(short, held_out, held_out, how=How(checkpoint=tmp_path))
    (tmp_path / FILE).write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="not a checkpoint"):
        fit(short, training, held_out, how=How(checkpoint=tmp_path))


def test_a_digest_tells_data_apart_and_nothing_else(training: Dataset, held_out: Dataset) -> None:
    assert digest_of(training) == digest_of(replace(training, runs=training.runs[:1]))
    assert digest_of(training) != digest_of(held_out)
    first = training.examples[0]
    loss = first.labels.loss.copy()
    loss[0] = np.nextafter(loss[0], 1.0)
    changed = replace(first, labels=replace(first.labels, loss=loss))
    assert digest_of(replace(training, examples=(changed, *training.examples[1:]))) != digest_of(training)


def test_one_seed_gives_one_digest_and_another_seed_another(
    synthetic: ModuleType, traces: dict[int, Path], tmp_path: Path
) -> None:
    again = synthetic.write_trace(tmp_path / "again", seed=1, calls=60)
    assert digest_of(load([again])) == digest_of(load([traces[1]]))
    assert digest_of(load([traces[2]])) != digest_of(load([traces[1]]))


@pytest.mark.full
def test_two_processes_fit_what_one_makes_of_the_same_parts(
    short: TrainConfig, training: Dataset, held_out: Dataset
) -> None:
    with settled(short.seed, short.optimisation.threads):
        alone = run_epochs(
            short, batches_of(training), join(batches_of(held_out)), Course(), How(), Crew(parts=2, mine=(0, 1))
        )
    told: list[int] = []
    together = fit(short, training, held_out, how=How(processes=2, told=lambda epoch: told.append(epoch.number)))
    assert told == [1, 2, 3]
    assert together.best == alone.best
    for name, value in together.scorer.state_dict().items():
        torch.testing.assert_close(value, alone.scorer.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)
    assert together.history[-1].train < together.history[0].train


@pytest.mark.full
def test_what_two_processes_have_done_is_not_done_again(
    short: TrainConfig, training: Dataset, held_out: Dataset, tmp_path: Path
) -> None:
    told: list[int] = []
    how = How(processes=2, checkpoint=tmp_path, told=lambda epoch: told.append(epoch.number))
    first = fit(short, training, held_out, how=how)
    assert same(fit(short, training, held_out, how=how), first)
    assert told == [1, 2, 3]
    with pytest.raises(ConfigError, match="number of processes"):
        fit(short, training, held_out, how=How(checkpoint=tmp_path))


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (How(device="tpu"), "no device 'tpu'"),
        (How(processes=0), "not a number of processes"),
    ],
)
def test_what_this_machine_cannot_do_is_refused(
    short: TrainConfig, training: Dataset, held_out: Dataset, how: How, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        fit(short, training, held_out, how=how)


def test_a_cuda_device_is_asked_for_only_where_there_is_one(
    short: TrainConfig, training: Dataset, held_out: Dataset
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ConfigError, match="no CUDA device"):
        fit(short, training, held_out, how=How(device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_cuda_device_fits_as_the_cpu_does(short: TrainConfig, training: Dataset, held_out: Dataset) -> None:
    ours, theirs = (fit(short, training, held_out, how=How(device=device)) for device in ("cpu", "cuda"))
    assert theirs.history[-1].validation == pytest.approx(ours.history[-1].validation, rel=0.05)


def test_the_identity_names_what_decides_the_result(short: TrainConfig, training: Dataset, held_out: Dataset) -> None:
    whole = identity(short, training, held_out, 1)
    assert whole == identity(short, training, held_out, 1)
    assert whole != identity(short, training, held_out, 2)
