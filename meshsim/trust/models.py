"""What every reputation model offers, and the registry of models."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.mesh.registry import Registry
from meshsim.trust.evidence import EventKind, Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from meshsim.trust.evidence import EvidenceColumns
    from meshsim.trust.status import Status


@dataclass(frozen=True, slots=True)
class Reputation:
    """What a model makes of the evidence on one node.

    Attributes:
        mean: The score, 0..100.
        low: Lower bound of its 95 % interval.
        high: Upper bound.
        evidence: How many outcomes stand behind it, after forgetting.
        status: The word for it.
    """

    mean: float
    low: float
    high: float
    evidence: float
    status: Status


class ReputationTable(NamedTuple):
    """The same for N nodes; every array has shape (N,) and dtype float64.

    Attributes:
        mean: Scores, 0..100.
        low: Lower bounds of the 95 % intervals.
        high: Upper bounds.
        evidence: Outcomes behind the scores, after forgetting.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    evidence: NDArray[np.float64]


class ReputationModel(Protocol):
    """Evidence in, scores out. A model is plain data: copied and pickled with the world or node that holds it.

    Attributes:
        half_life: Seconds in which evidence loses half its weight; infinite for a model that never forgets.
    """

    half_life: float

    def observe(self, node: int, evidence: Evidence) -> None:
        """Takes in evidence on `node`, an index from 0 in the model's own numbering."""

    def observe_many(self, columns: EvidenceColumns) -> None:
        """Takes in many outcomes, as if each were observed by itself, in order."""

    def anchor(self, node: int) -> None:
        """Takes the word of `node` from the start, since it was verified by other means.

        No matter to models that do not ask who says a thing.
        """

    def score(self, node: int, now: float) -> Reputation:
        """The reputation of one node; one never heard of has the prior's."""

    def table(self, n: int, now: float) -> ReputationTable:
        """The reputations of nodes 0 to n - 1."""

    def forget(self, node: int) -> None:
        """Drops all evidence on `node`, so that its index may stand for another."""


models: Registry[Callable[..., ReputationModel]] = Registry("reputation model")
"""Makers of models by name: `models["beta"](half_life=3600.0)`."""


def make_model(
    name: str, *, half_life: float | None = None, parameters: Mapping[str, float] | None = None
) -> ReputationModel:
    """The reputation model `name`, as a scenario or a node's configuration asks for it.

    Args:
        name: One of `models`.
        half_life: Seconds, for models that forget; their own when None or in `parameters`.
        parameters: Of that model.

    Raises:
        ConfigError: If the model is unknown, has no such parameter, or not such a value of it.
    """
    make, options = models[name], dict(parameters or {})
    known = [part for part, said in signature(make).parameters.items() if isinstance(said.default, int | float)]
    for part in options:
        if part not in known:
            problem, key = f"the model {name} has no parameter {part!r}", f"trust.parameters.{part}"
            raise ConfigError(problem, key=key, allowed=known, nearest=nearest(part, known))
    if half_life is not None and "half_life" in known:
        options.setdefault("half_life", half_life)
    try:
        return make(**options)
    except ValueError as error:
        raise ConfigError(str(error), key="trust.parameters") from error


def observe_each(model: ReputationModel, columns: EvidenceColumns) -> None:
    """Shows `model` each outcome of `columns` by itself: the `observe_many` of models that have nothing faster."""
    for node, rater, partner, good, bad, t in zip(*(column.tolist() for column in columns), strict=True):
        raters = tuple(one for one in (rater, partner) if one >= 0)
        for weight, kind in ((good, EventKind.SUCCESSFUL_CALL), (bad, EventKind.CALL_DROPPED)):
            if weight > 0.0:
                model.observe(node, Evidence(kind=kind, node=node, t=t, weight=weight, raters=raters))


def grown(values: NDArray[np.float64], node: int, fill: float) -> NDArray[np.float64]:
    """`values` long enough to hold index `node`, new places filled; doubles, so that growing stays cheap.

    >>> grown(np.zeros(1), 2, 50.0)
    array([ 0., 50., 50.])
    """
    if node < len(values):
        return values
    more = max(node + 1, 2 * len(values)) - len(values)
    return np.concatenate([values, np.full(more, fill)])


def padded(values: NDArray[np.float64], n: int, fill: float) -> NDArray[np.float64]:
    """The first n of `values`, filled up where they are fewer; always a copy, shape (n,).

    >>> padded(np.ones(2), 3, 50.0)
    array([ 1.,  1., 50.])
    """
    result = np.full(n, fill)
    kept = min(n, len(values))
    result[:kept] = values[:kept]
    return result
