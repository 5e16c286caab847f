"""What a training run may say: which episodes train, calibrate and validate, how large the scorer is, how it is fitted.

The episodes are named here and simulated by who calls (`learn` knows no simulator); `TrainConfig.wanted` lists them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario import load
from meshsim.scenario.problems import explain, within
from meshsim.scenario.text import Text, dotted, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

Split = Literal["train", "calibration", "validation", "report"]
SPLITS: tuple[Split, ...] = ("train", "calibration", "validation", "report")

USES: dict[Split, str] = {"train": "train", "calibration": "train", "validation": "validate", "report": "validate"}
"""What the graphs of each split must be allowed for (`scenario.topologies.allowed`)."""


_TOPOLOGY = "underlay.topology"


class Part(BaseModel):
    """Base of the parts of a training configuration: frozen, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Episodes(Part):
    """Some episodes of one scenario: one for each seed, in each regime, on each topology."""

    scenario: str
    """Name of a preset, or path of a scenario file."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    """One episode for each."""
    overrides: tuple[str, ...] = ()
    """`dotted.key=value` each, as `meshsim run -o` takes them."""
    regimes: tuple[str, ...] = ()
    """Names under `data.regimes`, whose overrides come before these; without one, the scenario as it is."""
    topologies: tuple[str, ...] = ()
    """Names of graphs (`meshsim topo list`); without one, the scenario's own."""


class Data(Part):
    """Which episodes are used for what; no episode may serve twice."""

    regimes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Overrides by name: how fresh beliefs are, who lies, how large the mesh is."""
    every: Annotated[int, Field(ge=1, le=1000)] = 1
    """Of the calls of `train`, each n-th is taken: many episodes tell more than many calls of few."""
    train: Annotated[tuple[Episodes, ...], Field(min_length=1)]
    """Gradients come from these; graphs that may train."""
    calibration: Annotated[tuple[Episodes, ...], Field(min_length=1)]
    """Probabilities are fitted on these; graphs that may train."""
    validation: Annotated[tuple[Episodes, ...], Field(min_length=1)]
    """These decide when to stop; graphs that may train or validate."""
    report: tuple[Episodes, ...] = ()
    """The card's numbers come from these episodes, which decided nothing, though others on the same graphs may have;
    graphs that may train or validate."""


class Shape(Part):
    """The sizes of a graph network."""

    kind: Literal["graph"] = "graph"
    """An encoder that passes messages over links, and a head that follows paths."""
    dimension: Annotated[int, Field(ge=4, le=256)] = 32
    """D, length of a node's embedding."""
    rounds: Annotated[int, Field(ge=0, le=8)] = 1
    """Rounds of message passing; 0 leaves each node with its own features (the ablation)."""
    message: Annotated[int, Field(ge=1, le=256)] = 4
    """M, length of what a link tells a node in one round: narrow, so that it cannot tell single nodes apart."""
    state: Annotated[int, Field(ge=1, le=128)] = 16
    """Length of the hidden state that hops add up along a path."""


class Trees(Part):
    """The sizes of gradient-boosted trees; of `optimisation` only threads matter to them."""

    kind: Literal["trees"]
    """Trees on a table of paths (LightGBM): no messages, and no order of hops."""
    most: Annotated[int, Field(ge=1, le=2000)] = 150
    """Most trees for each of what is predicted."""
    leaves: Annotated[int, Field(ge=2, le=256)] = 15
    """Most leaves of a tree."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of what a tree found that is added."""
    least: Annotated[int, Field(ge=1)] = 50
    """Fewest candidates in a leaf."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Of columns and of candidates that each tree sees."""
    candidates: Annotated[int, Field(ge=1)] = 300_000
    """Most candidates that are learnt from, about; of more, views are drawn."""
    patience: Annotated[int, Field(ge=1)] = 20
    """Trees that do no better on the validation episodes before no more are grown."""


