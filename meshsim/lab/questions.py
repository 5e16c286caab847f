"""What an experiment asks: the file `experiments/NN_question/experiment.yaml`, read and checked before any run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from meshsim.lab import sweeps
from meshsim.lab.run import choosers
from meshsim.lab.stopping import Stopping
from meshsim.lab.sweeps import Sweep
from meshsim.measure.metrics import METRICS
from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario import load
from meshsim.scenario.problems import explain, within
from meshsim.scenario.quantities import Duration, PartName, PositiveDuration, refuse
from meshsim.scenario.text import Text, dotted, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meshsim.lab.axes import Point

FOLDER = Path("experiments")


class _Said(BaseModel):
    """Base of what a person writes of an experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Comparison(_Said):
    """Which policy is claimed to beat which, on what."""

    better: str
    """One of the experiment's policies."""
    worse: str
    """Another one."""
    metric: str = "poor_call_rate"
    """A metric, or one in a phase: `poor_call_rate@after`."""


class Variant(_Said):
    """A world in which all policies run on all seeds, beside other worlds."""

    name: PartName
    """Short, told in the table."""
    overrides: tuple[str, ...] = ()
    """`key=value` each, after those of the experiment."""
    against: str | None = None
    """The variant that this one is compared with, instead of the baseline's."""


class Phase(_Said):
    """A stretch of the episode; `metric@name` is the metric of what began in it."""

    name: PartName
    """Short: `after`."""
    start: Duration
    """Seconds of the episode."""
    end: PositiveDuration
    """Seconds of the episode."""

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.start >= self.end:
            raise refuse(f"ends at {self.end:g} s, before it starts", allowed=["start < end"])
        return self


class Baseline(_Said):
    """What all others are compared with."""

    policy: str | None = None
    """Every other policy is compared with this one, within each variant."""
    variant: str | None = None
    """Every other variant is compared with this one, for each policy, unless it says with which."""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("poor_call_rate",)
    """On what."""


class Experiment(_Said):
    """A question, and the runs that answer it."""

    question: Annotated[str, Field(min_length=1)]
    """In words."""
    scenario: str
    """A preset's name, or a file beside `experiment.yaml` or where the command is given."""
    policies: Annotated[tuple[str, ...], Field(min_length=1)]
    """Policies and routing protocols; each is run on every seed (common random numbers)."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    """Each is one episode per policy and variant; with `stop` as many of them, ascending, as it takes."""
    overrides: tuple[str, ...] = ()
    """For all runs, `key=value`."""
    variants: tuple[Variant, ...] = ()
    """Worlds to run all policies in; the scenario as it is when there are none."""
    sweep: Sweep | None = None
    """Many worlds in a few lines; every variant is run in each."""
    stop: Stopping | None = None
    """When there are seeds enough; all are run where it is not said."""
    phases: tuple[Phase, ...] = ()
    """Stretches of the episode that are told by themselves."""
    metrics: tuple[str, ...] = ()
    """Columns that are shown; all metrics when none is named. The table has all in any case."""
    baseline: Baseline | None = None
    """What all others are compared with."""
    compare: tuple[Comparison, ...] = ()
    """Claims to judge, in each variant."""

    @property
    def worlds(self) -> tuple[Variant, ...]:
        """The variants, or the scenario as it is under the empty name."""
        return self.variants or (_PLAIN,)

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns to show."""
        return self.metrics or tuple(METRICS)

    @property
    def phased(self) -> tuple[str, ...]:
        """All `metric@phase` that are named anywhere, each once."""
        judged = self.baseline.metrics if self.baseline else ()
        named = (*self.metrics, *judged, *(one.metric for one in self.compare))
        return tuple(dict.fromkeys(name for name in named if "@" in name))


_PLAIN = Variant.model_construct(name="", overrides=(), against=None)


def spread(experiment: Experiment, points: Sequence[Point], seeds: Sequence[int]) -> Experiment:
    """The experiment with each variant in each world of its sweep, on some of its seeds, and nothing left open.

    A variant is compared with the one that it names, or the baseline does, in the same world of the sweep.
    """
    update: dict[str, object] = {"seeds": tuple(seeds), "sweep": None, "stop": None}
    if points:
        update["variants"] = tuple(
            _placed(experiment, variant, point) for variant in experiment.worlds for point in points
        )
        if experiment.baseline is not None and experiment.variants:
            update["baseline"] = experiment.baseline.model_copy(update={"variant": None})
    return experiment.model_copy(update=update)


def _placed(experiment: Experiment, variant: Variant, point: Point) -> Variant:
    beside = variant.against
    if beside is None and experiment.baseline is not None and experiment.variants:
        beside = experiment.baseline.variant
    return Variant.model_construct(
        name=_joined(variant.name, point),
        overrides=(*variant.overrides, *point.overrides),
        against=None if beside in {None, variant.name} else _joined(str(beside), point),
    )


def _joined(variant: str, point: Point) -> str:
    return ",".join(part for part in (variant, point.name) if part)


@dataclass(frozen=True, slots=True)
class Found:
    """An experiment's slug and where it lives."""

    slug: str
    folder: Path


