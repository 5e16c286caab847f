"""How a fit runs: on what device, in how many processes, who is told of each epoch, and where it can go on later."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from meshsim.learn.digest import digest_of
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.learn.config import TrainConfig
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.gnn import RouteScorer

FILE = "fit.pt"
DEVICES = ("cpu", "cuda")
MOST_PROCESSES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one pass over the training episodes came to.

    Attributes:
        number: From 1.
        train: Mean training loss.
        validation: Utility that the scorer's choices forgo on the validation calls.
        poor: Share of validation calls that would have been poor by the scorer's choice.
    """

    number: int
    train: float
    validation: float
    poor: float


@dataclass(slots=True, kw_only=True)
class State:
    """Where a fit stands between two epochs: all that the next one depends on.

    Attributes:
        scorer, optimiser, schedule: As the last epoch left them.
        generator: Of shuffles and disguises; what embeddings are left out is drawn by torch's own.
        history: Every epoch so far.
        best: Number of the epoch to keep; 0 before the first.
        kept: Its parameters.
    """

    scorer: RouteScorer
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator
    history: list[Epoch] = field(default_factory=list)
    best: int = 0
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What a fit runs on.

    Attributes:
        device: One of `DEVICES`.
        processes: That share each step, on this machine.
        checkpoint: Folder in which each epoch is kept, and from which a training that was cut off goes on.
        told: Called with each epoch.
    """

    device: str = "cpu"
    processes: int = 1
    checkpoint: Path | None = None
    told: Callable[[Epoch], None] | None = None

    def check(self, kind: str = "graph") -> None:
        """Raises ConfigError if this machine cannot do it, or not for a model of that kind."""
        if kind == "trees" and (self.processes, self.device) != (1, "cpu"):
            raise ConfigError("trees are grown by one process on the CPU", key="model.kind")
        if self.device not in DEVICES:
            raise ConfigError(f"no device {self.device!r}", key="device", allowed=DEVICES)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("there is no CUDA device here, or torch was built without CUDA", key="device")
        if not 1 <= self.processes <= MOST_PROCESSES:
            raise ConfigError(f"not a number of processes: {self.processes}", key="processes", allowed=("1 to 64",))
        if self.processes > 1 and self.device != "cpu":
            raise ConfigError("several processes train on the CPU alone", key="processes")


def identity(config: TrainConfig, train: Dataset, validation: Dataset, processes: int) -> str:
    """What a checkpoint belongs to: sha256 of configuration, data and number of processes, hexadecimal."""
    said = (config.model_dump_json(), digest_of(train), digest_of(validation), str(processes))
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Keeper:
    """A checkpoint: one file, replaced after each epoch by an atomic rename.

    Attributes:
        folder: Where it is.
        belongs: Of `identity`.
    """

    folder: Path
    belongs: str

    def save(self, state: State) -> None:
        """Keeps `state` in place of what was kept before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f"{FILE}.part"
        with draft.open("wb") as file:
            torch.save(self._packed(state), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / FILE)

    def read(self) -> dict[str, Any] | None:
        """What is kept; None if nothing is.

        Raises:
            ConfigError: If it is of another training, or cannot be read.
        """
        path = self.folder / FILE
        if not path.is_file():
            return None
        try:
            packed: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
            belongs = packed["belongs"]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError):
            raise ConfigError("not a checkpoint of a training", file=str(path)) from None
        if belongs != self.belongs:
            raise ConfigError(
                "the checkpoint is of another configuration, other data or another number of processes", file=str(path)
            )
        return packed

    def restore(self, state: State) -> None:
        """Puts `state` where the checkpoint stands; nothing happens without one.

        Raises:
            ConfigError: As for `read`.
        """
        packed = self.read()
        if packed is None:
            return
        for name in ("scorer", "optimiser", "schedule"):
            getattr(state, name).load_state_dict(packed[name])
        state.generator.set_state(packed["generator"])
        torch.set_rng_state(packed["random"])
        state.history = [Epoch(**one) for one in packed["history"]]
        state.best, state.kept = packed["best"], packed["kept"]

    def _packed(self, state: State) -> dict[str, Any]:
        return {
            "belongs": self.belongs,
            **{name: getattr(state, name).state_dict() for name in ("scorer", "optimiser", "schedule")},
            "generator": state.generator.get_state(),
            "random": torch.get_rng_state(),
            "history": [asdict(epoch) for epoch in state.history],
            "best": state.best,
            "kept": state.kept,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Who hears of each epoch.

    Attributes:
        progress: Called with the share done, in [0, 1].
        told: Called with the epoch.
        keeper: Keeps the state; may be one that only goes on from there.
        saves: Whether it does: of several processes only one.
    """

    progress: Callable[[float], None] | None = None
    told: Callable[[Epoch], None] | None = None
    keeper: Keeper | None = None
    saves: bool = True

    def keep(self, state: State) -> None:
        """Keeps the state, where it is to be kept."""
        if self.keeper is not None and self.saves:
            self.keeper.save(state)

    def tell(self, epoch: Epoch, of: int) -> None:
        """Tells of an epoch, one of `of`."""
        if self.told is not None:
            self.told(epoch)
        if self.progress is not None:
            self.progress(epoch.number / of)


@dataclass(frozen=True, slots=True)
class Crew:
    """Which parts of each step this process computes.

    Attributes:
        parts: How many there are.
        mine: Those that are this process's.
    """

    parts: int = 1
    mine: tuple[int, ...] = (0,)

    def generator(self, state: State, step: int, part: int) -> torch.Generator:
        """What a part's noise is drawn from: the same whoever computes it."""
        if self.parts == 1:
            return state.generator
        said = f"{state.generator.initial_seed()} {len(state.history)} {step} {part}"
        number = int.from_bytes(hashlib.blake2b(said.encode(), digest_size=7).digest())
        torch.manual_seed(number)
        return torch.Generator().manual_seed(number)

    def add_up(self, scorer: RouteScorer, spent: float) -> float:
        """Adds other processes' gradients to those of `scorer`, and their losses to `spent`."""
        del scorer
        return spent
