"""What a validation case is: a formula with its source, the value it gives, an experiment that measures it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from meshsim.measure.stats import mser5
from meshsim.sim.kernel import run_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from meshsim.sim.kernel.network import Network, PacketLog, Results

    Values = Mapping[str, float]

Relation = Literal["mean", "near", "exact", "at_most"]

PILOT_SEED = 0
"""Of the run that finds where the warm-up ends; replications have the seeds 1, 2, ..."""


class Seen(NamedTuple):
    """One run, for a case to read its quantities from.

    Attributes:
        network: What ran.
        results: What was measured.
        measure_from: Where the warm-up ended, seconds.
        until: Where the run ended, seconds.
    """

    network: Network
    results: Results
    measure_from: float
    until: float

    @property
    def log(self) -> PacketLog:
        """Every packet that left.

        Raises:
            ValueError: If the run kept no log.
        """
        if self.results.log is None:
            raise ValueError("the run kept no log")
        return self.results.log

    def packets(self, flow: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8]]:
        """When each packet of a flow set out and left, and its fate, by number; without warm-up and duplicates."""
        log = self.log
        rows = np.flatnonzero((log.flow == flow) & (log.sent >= self.measure_from) & (log.fate <= LOST))
        rows = rows[np.argsort(log.number[rows], kind="stable")]
        return log.sent[rows], log.left[rows], log.fate[rows]


DELIVERED, DROPPED, LOST = 0, 1, 2
"""Fates of a packet, as in `PacketLog`."""


class Experiment(Protocol):
    """Measures the quantities of a case."""

    def sample(self, replications: int) -> dict[str, list[float]]:
        """By quantity, its value in each replication."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Runs of the packet engine.

    Attributes:
        network: From the seed to what runs.
        until: How long each runs, seconds.
        read: From a run to its quantities.
        log: Whether `read` needs every packet.
        warm_up: Whether the start is to be left out: up to where MSER-5 cuts the delays of a pilot run.
        core_until: How long the Python core runs the same, to be compared packet by packet; 0 for never.
    """

    network: Callable[[int], Network]
    until: float
    read: Callable[[Seen], Values]
    log: bool = False
    warm_up: bool = True
    core_until: float = 0.0

    def sample(self, replications: int) -> dict[str, list[float]]:
        """Each quantity in replications with the seeds 1, 2, ..., and how the Python core compares."""
        measure_from = self.end_of_warm_up() if self.warm_up else 0.0
        runs = [self._values(seed, measure_from) for seed in range(1, replications + 1)]
        found = {name: [float(values[name]) for values in runs] for name in runs[0]}
        if self.core_until:
            found[CORE] = [float(self.core_differences(1))]
        return found

    def _values(self, seed: int, measure_from: float) -> Values:
        network = self.network(seed)
        results = run_network(network, seed=seed, until=self.until, measure_from=measure_from, log=self.log)
        return self.read(Seen(network, results, measure_from, self.until))

    def end_of_warm_up(self) -> float:
        """When the packet set out at which MSER-5 cuts a pilot run, seconds."""
        network = self.network(PILOT_SEED)
        log = run_network(network, seed=PILOT_SEED, until=self.until / 4.0, log=True).log
        if log is None or not len(log.sent):
            return 0.0
        order = np.argsort(log.sent, kind="stable")
        return float(log.sent[order][mser5((log.left - log.sent)[order])])

    def core_differences(self, seed: int) -> int:
        """How many packets the Python core treats otherwise than the compiled kernel: another fate or time."""
        from meshsim.sim.packets import run_core  # noqa: PLC0415 - most cases need only the kernel

        network = self.network(seed)
        kernel = run_network(network, seed=seed, until=self.core_until, log=True).log
        core = run_core(network, seed=seed, until=self.core_until, log=True).log
        if kernel is None or core is None:
            raise ValueError("a run kept no log")
        return differences(kernel, core)


CORE = "packets unlike the Python core's"
"""The quantity that says how the two engines compare; theory says 0."""

SAME_TIME = 1e-9
"""How far two engines' times may lie apart, seconds."""


def differences(one: PacketLog, other: PacketLog) -> int:
    """How many rows of two logs differ; those that only one has do."""
    common = min(len(one.flow), len(other.flow))
    same = np.ones(common, dtype=bool)
    for name in ("flow", "number", "fate"):
        same &= getattr(one, name)[:common] == getattr(other, name)[:common]
    for name in ("sent", "left"):
        same &= np.abs(getattr(one, name)[:common] - getattr(other, name)[:common]) <= SAME_TIME
    return int(np.count_nonzero(~same)) + abs(len(one.flow) - len(other.flow))


@dataclass(frozen=True, slots=True)
class Computed:
    """What needs no random draws: calculated once.

    Attributes:
        calculate: Gives the quantities.
    """

    calculate: Callable[[], Values]

    def sample(self, replications: int) -> dict[str, list[float]]:  # noqa: ARG002 - all replications would be equal
        """Each quantity, once."""
        return {name: [float(value)] for name, value in self.calculate().items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that theory says and the simulator must do.

    Attributes:
        slug: Names it.
        formula: In words and symbols.
        source: Who says so.
        theory: By quantity, its value; quantities that only the experiment knows must be 0.
        experiment: Measures the same quantities.
        relation: `mean`: theory lies in the Holm-corrected interval over replications and the mean is off by no more
            than `bias`; `near`: the latter alone, of theory that is an approximation; `exact`: every value is theory's
            within `tolerance`; `at_most`: no value is beyond theory's.
        bias: Largest relative difference of the mean from theory (`mean`, `near`).
        tolerance: Largest absolute difference from theory (`exact`).
        replications: Independent runs.
    """

    slug: str
    formula: str
    source: str
    theory: Callable[[], Values]
    experiment: Experiment
    relation: Relation = "mean"
    bias: float = 0.01
    tolerance: float = 1e-9
    replications: int = 20
