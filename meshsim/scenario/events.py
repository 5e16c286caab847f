"""What happens in an episode: who calls whom and when, and when nodes and edges vanish and come back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.view import Role
from meshsim.scenario.outages import strikes
from meshsim.scenario.people import People, callees
from meshsim.scenario.plan import PlannedCalls, PlannedFaults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.mesh.topology import Topology
    from meshsim.scenario.arrivals import Crowd
    from meshsim.scenario.outages import Strike
    from meshsim.scenario.plan import PlannedNodes
    from meshsim.scenario.schema import Churn, Scenario

_CHUNK = 1024
_KINDS = {"node": ("up", "down"), "edge": ("edge_up", "edge_down")}

_Call = tuple[float, float, int, str, int, str]
_Fault = tuple[float, int, str]


def build_calls(scenario: Scenario, nodes: PlannedNodes, topology: Topology, seeds: SeedTree) -> PlannedCalls:
    """Drawn and listed calls, in order of start."""
    drawn = _drawn_calls(scenario, nodes, topology, seeds)
    calls = sorted([*drawn, *_listed_calls(scenario, nodes)], key=lambda call: call[0])
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


def _drawn_calls(scenario: Scenario, nodes: PlannedNodes, topology: Topology, seeds: SeedTree) -> Iterator[_Call]:
    """The usual calls, then those that each crowd adds to them."""
    config = scenario.calls
    if config.rate == 0:
        return
    people = People.of(nodes)
    yield from _wave(scenario, people, seeds, _Wave(rate=config.rate, end=scenario.duration, among=people.everyone))
    for i, crowd in enumerate(config.arrivals.crowds):
        callee = None if crowd.callee is None else people.number(crowd.callee)
        among = people.around(topology, crowd.centre, crowd.radius)
        among = among[among != callee] if callee is not None else among
        rate = config.rate * (crowd.factor - 1.0) * len(among) / len(people.everyone)
        end = min(crowd.at + crowd.duration, scenario.duration)
        wave = _Wave(
            name=f"calls/crowd/{i}", rate=rate, start=crowd.at, end=end, among=among, callee=callee, crowd=crowd
        )
        yield from _wave(scenario, people, seeds, wave)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wave:
    """Calls that are drawn together.

    Attributes:
        name: Of their streams.
        rate: Calls per second, on average over the hours of the week.
        start, end: Seconds.
        among: Numbers of the people who call.
        callee: Whom they all call, if they do.
        crowd: What shapes them, if they are a crowd's.
    """

    name: str = "calls"
    rate: float
    start: float = 0.0
    end: float
    among: NDArray[np.int64]
    callee: int | None = None
    crowd: Crowd | None = None

    def draw(self, seeds: SeedTree, kind: str, size: int) -> NDArray[np.float64]:
        """(size,) draws of one kind, in [0, 1)."""
        return seeds.stream(f"{self.name}/{kind}").uniform(0, size)

    def strength(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """(C,) how strong it is at t seconds, in [0, 1]."""
        return np.ones(len(t)) if self.crowd is None else self.crowd.shape(t)


def _wave(scenario: Scenario, people: People, seeds: SeedTree, wave: _Wave) -> Iterator[_Call]:
    """Calls are drawn as often as in the busiest hour, and kept with the share of it that the caller's hour has.

    That is exact (thinning; Lewis and Shedler, Naval Research Logistics 26, 1979), and where all hours are alike it
    keeps them all.
    """
    config, diurnal = scenario.calls, scenario.calls.arrivals.diurnal
    if wave.rate == 0.0:
        return
    start = wave.start + _arrivals(wave.rate * diurnal.most, wave.end - wave.start, seeds, wave.name)
    draw = partial(wave.draw, seeds, size=len(start))
    length = config.duration.draw(seeds.generator(f"{wave.name}/duration"), len(start))
    media = _media(config.media.shares(), draw("media"))
    person = wave.among[(draw("who") * len(wave.among)).astype(np.int64)]
    other = callees(people, config.locality, seeds, person, draw("whom"), draw("near"), wave.callee)
    caller, callee = people.device(person, draw("device")), people.device(other, draw("answering"))
    strength = wave.strength(start)
    if not diurnal.flat:
        strength *= diurnal.factor(start, people.longitude[person]) / diurnal.most
    for i in np.flatnonzero(draw("activity") < strength).tolist():
        yield float(start[i]), float(length[i]), int(caller[i]), people.auras[callee[i]], int(callee[i]), media[i]


def _media(shares: dict[str, float], draws: NDArray[np.float64]) -> list[str]:
    kinds = tuple(shares)
    # The last bound is left open: shares may sum to a hair less than 1.
    return [kinds[i] for i in np.searchsorted(np.cumsum(list(shares.values()))[:-1], draws, side="right")]


def _arrivals(rate: float, duration: float, seeds: SeedTree, name: str) -> NDArray[np.float64]:
    """Poisson arrivals in [0, duration); a longer episode begins like a shorter one."""
    if duration <= 0:
        return np.empty(0)
    generator = seeds.generator(f"{name}/arrival")
    times = np.cumsum(generator.exponential(1 / rate, _CHUNK))
    while times[-1] < duration:
        times = np.concatenate([times, times[-1] + np.cumsum(generator.exponential(1 / rate, _CHUNK))])
    return times[times < duration]


def build_faults(scenario: Scenario, nodes: PlannedNodes, topology: Topology, seeds: SeedTree) -> PlannedFaults:
    """Listed faults, churn and failing regions, in order of time; a node with listed faults does not churn on top."""
    index = {name: i for i, name in enumerate(nodes.names)}
    faults: list[_Fault] = [(fault.at, index[fault.node], fault.kind) for fault in scenario.faults]
    said = {node for _, node, _ in faults}
    for i, name in enumerate(nodes.names):
        if i not in said and _churns(scenario.churn, int(nodes.role[i])):
            faults += [(at, i, kind) for at, kind in scenario.churn.lives(name, seeds, scenario.duration)]
    faults.sort()
    struck = list(strikes(scenario.outages, scenario.duration, nodes, topology, seeds))
    if struck:
        faults = sorted(_struck(faults, struck, scenario.duration))
    return PlannedFaults(
        at=np.array([fault[0] for fault in faults], dtype=np.float64),
        kind=tuple(fault[2] for fault in faults),
        node=np.array([fault[1] for fault in faults], dtype=np.int32),
    )


def _struck(faults: list[_Fault], struck: list[Strike], until: float) -> Iterator[_Fault]:
    """The faults of what no region takes down, and of the rest when the first cause begins and the last one ends.

    Goodbyes stay: what they announce is one of the causes.
    """
    causes: dict[tuple[str, int], list[tuple[float, int, bool]]] = {}
    for cause, strike in enumerate(struck, 1):
        ends = (strike.start, cause, True), (strike.end, cause, False)
        causes.setdefault((strike.what, strike.number), []).extend(ends)
    for fault in faults:
        own = causes.get(("node", fault[1]))
        if own is None or fault[2] == "goodbye":
            yield fault
        else:
            own.append((fault[0], 0, fault[2] == "down"))
    for (what, number), changes in causes.items():
        for at, down in _joint(changes):
            if at < until:
                yield at, number, _KINDS[what][down]


def _joint(changes: list[tuple[float, int, bool]]) -> Iterator[tuple[float, bool]]:
    """When something with several causes goes down and comes back: (seconds, cause, whether it begins), any order."""
    holding: set[int] = set()
    for at, group in groupby(sorted(changes, key=itemgetter(0)), key=itemgetter(0)):
        before = bool(holding)
        for _, cause, begins in group:
            (holding.add if begins else holding.discard)(cause)
        if bool(holding) != before:
            yield at, bool(holding)


def _churns(churn: Churn, role: int) -> bool:
    return churn.enabled and (churn.applies_to == "all" or role != Role.PEER)
