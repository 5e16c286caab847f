"""SimPy as its manual teaches it: a process for each packet, a resource for each link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy
from workload import PROPAGATION, SERVICE, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def prepare(workload: Workload) -> tuple[Callable[[], object], Callable[[], tuple[int, float]]]:
    """The run to time, and afterwards the packets delivered with the sum of their delays in seconds."""
    env = simpy.Environment()
    links = [simpy.Resource(env, capacity=1) for _ in range(workload.links)]
    routes = [[links[link] for link in route] for route in workload.routes]
    times, flows = workload.merged()
    departures = list(zip(times.tolist(), flows.tolist(), strict=True))
    delays: list[float] = []

    def packet(route: list[simpy.Resource]) -> Generator[simpy.Event, object, None]:
        begun = env.now
        for link in route:
            with link.request() as turn:
                yield turn
                yield env.timeout(SERVICE)
            yield env.timeout(PROPAGATION)
        delays.append(env.now - begun)

    def source() -> Generator[simpy.Event, object, None]:
        for at, flow in departures:
            yield env.timeout(max(0.0, at - env.now))
            env.process(packet(routes[flow]))

    env.process(source())
    return env.run, lambda: (len(delays), sum(delays))
