"""Several processes of this machine fit one scorer: each computes its part of every step, gradients are added.

Every process holds all data (mapped from one file, so that the machine holds them once) and draws the same shuffles;
the noise of a part depends on the part alone. The result is therefore what one process makes of the same parts.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from meshsim.learn.batch import Batch
from meshsim.learn.config import TrainConfig
from meshsim.learn.course import Course, Crew, Epoch, How
from meshsim.learn.fit import Fit, run_epochs, settled
from meshsim.learn.gnn import RouteScorer
from meshsim.mesh.errors import MeshSimError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from meshsim.learn.course import Keeper

_PATIENCE = dt.timedelta(minutes=10)
"""How long a process waits for the others' gradients."""
_DATA, _RESULT, _MEETING = "data.pt", "result.pt", "meeting"


@dataclass(frozen=True, slots=True)
class _Task:
    """What a member of the crew is given."""

    rank: int
    processes: int
    folder: Path
    config: str
    keeper: Keeper | None


class _Gathering(Crew):
    """A crew whose other parts are other processes'."""

    __slots__ = ()

    def add_up(self, scorer: RouteScorer, spent: float) -> float:
        """One sum over all gradients and the loss: a single message."""
        parameters = [one for one in scorer.parameters() if one.requires_grad]
        grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        flat = torch.cat([torch.tensor([spent]), *(grad.reshape(-1) for grad in grads)])
        dist.all_reduce(flat)
        places = torch.split(flat[1:], [grad.numel() for grad in grads])
        for parameter, summed in zip(parameters, places, strict=True):
            parameter.grad = summed.view_as(parameter).clone()
        return float(flat[0])


def fit_together(config: TrainConfig, views: Sequence[Batch], held_out: Batch, course: Course, processes: int) -> Fit:
    """Fits a scorer in several processes.

    Args:
        config: As for `fit.fit`.
        views: Of the training episodes, one batch each.
        held_out: All of the validation episodes.
        course: Who is told; the first process keeps the state.
        processes: How many.

    Raises:
        MeshSimError: If one of them ends before its time.
        ConfigError: If the checkpoint is of another training.
    """
    if course.keeper is not None:
        course.keeper.read()  # what is wrong with it is said here, in one voice
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="meshsim-fit-") as name:
        folder = Path(name)
        torch.save((list(views), held_out), folder / _DATA)
        hear, say = context.Pipe(duplex=False)
        said = config.model_dump_json()
        members = [
            context.Process(
                target=_member, args=(_Task(rank, processes, folder, said, course.keeper), say), daemon=True
            )
            for rank in range(processes)
        ]
        try:
            for member in members:
                member.start()
            say.close()
            _listen(hear, course, config.optimisation.epochs)
            for member in members:
                member.join()
        finally:
            for member in members:
                member.kill()
        if any(member.exitcode for member in members) or not (folder / _RESULT).is_file():
            codes = [member.exitcode for member in members]
            raise MeshSimError(f"a process of the training ended before its time: exit codes {codes}")
        result = torch.load(folder / _RESULT, weights_only=True)
    scorer = RouteScorer(config.model)  # type: ignore[arg-type]  # trees do not come here
    scorer.load_state_dict(result["scorer"])
    history = tuple(Epoch(**one) for one in result["history"])
    return Fit(scorer=scorer.eval(), history=history, best=result["best"])


def _listen(hear: Connection, course: Course, epochs: int) -> None:
    """Passes on what the first process says of its epochs, until all have hung up."""
    while True:
        try:
            epoch = Epoch(**hear.recv())
        except EOFError:
            return
        course.tell(epoch, epochs)


def _member(task: _Task, say: Connection) -> None:
    """One process: meets the others over loopback, fits, and, as the first, leaves the result."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    config = TrainConfig.model_validate_json(task.config)
    meeting = f"file://{task.folder / _MEETING}"
    with settled(config.seed, config.optimisation.threads):
        dist.init_process_group(
            "gloo", init_method=meeting, rank=task.rank, world_size=task.processes, timeout=_PATIENCE
        )
        with torch.serialization.safe_globals([Batch]):
            views, held_out = torch.load(task.folder / _DATA, weights_only=True, mmap=True)
        told = (lambda epoch: say.send(asdict(epoch))) if task.rank == 0 else None
        course = Course(told=told, keeper=task.keeper, saves=task.rank == 0)
        crew = _Gathering(task.processes, (task.rank,))
        fitted = run_epochs(config, views, held_out, course, How(), crew)
        dist.barrier()
        dist.destroy_process_group()
    if task.rank == 0:
        history = [asdict(epoch) for epoch in fitted.history]
        result = {"scorer": fitted.scorer.state_dict(), "history": history, "best": fitted.best}
        torch.save(result, task.folder / _RESULT)