def list_experiments(root: Path = FOLDER) -> list[Found]:
    """All experiments below `root`, by number."""
    folders = [path.parent for path in sorted(root.glob("*/experiment.yaml"))]
    return [Found(_slug(folder.name.partition("_")[2]), folder) for folder in folders]


def _slug(name: str) -> str:
    """Words with dashes between, however a person wrote them."""
    return name.replace("_", "-")


def load_experiment(name: str, root: Path = FOLDER) -> tuple[Experiment, Found]:
    """The experiment called `name` (its slug, without the number; `_` stands for `-`).

    Raises:
        ConfigError: If there is none, or its file is wrong.
    """
    known = {found.slug: found for found in list_experiments(root)}
    name = _slug(name)
    if name not in known:
        raise ConfigError(
            f"no experiment {name!r} in the folder {root}", allowed=sorted(known), nearest=nearest(name, known)
        )
    found = known[name]
    path = found.folder / "experiment.yaml"
    text = parse(path.read_text(encoding="utf-8"), file=str(path))
    try:
        experiment = Experiment.model_validate(text.value)
    except ValidationError as error:
        raise explain(error, Experiment, text, file=str(path), overrides={}) from error
    _check_names(experiment, text, str(path))
    if (found.folder / experiment.scenario).is_file():
        experiment = experiment.model_copy(update={"scenario": str(found.folder / experiment.scenario)})
    _check_worlds(experiment, text, str(path))
    if experiment.sweep is not None:
        sweeps.check(
            experiment.sweep,
            lambda overrides: load(experiment.scenario, (*experiment.overrides, *overrides)),
            text,
            str(path),
        )
    return experiment, found


def _check_names(experiment: Experiment, text: Text, file: str) -> None:
    for place, name, known in _names(experiment):
        if name not in known:
            raise ConfigError(
                f"unknown name {name!r}", file=file, line=text.line(place), key=dotted(place), allowed=sorted(known),
                nearest=nearest(name, known),
            )  # fmt: skip
    for key, names in (
        ("policies", experiment.policies),
        ("seeds", experiment.seeds),
        ("variants", [variant.name for variant in experiment.variants]),
        ("phases", [phase.name for phase in experiment.phases]),
    ):
        for i, one in enumerate(names):
            if one in names[:i]:
                raise ConfigError(
                    f"{one!r} comes twice", file=file, line=text.line((key, i)), key=dotted((key, i)),
                    allowed=["each once"],
                )  # fmt: skip


def _check_worlds(experiment: Experiment, text: Text, file: str) -> None:
    """Holds every variant to the schema: what is wrong with one is told where this file says it."""
    common: dict[str, tuple[str | int, ...]] = {one: ("overrides", i) for i, one in enumerate(experiment.overrides)}
    for i, variant in enumerate(experiment.worlds):
        own = {override: ("variants", i, "overrides", j) for j, override in enumerate(variant.overrides)}
        try:
            load(experiment.scenario, (*experiment.overrides, *variant.overrides))
        except ConfigError as error:
            raise within(error, text, file=file, scenario=("scenario",), overrides=common | own) from error


def _names(experiment: Experiment) -> Iterator[tuple[tuple[str | int, ...], str, Iterable[str]]]:
    """Every name of a policy, variant or metric: where it stands, and what it may be."""
    phased = [f"{metric}@{phase.name}" for metric in METRICS for phase in experiment.phases]
    metrics = [*METRICS, *phased]
    for i, policy in enumerate(experiment.policies):
        yield ("policies", i), policy, choosers()
    for i, metric in enumerate(experiment.metrics):
        yield ("metrics", i), metric, metrics
    if experiment.stop is not None:
        yield ("stop", "metric"), experiment.stop.metric, metrics
    if experiment.sweep is not None:
        for place, name, known in experiment.sweep.names(METRICS):
            yield ("sweep", *place), name, known
    yield from _compared_names(experiment, metrics)


def _compared_names(
    experiment: Experiment, metrics: list[str]
) -> Iterator[tuple[tuple[str | int, ...], str, Iterable[str]]]:
    """The names of what is compared."""
    variants = [variant.name for variant in experiment.variants]
    for i, variant in enumerate(experiment.variants):
        if variant.against is not None:
            yield ("variants", i, "against"), variant.against, variants
    for i, compare in enumerate(experiment.compare):
        yield ("compare", i, "better"), compare.better, experiment.policies
        yield ("compare", i, "worse"), compare.worse, experiment.policies
        yield ("compare", i, "metric"), compare.metric, metrics
    if (baseline := experiment.baseline) is not None:
        if baseline.policy is not None:
            yield ("baseline", "policy"), baseline.policy, experiment.policies
        if baseline.variant is not None:
            yield ("baseline", "variant"), baseline.variant, variants or [one.name for one in _points(experiment)]
        for i, metric in enumerate(baseline.metrics):
            yield ("baseline", "metrics", i), metric, metrics


def _points(experiment: Experiment) -> list[Point]:
    return sweeps.points(experiment.sweep) if experiment.sweep is not None else []
