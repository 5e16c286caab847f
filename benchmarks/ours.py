"""meshsim's own two packet engines through their public API: a `Network` in, `Results` with all statistics out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from workload import Workload, make

if TYPE_CHECKING:
    from collections.abc import Callable


def prepare_core(workload: Workload) -> tuple[Callable[[], object], Callable[[], tuple[int, float]]]:
    """The Python core's run to time, and afterwards the packets delivered with the sum of their delays."""
    from meshsim.sim.packets import run_core  # noqa: PLC0415 - one engine at a time

    return _prepare(run_core, workload)


def prepare_kernel(workload: Workload) -> tuple[Callable[[], object], Callable[[], tuple[int, float]]]:
    """The kernel's run to time, and afterwards the packets delivered with the sum of their delays."""
    from meshsim.sim.kernel import run_network  # noqa: PLC0415 - the core's process loads no numba

    small = make(side=2, rate=5.0, seconds=1.0)
    run_network(small.network(), until=small.until)  # compiles
    return _prepare(run_network, workload)


def _prepare(
    engine: Callable[..., Any], workload: Workload
) -> tuple[Callable[[], object], Callable[[], tuple[int, float]]]:
    network, until = workload.network(), workload.until
    done: list[Any] = []

    def answer() -> tuple[int, float]:
        flows = done[-1].flows
        return int(flows.delivered.sum()), float(np.nansum(flows.delay_mean * flows.delivered))

    return lambda: done.append(engine(network, until=until)), answer
