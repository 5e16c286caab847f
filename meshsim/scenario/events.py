"""What happens in an episode: who calls whom and when, and when nodes vanish and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.view import Role
from meshsim.scenario.plan import PlannedCalls, PlannedFaults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.scenario.plan import PlannedNodes
    from meshsim.scenario.schema import Churn, Scenario

_CHUNK = 1024

_Call = tuple[float, float, int, str, int, str]
_Fault = tuple[float, int, str]


def build_calls(scenario: Scenario, nodes: PlannedNodes, seeds: SeedTree) -> PlannedCalls:
    """Drawn and listed calls, in order of start."""
    calls = sorted([*_drawn_calls(scenario, nodes, seeds), *_listed_calls(scenario, nodes)], key=lambda call: call[0])
    return PlannedCalls(
        start=np.array([call[0] for call in calls], dtype=np.float64),
        duration=np.array([call[1] for call in calls], dtype=np.float64),
        caller=np.array([call[2] for call in calls], dtype=np.int32),
        callee=tuple(call[3] for call in calls),
        callee_node=np.array([call[4] for call in calls], dtype=np.int32),
        media=tuple(call[5] for call in calls),
    )


def _owners(nodes: PlannedNodes, *, peers_only: bool) -> dict[str, list[int]]:
    """The nodes of each AuraID, in index order."""
    owners: dict[str, list[int]] = {}
    for i, aura in enumerate(nodes.auras):
        if not peers_only or nodes.role[i] == Role.PEER:
            owners.setdefault(aura, []).append(i)
    return owners


def _listed_calls(scenario: Scenario, nodes: PlannedNodes) -> Iterator[_Call]:
    owners = _owners(nodes, peers_only=False)
    for call in scenario.calls.listed:
        yield call.at, call.duration, owners[call.caller][0], call.callee, owners[call.callee][0], call.media


def _drawn_calls(scenario: Scenario, nodes: PlannedNodes, seeds: SeedTree) -> Iterator[_Call]:
    config = scenario.calls
    start = _arrivals(config.rate, scenario.duration, seeds)
    mu, sigma = np.log(config.duration.median), config.duration.sigma
    length = seeds.generator("calls/duration").lognormal(mu, sigma, len(start))
    media = _media(config.media.shares(), seeds.stream("calls/media").uniform(0, len(start)))
    caller, callee = _ends(nodes, seeds, len(start))
    for i in range(len(start)):
        yield float(start[i]), float(length[i]), int(caller[i]), nodes.auras[callee[i]], int(callee[i]), media[i]


def _media(shares: dict[str, float], draws: NDArray[np.float64]) -> list[str]:
    kinds = tuple(shares)
    # The last bound is left open: shares may sum to a hair less than 1.
    return [kinds[i] for i in np.searchsorted(np.cumsum(list(shares.values()))[:-1], draws, side="right")]


def _arrivals(rate: float, duration: float, seeds: SeedTree) -> NDArray[np.float64]:
    """Poisson arrivals in [0, duration); a longer episode begins like a shorter one."""
    if rate == 0:
        return np.empty(0)
    generator = seeds.generator("calls/arrival")
    times = np.cumsum(generator.exponential(1 / rate, _CHUNK))
    while times[-1] < duration:
        times = np.concatenate([times, times[-1] + np.cumsum(generator.exponential(1 / rate, _CHUNK))])
    return times[times < duration]


def _ends(nodes: PlannedNodes, seeds: SeedTree, calls: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Calling and answering node of each call: two different people, drawn evenly, each on one of their nodes."""
    owned = list(_owners(nodes, peers_only=True).values())
    if not calls:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    devices = np.array([len(own) for own in owned])
    first = np.concatenate([[0], np.cumsum(devices)[:-1]])
    flat = np.concatenate([np.array(own, dtype=np.int64) for own in owned])
    who, device, whom, answering = (
        seeds.stream(f"calls/{draw}").uniform(0, calls) for draw in ("who", "device", "whom", "answering")
    )
    person = (who * len(owned)).astype(np.int64)
    other = (person + 1 + (whom * (len(owned) - 1)).astype(np.int64)) % len(owned)
    caller = flat[first[person] + (device * devices[person]).astype(np.int64)]
    return caller, flat[first[other] + (answering * devices[other]).astype(np.int64)]


def build_faults(scenario: Scenario, nodes: PlannedNodes, seeds: SeedTree) -> PlannedFaults:
    """Listed faults and churn, in order of time; a node with listed faults does not churn on top."""
    index = {name: i for i, name in enumerate(nodes.names)}
    faults: list[_Fault] = [(fault.at, index[fault.node], fault.kind) for fault in scenario.faults]
    said = {node for _, node, _ in faults}
    for i, name in enumerate(nodes.names):
        if i not in said and _churns(scenario.churn, int(nodes.role[i])):
            faults += [
                (at, i, kind)
                for at, kind in scenario.churn.renewals(seeds.generator(f"churn/{name}"), scenario.duration)
            ]
    faults.sort()
    return PlannedFaults(
        at=np.array([fault[0] for fault in faults], dtype=np.float64),
        kind=tuple(fault[2] for fault in faults),
        node=np.array([fault[1] for fault in faults], dtype=np.int32),
    )


def _churns(churn: Churn, role: int) -> bool:
    return churn.enabled and (churn.applies_to == "all" or role != Role.PEER)
