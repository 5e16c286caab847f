"""What a scenario says of the overlay's nodes: how many, their roles, last mile, NAT, and those said by name."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from meshsim.scenario import census
from meshsim.scenario.nat import MIXES, NatMix
from meshsim.scenario.part import Part
from meshsim.scenario.quantities import (
    Amount,
    Aura,
    Behaviour,
    Count,
    Distance,
    Domain,
    Duration,
    Flag,
    Number,
    PartName,
    Probability,
    Rate,
    refuse,
)
from meshsim.scenario.topologies.placement import Placement

RoleName = Literal["peer", "edge", "relay", "super_node"]
NatName = Literal["open", "cone", "port_restricted", "symmetric"]


class Roles(Part):
    """How many nodes have each role, as numbers or shares of all nodes; the rest are peers."""

    edge: Amount = 0
    """Edges: carry a few calls for others."""
    relay: Amount = 0.25
    """Relays."""
    super_node: Amount = 0.05
    """Super nodes: relays with much capacity."""


class Access(Part):
    """The last mile of a node."""

    up: Rate = 10e6
    """Median rate towards the network, bits per second."""
    down: Rate = 50e6
    """Median rate from the network, bits per second."""
    delay: Duration = 0.008
    """Median one-way delay, seconds."""
    jitter: Duration = 0.0012
    """Median jitter, seconds."""
    loss: Probability = 0.0005
    """Median loss probability."""
    spread: Annotated[Number, Field(ge=0, le=3)] = 0.5
    """Sigma of the log-normal spread of all five over nodes; 0 gives every node the medians."""


class AccessByRole(Part):
    """The last mile, for each role."""

    peer: Access = Access()
    """Of peers."""
    edge: Access = Access(up=50e6, down=100e6, delay=0.004, jitter=0.0006, loss=0.0003, spread=0.4)
    """Of edges."""
    relay: Access = Access(up=200e6, down=200e6, delay=0.001, jitter=0.0002, loss=0.0001, spread=0.3)
    """Of relays."""
    super_node: Access = Access(up=1e9, down=1e9, delay=0.0005, jitter=0.0001, loss=0.00005, spread=0.2)
    """Of super nodes."""


class MaxCalls(Part):
    """Most calls that a node carries for others, for each role; peers carry none."""

    edge: Count = 4
    """Of edges."""
    relay: Count = 24
    """Of relays."""
    super_node: Count = 80
    """Of super nodes."""


class NamedNode(Part):
    """One node that the scenario says by name."""

    name: PartName
    """Unique short name."""
    aura: Aura | None = None
    """Its AuraID; `@<name>.aura` when absent."""
    role: RoleName = "peer"
    """What it offers."""
    at: str | Count | None = None
    """The underlay place, by name or index; drawn when absent."""
    nat: NatName | None = None
    """Its NAT type; drawn when absent (relays and super nodes: open)."""
    aic: Flag | None = None
    """Whether it supports AIC; drawn when absent."""
    domain: Domain = ""
    """Federated domain; "" is home."""
    access: Access | None = None
    """Its last mile; that of its role when absent."""
    max_calls: Count | None = None
    """Most calls it carries for others; that of its role when absent."""
    behaviour: Behaviour = "honest"
    """How it behaves towards others' calls."""
    strength: Probability = 1.0
    """How strongly it misbehaves, e.g. the share of packets a gray hole drops."""


class NodesConfig(Part):
    """The nodes of the overlay."""

    count: Annotated[Count, Field(ge=2, le=20_000)] = 60
    """Number of nodes, the named ones included."""
    roles: Roles = Roles()
    """How many nodes of each role, named ones included."""
    nat: NatMix = NatMix(**MIXES["default"])
    """NAT types of peers and edges."""
    punch_success: Probability = 1.0
    """Share of pairs behind NATs whose hole punching works, of those whose types allow it; nobody knows beforehand."""
    aic: Probability = 0.5
    """Share of nodes that support AIC."""
    access: AccessByRole = AccessByRole()
    """The last mile."""
    max_calls: MaxCalls = MaxCalls()
    """Call capacity of relaying nodes."""
    max_connections: Annotated[Count, Field(le=20_000)] = 0
    """Most nodes that a node has media links with at a time; 0 sets no limit."""
    placement: Placement = Placement()
    """Where nodes are that are not said to be at a place."""
    scatter: Distance = 50e3
    """How far nodes lie from their underlay place, metres (one standard deviation)."""
    relays_per_node: Annotated[Count, Field(ge=1, le=64)] = 3
    """Nearest relays that each node keeps a link with; two random ones come on top."""
    random_relays: Annotated[Count, Field(le=64)] = 2
    """Random relays that each node keeps a link with."""
    links: Literal["overlay", "edges"] = "overlay"
    """`overlay`: nodes keep links with relays anywhere, and any two may try to connect; `edges`: a relaying node at
    every place has links along the edges there only, a peer with the one at its place, as in a mesh of radios."""
    devices: Annotated[Number, Field(ge=1, le=8)] = 1.0
    """Mean number of peers that share one AuraID."""
    named: tuple[NamedNode, ...] = ()
    """Nodes said by name."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [node.name for node in self.named]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise refuse(f"the name {name!r} is taken", at=("nodes", "named", i, "name"))
        if len(names) > self.count:
            raise refuse(f"{len(names)} named nodes do not fit into {self.count}", at=("nodes", "count"))
        wanted = sum(census.numbers(self).values()) + sum(node.role == "peer" for node in self.named)
        if wanted > self.count:
            raise refuse(f"roles and named peers make {wanted} nodes, count says {self.count}", at=("nodes", "roles"))
        return self
