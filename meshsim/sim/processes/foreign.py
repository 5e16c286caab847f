"""World processes from outside the package: what a scenario names under `processes`, an entry point makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from meshsim.mesh.registry import Registry

if TYPE_CHECKING:
    from meshsim.sim.simulation import Episode


class WorldProcess(Protocol):
    """Something that goes on in a world.

    Its state is plain data, so that it can be saved; its handlers are bound methods, put on the clock by `env.on` and
    `env.schedule_record`; its draws come from a stream of its own name.
    """

    def start(self) -> None:
        """Puts the first step into the queue; the board and the world are there."""


PROCESSES: Registry[Callable[[Episode, Mapping[str, Any]], WorldProcess]] = Registry("world process")
"""What makes each process of an episode and of the options that the scenario gives it. It refuses options by raising
`ConfigError`."""


def begin_processes(episode: Episode, asked: Mapping[str, Mapping[str, Any]]) -> tuple[WorldProcess, ...]:
    """Makes and starts the processes that a scenario asks for, in order of their names."""
    processes = tuple(PROCESSES[name](episode, asked[name]) for name in sorted(asked))
    for process in processes:
        process.start()
    return processes
