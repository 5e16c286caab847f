"""What a delay model is trained on, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from meshsim.learn.config import Part, read_mapping
from meshsim.scenario.problems import explain

if TYPE_CHECKING:
    from pathlib import Path


class DelayConfig(Part):
    """A training of `learn.external`."""

    kind: Literal["delays"]
    """What tells it from the configuration of a route scorer."""
    name: str
    """Of the model."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Of the networks, their simulation, and the fit."""
    samples: Annotated[int, Field(ge=4, le=100)] = 100
    """Networks that are simulated, each of at most ten nodes: the 2022 challenge allows a hundred."""
    packet_hops: Annotated[float, Field(ge=1e3, le=1e9)] = 1e7
    """How long each is simulated: until so many packets have passed a link."""
    longest: Annotated[float, Field(gt=0, le=1e6)] = 40_000.0
    """Simulated seconds at most."""
    held_out: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.15
    """Share of the networks that no gradient sees: they say which step is kept."""
    state: Annotated[int, Field(ge=4, le=256)] = 32
    """Numbers that a hop's state has."""
    rounds: Annotated[int, Field(ge=0, le=8)] = 0
    """Of messages between hops that share a queue or a flow."""
    steps: Annotated[int, Field(ge=1, le=100_000)] = 2400
    """Of the optimiser."""
    parts: Annotated[int, Field(ge=1, le=100)] = 8
    """Steps that the networks are shared out over, anew each time."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    """At the beginning; it ends at nothing, down a cosine."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.3
    """Of AdamW."""


def load_delay_config(path: Path) -> DelayConfig:
    """The configuration in a YAML file.

    Raises:
        ConfigError: If it cannot be read or says what it may not.
    """
    text = read_mapping(path)
    try:
        return DelayConfig.model_validate(text.value)
    except ValidationError as error:
        raise explain(error, DelayConfig, text, file=str(path), overrides={}) from error


def is_delay_config(path: Path) -> bool:
    """Whether a YAML file is meant for a delay model.

    Raises:
        ConfigError: If it cannot be read.
    """
    return bool(read_mapping(path).value.get("kind") == "delays")