def _kind(said: Any) -> str:
    """Which model is meant, by its `kind`."""
    kind = said.get("kind", "graph") if isinstance(said, dict) else getattr(said, "kind", "graph")
    return "trees" if kind == "trees" else "graph"


Model = Annotated[Annotated[Shape, Tag("graph")] | Annotated[Trees, Tag("trees")], Discriminator(_kind)]


class Optimisation(Part):
    """How the scorer is fitted."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Most passes over the training episodes."""
    patience: Annotated[int, Field(ge=1)] = 6
    """Epochs without a better validation loss before it stops."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3
    """Peak rate of AdamW."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Of AdamW."""
    views_per_batch: Annotated[int, Field(ge=1)] = 8
    """Views whose calls share one step."""
    regression_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of what the call would measure, beside 1 for cross-entropy."""
    choice_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the utility that a choice forgoes."""
    spread_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the quantiles of what the call would measure."""
    temperature: Annotated[float, Field(gt=0)] = 0.1
    """Of that choice: how soft a maximum it is, in utility."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of embedding entries left out in each training step."""
    link_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of links left out in each training step."""
    blur: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Noise on constants of nodes (capacity, most calls), in deviations: single relays are not to be memorised."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of torch; the result is reproducible for one number of threads."""


class Wanted(NamedTuple):
    """One episode that a configuration asks for."""

    split: Split
    scenario: str
    seed: int
    overrides: tuple[str, ...]


class TrainConfig(Part):
    """One training run."""

    name: str = "route-scorer"
    """Name of the artefact."""
    seed: int = 1
    """Of the parameters' start and of the order of batches."""
    data: Data
    """The episodes."""
    model: Model = Shape()
    """What kind of scorer, and how large."""
    optimisation: Optimisation = Optimisation()
    """The fit."""

    def wanted(self) -> Iterator[Wanted]:
        """Every episode, split by split, in the order written.

        Raises:
            ConfigError: If an episode stands in two splits: a number would then be reported on what it was fitted to.
                Scenario, seed and graph make the episode, whatever else is overridden: the same nodes on the same links
                stay the same when they are watched for longer or routed otherwise.
        """
        seen: dict[tuple[str, int, tuple[tuple[str, str], ...]], Split] = {}
        for split in SPLITS:
            episodes: tuple[Episodes, ...] = getattr(self.data, split)
            for place, part in enumerate(episodes):
                for overrides in self.ways(part, ("data", split, place)):
                    for seed in part.seeds:
                        before = seen.setdefault((part.scenario, seed, _graph(overrides)), split)
                        if before != split:
                            raise ConfigError(
                                f"{part.scenario} with seed {seed} stands in {before} and in {split}",
                                key=dotted(("data", split, place, "seeds")),
                                allowed=["seeds of its own"],
                            )
                        yield Wanted(split, part.scenario, seed, overrides)

    def ways(self, part: Episodes, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str, ...]]:
        """The overrides of each regime on each topology.

        Args:
            part: Some episodes.
            at: Where they stand, for the error.

        Raises:
            ConfigError: If there is no such regime.
        """
        for number, regime in enumerate(part.regimes):
            if regime not in self.data.regimes:
                known = sorted(self.data.regimes)
                raise ConfigError(
                    f"no regime {regime!r}",
                    key=dotted((*at, "regimes", number)),
                    allowed=known,
                    nearest=nearest(regime, known),
                )
        plain: list[tuple[str, ...]] = [()]
        regimes = [self.data.regimes[regime] for regime in part.regimes] or plain
        places = [(f"{_TOPOLOGY}={name}",) for name in part.topologies] or plain
        yield from ((*regime, *part.overrides, *place) for regime in regimes for place in places)


