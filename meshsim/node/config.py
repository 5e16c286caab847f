"""What one real node is told at its start: a YAML or JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from meshsim.agent import AgentConfig
from meshsim.mesh.errors import ConfigError, IdentityError, nearest
from meshsim.mesh.ids import AuraID, NodeId, from_did_key

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One node.

    Attributes:
        aura: The person it belongs to, `@alice.aura`.
        key: File of its Ed25519 key (`meshsim node keygen`).
        registry: Where nodes meet, `http://host:port`.
        role: `peer`, `edge`, `relay` or `super_node`.
        nat: `open`, `cone`, `port_restricted` or `symmetric`, as known to its owner.
        latitude, longitude: Degrees; they predict delay where nothing was measured.
        aic: Whether it supports AIC.
        capacity_bps: Access rate, bits per second.
        max_calls: Calls carried for others at most.
        neighbours: `did:key` of nodes to keep a link with.
        addresses: Local IPv4 addresses to use.
        policy: Who ranks routes.
        model: Artefact of the learned policy; the packaged one when absent.
        reputation: The reputation model.
        emulator: `host:port` of a link emulator's control socket; every datagram then passes through it.
        traffic: File to count datagrams in.
        trace: Folder to write the node's trace to.
        misbehaviour: `honest`, `black_hole` or `gray_hole`: for experiments.
        strength: Of the misbehaviour.
        seed: Of its draws.
        agent: Periods and limits of the agent.
        stdio: Whether it takes commands as JSON lines from its standard input, and ends with it.
    """

    aura: str
    key: str
    registry: str
    role: str = "peer"
    nat: str = "open"
    latitude: Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)] = 0.0
    longitude: Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)] = 0.0
    aic: bool = False
    capacity_bps: Annotated[float, msgspec.Meta(gt=0.0)] = 10e6
    max_calls: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    neighbours: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ("127.0.0.1",)
    policy: str = "learned"
    model: str | None = None
    reputation: str = "beta"
    emulator: str | None = None
    traffic: str | None = None
    trace: str | None = None
    misbehaviour: str = "honest"
    strength: Share = 1.0
    seed: int = 1
    agent: AgentConfig = AgentConfig()
    stdio: bool = False

    def __post_init__(self) -> None:
        try:
            AuraID.parse(self.aura)
            _ = self.neighbour_ids
        except IdentityError as wrong:
            raise ValueError(str(wrong)) from wrong

    @property
    def neighbour_ids(self) -> tuple[NodeId, ...]:
        """The neighbours' node ids."""
        return tuple(from_did_key(text) for text in self.neighbours)


def load_config(path: Path) -> NodeConfig:
    """The node that `path` describes.

    Raises:
        ConfigError: With file, line or key, and what is allowed.
    """
    try:
        plain = YAML(typ="safe").load(path)
    except MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else None
        raise ConfigError(f"not YAML: {wrong.problem}", file=str(path), line=line) from wrong
    except (YAMLError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"not YAML: {wrong}", file=str(path)) from wrong
    if not isinstance(plain, dict):
        raise ConfigError(
            "a node's file is a mapping of keys to values", file=str(path), allowed=NodeConfig.__struct_fields__
        )
    known = NodeConfig.__struct_fields__
    for key in plain:
        if key not in known:
            raise ConfigError(
                "unknown key", file=str(path), key=str(key), allowed=known, nearest=nearest(str(key), known)
            )
    try:
        return msgspec.convert(plain, NodeConfig)
    except msgspec.ValidationError as wrong:
        raise ConfigError(str(wrong), file=str(path)) from wrong