def _graph(overrides: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """What `overrides` say of the topology, the last word on each key."""
    said = (override.partition("=") for override in overrides)
    words = {key.strip(): value.strip() for key, _, value in said}
    return tuple(sorted((key, value) for key, value in words.items() if key.startswith(_TOPOLOGY)))


def load_config(path: Path) -> TrainConfig:
    """The training configuration in a YAML file.

    With `like: other.yaml` (beside this file) all is as it stands there but for what this file says: a mapping changes
    the mapping there key by key, one of another `kind` takes its place, and so does anything else.

    Raises:
        ConfigError: With file, line, key, allowed values and the nearest one, if anything is wrong.
    """
    text = read_mapping(path)
    if "like" not in text.value:
        return _checked(text, str(path))
    said = dict(text.value)
    other = _other(said.pop("like"), text, path)
    return _checked(Text(_joined(read_mapping(other).value, said), text.lines), str(path), checked="data" not in said)


def _other(like: Any, text: Text, path: Path) -> Path:
    """The file that `path` is like, which must be right and speak for itself."""
    other = Path(path).parent / str(like)
    if not other.is_file() or "like" in read_mapping(other).value:
        wrong = "is itself like another" if other.is_file() else "there is no such file"
        raise ConfigError(
            f"{wrong}: {like}", file=str(path), line=text.line(("like",)), key="like", allowed=["a whole configuration"]
        )
    load_config(other)
    return other


def _joined(there: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    joined = dict(there)
    for key, value in here.items():
        before = there.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and value.get("kind") == before.get("kind"):
            joined[key] = {**before, **value}
        else:
            joined[key] = value
    return joined


def read_mapping(path: Path) -> Text:
    """The YAML file of a training configuration, before anything of it is checked.

    Raises:
        ConfigError: If it cannot be read or is no mapping.
    """
    try:
        written = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from error
    text = parse(written, file=str(path))
    if not isinstance(text.value, dict):
        raise ConfigError(
            "a training configuration is a mapping", file=str(path), line=1, allowed=list(TrainConfig.model_fields)
        )
    return text


def _checked(text: Text, file: str, *, checked: bool = False) -> TrainConfig:
    """The configuration that `text` says; its scenarios were `checked` where they come from another file."""
    try:
        config = TrainConfig.model_validate(text.value)
    except ValidationError as error:
        raise explain(error, TrainConfig, text, file=file, overrides={}) from error
    try:
        list(config.wanted())
    except ConfigError as error:
        place = tuple(int(part) if part.isdecimal() else part for part in (error.key or "").split("."))
        raise ConfigError(
            error.message,
            file=file,
            line=text.line(place),
            key=error.key,
            allowed=error.allowed,
            nearest=error.nearest,
        ) from error
    for split in SPLITS if not checked else ():
        for i, part in enumerate(getattr(config.data, split)):
            _check_scenario(config, part, ("data", split, i), text, file)
    return config


@cache
def _hold(scenario: str, overrides: tuple[str, ...]) -> None:
    """Reads a scenario to find what is wrong; what was right once is not read again for the next configuration."""
    load(scenario, overrides)


def _check_scenario(config: TrainConfig, part: Episodes, at: tuple[str | int, ...], text: Text, file: str) -> None:
    """Holds a scenario and all its overrides to the schema: what is wrong is told where this file says it."""
    said: list[tuple[tuple[str | int, ...], str]] = [
        *(
            (("data", "regimes", name, i), one)
            for name in part.regimes
            for i, one in enumerate(config.data.regimes[name])
        ),
        *(((*at, "overrides", i), one) for i, one in enumerate(part.overrides)),
        *(((*at, "topologies", i), f"{_TOPOLOGY}={name}") for i, name in enumerate(part.topologies)),
    ]
    places = {override: place for place, override in said}
    try:
        # what a regime says has nothing to do with the graph: each of both is held once, not each pair
        for name in ("topologies", "regimes"):
            for overrides in config.ways(part.model_copy(update={name: getattr(part, name)[:1]})):
                _hold(part.scenario, overrides)
    except ConfigError as error:
        raise within(error, text, file=file, scenario=(*at, "scenario"), overrides=places) from error
