"""What a scenario may say: frozen models, every field with a default, values in SI units after validation.

Reading files and explaining errors lives in `source`; turning a scenario into a plan lives in `compiler`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from meshsim.mesh.errors import IdentityError, nearest
from meshsim.mesh.ids import AuraID
from meshsim.scenario import census
from meshsim.scenario.quantities import (
    Amount,
    Aura,
    Behaviour,
    Count,
    Distance,
    Duration,
    Extent,
    Flag,
    Misbehaviour,
    Number,
    PartName,
    PolicyName,
    PositiveDuration,
    Probability,
    Rate,
    ReputationName,
    refuse,
)
from meshsim.scenario.topologies import GENERATORS, check_name, load

if TYPE_CHECKING:
    from meshsim.mesh.topology import Topology

RoleName = Literal["peer", "edge", "relay", "super_node"]
NatName = Literal["open", "cone", "port_restricted", "symmetric"]
MediaName = Literal["audio", "audio_video", "data"]

_SHARE_TOLERANCE = 1e-6
_MOST_CALLS = 5e6


class Part(BaseModel):
    """Base of all parts of a scenario: frozen, unknown keys refused, defaults checked like what is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)


class Shares(Part):
    """Base of mixes: shares that sum to 1."""

    @model_validator(mode="after")
    def _sum(self) -> Self:
        total = sum(self.shares().values())
        if abs(total - 1.0) > _SHARE_TOLERANCE:
            raise refuse(f"the shares sum to {total:g}, not 1", allowed=["shares that sum to 1"])
        return self

    def shares(self) -> dict[str, float]:
        """Share of each kind, in the order of the fields."""
        return {name: float(getattr(self, name)) for name in type(self).model_fields}


# --- the network below ------------------------------------------------------------------------------------------------


class Generated(Part):
    """Base of generated topologies."""

    generator: str
    """Which generator."""
    seed: Count | None = None
    """Seed of the graph; that of the episode when absent."""

    def parameters(self) -> dict[str, float]:
        """What the generator takes beside the seed."""
        return self.model_dump(exclude={"generator", "seed"})


class Grid(Generated):
    """A grid of places, each joined to its neighbours to the right and below."""

    generator: Literal["grid"]
    """Which generator."""
    rows: Annotated[Count, Field(ge=1, le=40)] = 4
    """Rows of places."""
    columns: Annotated[Count, Field(ge=1, le=40)] = 5
    """Columns of places."""
    spacing: Extent = 500e3
    """Metres between neighbours."""

    @model_validator(mode="after")
    def _has_links(self) -> Self:
        if self.rows * self.columns == 1:
            raise refuse("a grid has at least two places")
        return self


class Ring(Generated):
    """Places on a circle, each joined to the next."""

    generator: Literal["ring"]
    """Which generator."""
    places: Annotated[Count, Field(ge=3, le=1000)] = 12
    """Number of places."""
    spacing: Extent = 500e3
    """Metres between neighbours."""


class Waxman(Generated):
    """Random places; two are joined with probability beta exp(-d / (alpha L)) (Waxman 1988)."""

    generator: Literal["waxman"]
    """Which generator."""
    places: Annotated[Count, Field(ge=2, le=1000)] = 30
    """Number of places."""
    alpha: Annotated[Number, Field(gt=0, le=10)] = 0.2
    """Reach of links, relative to the largest distance L."""
    beta: Annotated[Number, Field(gt=0, le=1)] = 0.6
    """Density of links."""
    extent: Extent = 4000e3
    """Side of the square of places, metres."""


class Geometric(Generated):
    """Random places; two are joined when nearer than a radius."""

    generator: Literal["geometric"]
    """Which generator."""
    places: Annotated[Count, Field(ge=2, le=1000)] = 30
    """Number of places."""
    radius: Annotated[Number, Field(gt=0, le=2)] = 0.3
    """Radius, relative to the side of the square."""
    extent: Extent = 4000e3
    """Side of the square of places, metres."""


class BarabasiAlbert(Generated):
    """Random places joined by preferential attachment (Barabasi and Albert 1999)."""

    generator: Literal["barabasi_albert"]
    """Which generator."""
    places: Annotated[Count, Field(ge=2, le=1000)] = 30
    """Number of places."""
    attachments: Annotated[Count, Field(ge=1, le=50)] = 2
    """Links that each new place brings."""
    extent: Extent = 4000e3
    """Side of the square of places, metres."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.attachments >= self.places:
            raise refuse(f"attachments must be fewer than places: {self.attachments} >= {self.places}")
        return self


def _topology_tag(value: object) -> str:
    if isinstance(value, Generated):
        return value.generator
    return str(value["generator"]) if isinstance(value, Mapping) else "name"


def _check_generator(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    known = sorted(GENERATORS)
    if "generator" not in value:
        raise refuse("the key 'generator' is missing", allowed=known)
    given = value["generator"]
    if given not in known:
        near = nearest(given, known) if isinstance(given, str) else None
        raise refuse(f"unknown generator {given!r}", allowed=known, near=near, at=("underlay", "topology", "generator"))
    return value


TopologySource = Annotated[
    Annotated[str, AfterValidator(check_name), Tag("name")]
    | Annotated[Grid, Tag("grid")]
    | Annotated[Ring, Tag("ring")]
    | Annotated[Waxman, Tag("waxman")]
    | Annotated[Geometric, Tag("geometric")]
    | Annotated[BarabasiAlbert, Tag("barabasi_albert")],
    Discriminator(_topology_tag),
    BeforeValidator(_check_generator),
]
"""A name such as `topozoo/HurricaneElectric`, or a mapping `{generator: waxman, places: 30}`."""


class Congestion(Part):
    """Episodes of congestion on underlay edges: background utilisation rises for a while."""

    rate_per_edge_per_hour: Annotated[Number, Field(ge=0, le=3600)] = 2.0
    """Mean number of episodes on one edge in an hour."""
    duration: PositiveDuration = 120.0
    """Mean length of an episode, seconds (exponential)."""
    extra_utilisation: Probability = 0.35
    """Utilisation added while it lasts."""


class Drift(Part):
    """How the background utilisation of each underlay edge wanders: an Ornstein-Uhlenbeck process on the logit scale."""

    period: PositiveDuration = 5.0
    """Step, seconds."""
    reversion: PositiveDuration = 120.0
    """Time constant of the return to the mean, seconds."""
    volatility: Annotated[Number, Field(ge=0, le=5)] = 0.4
    """Stationary standard deviation on the logit scale."""
    congestion: Congestion = Congestion()
    """Episodes of congestion."""


class UnderlayConfig(Part):
    """The real network below the overlay."""

    topology: TopologySource = "topozoo/HurricaneElectric"
    """Places and edges: a name, or a generator."""
    capacity: Rate = 1e9
    """Capacity of an edge, bits per second (the median, when `capacity_spread` is set)."""
    capacity_spread: Annotated[Number, Field(ge=0, le=3)] = 0.0
    """Sigma of the log-normal spread of capacities."""
    utilisation_mean: Annotated[Probability, Field(lt=1)] = 0.45
    """Median background utilisation of an edge."""
    utilisation_spread: Annotated[Number, Field(ge=0, le=5)] = 0.6
    """Standard deviation of the edges' mean utilisation on the logit scale."""
    loss: Probability = 0.0003
    """Mean base loss of an edge."""
    loss_spread: Annotated[Number, Field(ge=0, le=3)] = 1.0
    """Sigma of the log-normal spread of base losses."""
    routing_inflation: Annotated[Number, Field(ge=0, le=3)] = 0.5
    """How far routes stray from the shortest: sigma of the factor on each edge's routing weight; 0 is shortest."""
    hop_cost: Distance = 200e3
    """Length that each hop adds to the routing weight, metres: policy prefers few networks."""
    hop_delay: Duration = 0.0002
    """Forwarding delay of each edge, seconds."""
    fibre_stretch: Annotated[Number, Field(ge=1, le=5)] = 1.4
    """Fibre length over the length drawn on the map."""
    drift: Drift = Drift()
    """How link quality changes over time."""


# --- nodes ------------------------------------------------------------------------------------------------------------


class Roles(Part):
    """How many nodes have each role, as numbers or shares of all nodes; the rest are peers."""

    edge: Amount = 0
    """Edges: carry a few calls for others."""
    relay: Amount = 0.25
    """Relays."""
    super_node: Amount = 0.05
    """Super nodes: relays with much capacity."""


class NatMix(Shares):
    """Shares of NAT types among peers and edges (they sum to 1); relays and super nodes are open."""

    open: Probability = 0.0
    """Reached from outside without help."""
    cone: Probability = 0.0
    """Full or address-restricted cone."""
    port_restricted: Probability = 0.0
    """Port-restricted cone."""
    symmetric: Probability = 0.0
    """Symmetric."""


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
    domain: str = ""
    """Federated domain; "" is home."""
    access: Access | None = None
    """Its last mile; that of its role when absent."""
    max_calls: Count | None = None
    """Most calls it carries for others; that of its role when absent."""
    behaviour: Behaviour = "honest"
    """How it behaves towards others' calls."""
    strength: Probability = 1.0
    """How strongly it misbehaves, e.g. the share of packets a gray hole drops."""

    @model_validator(mode="after")
    def _names_hold(self) -> Self:
        try:
            AuraID(self.name, self.domain)
        except IdentityError as error:
            raise refuse(str(error), allowed=["example.org"]) from error
        return self


class NodesConfig(Part):
    """The nodes of the overlay."""

    count: Annotated[Count, Field(ge=2, le=20_000)] = 60
    """Number of nodes, the named ones included."""
    roles: Roles = Roles()
    """How many nodes of each role, named ones included."""
    nat: NatMix = NatMix(open=0.15, cone=0.3, port_restricted=0.4, symmetric=0.15)
    """NAT types of peers and edges."""
    aic: Probability = 0.5
    """Share of nodes that support AIC."""
    access: AccessByRole = AccessByRole()
    """The last mile."""
    max_calls: MaxCalls = MaxCalls()
    """Call capacity of relaying nodes."""
    scatter: Distance = 50e3
    """How far nodes lie from their underlay place, metres (one standard deviation)."""
    relays_per_node: Annotated[Count, Field(ge=1, le=64)] = 3
    """Nearest relays that each node keeps a link with; two random ones come on top."""
    random_relays: Annotated[Count, Field(le=64)] = 2
    """Random relays that each node keeps a link with."""
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


# --- what happens -----------------------------------------------------------------------------------------------------


class CallDuration(Part):
    """Log-normal length of calls."""

    median: PositiveDuration = 70.0
    """Seconds."""
    sigma: Annotated[Number, Field(ge=0, le=4)] = 0.8
    """Standard deviation of the logarithm."""


class MediaMix(Shares):
    """Shares of media types among calls; they sum to 1."""

    audio: Probability = 0.0
    """Opus."""
    audio_video: Probability = 0.0
    """Opus and 1 Mbit/s of video."""
    data: Probability = 0.0
    """A bulk data channel."""


class ListedCall(Part):
    """One call that the scenario says itself."""

    at: Duration
    """When it starts, seconds."""
    caller: Aura
    """Who calls."""
    callee: Aura
    """Who is called."""
    media: MediaName = "audio"
    """What it carries."""
    duration: PositiveDuration = 60.0
    """Seconds."""


class CallsConfig(Part):
    """Who calls whom: a Poisson process of calls between people, and calls said one by one."""

    rate: Annotated[Number, Field(ge=0, le=10_000)] = 1.0
    """Calls per second in the whole mesh."""
    duration: CallDuration = CallDuration()
    """How long calls last."""
    media: MediaMix = MediaMix(audio=0.7, audio_video=0.3)
    """What calls carry."""
    listed: tuple[ListedCall, ...] = ()
    """Calls said one by one, added to the drawn ones."""


class Churn(Part):
    """Nodes that leave without a word and come back; session and downtime lengths are exponential."""

    enabled: Flag = False
    """Whether nodes churn at all."""
    session_mean: Annotated[Duration, Field(ge=1)] = 1200.0
    """Mean seconds up."""
    downtime_mean: Annotated[Duration, Field(ge=1)] = 90.0
    """Mean seconds down."""
    applies_to: Literal["relays", "all"] = "relays"
    """Which nodes churn: those that carry others' calls, or all."""


class Fault(Part):
    """Something that happens to one node."""

    at: Duration
    """When, seconds."""
    kind: Literal["down", "up"] = "down"
    """`down`: the node vanishes without a word; `up`: it is back."""
    node: PartName
    """The node's name."""


class MisbehaviourConfig(Part):
    """Relaying nodes that misbehave, drawn among those not said by name."""

    kind: Misbehaviour
    """How."""
    share: Probability = 0.1
    """Share of the relaying nodes (edges, relays, super nodes)."""
    strength: Probability = 1.0
    """Middle of the strength: the share of packets (gray hole) it drops."""
    strength_spread: Probability = 0.0
    """Half width of the uniform spread of strengths around the middle."""


# --- how nodes work ---------------------------------------------------------------------------------------------------


class TrustConfig(Part):
    """The reputation model."""

    model: ReputationName = "beta"
    """Which model."""
    half_life: PositiveDuration = 3600.0
    """Seconds after which evidence counts half."""
    parameters: dict[str, Number] = {}
    """Further parameters of the model."""


class RoutingConfig(Part):
    """How routes are chosen."""

    policy: PolicyName = "weighted"
    """What ranks candidates."""
    model: str | None = None
    """Artefact of the learned policy: a name or folder; the packaged one when absent."""
    candidates: Annotated[Count, Field(ge=1, le=64)] = 16
    """Most candidate paths of a call, the direct one included."""
    trust_floor: Annotated[Number, Field(ge=0, le=100)] = 30.0
    """Reputation below which a node relays no calls."""
    fallbacks: Annotated[Count, Field(le=16)] = 2
    """Paths kept in reserve."""
    exploration: Probability = 0.1
    """Share of calls that the exploring policy sends elsewhere."""


class ControlConfig(Part):
    """How nodes come to know the network."""

    mode: Literal["agents", "modelled"] = "modelled"
    """`agents`: every node runs a MeshAgent; `modelled`: belief is truth made stale, noisy and incomplete."""
    digest_period: PositiveDuration = 20.0
    """Seconds between gossip digests."""
    probe_period: PositiveDuration = 10.0
    """Seconds between probes of a link."""
    heartbeat: PositiveDuration = 5.0
    """Seconds between heartbeats of neighbours."""
    noise: Annotated[Number, Field(ge=0, le=2)] = 0.1
    """Relative standard deviation of measurements."""
    missing: Probability = 0.03
    """Share of link entries that a digest lacks."""


class MediaConfig(Part):
    """How media load the network."""

    mode: Literal["flow"] = "flow"
    """`flow`: calls are fluid rates."""


class RecordConfig(Part):
    """What goes into the trace beside calls and trust."""

    views: Flag = True
    """The views that routing decided on; learning needs them."""
    candidates: Flag = True
    """Every candidate of a call with its true outcome; learning needs them."""
    link_period: PositiveDuration = 60.0
    """Seconds between samples of links."""


class Scenario(Part):
    """One episode of a mesh: the network below, nodes, calls, what goes wrong, and how nodes work."""

    name: PartName = "scenario"
    """Short name."""
    description: str = ""
    """For people."""
    duration: Annotated[PositiveDuration, Field(le=30 * 86400.0)] = 600.0
    """Length of the episode, seconds."""
    warmup: Duration = 60.0
    """Seconds at the start whose calls are not recorded."""
    underlay: UnderlayConfig = UnderlayConfig()
    """The real network below the overlay."""
    nodes: NodesConfig = NodesConfig()
    """The nodes of the overlay."""
    calls: CallsConfig = CallsConfig()
    """Who calls whom."""
    churn: Churn = Churn()
    """Nodes that come and go."""
    faults: tuple[Fault, ...] = ()
    """Things that happen to single nodes."""
    misbehaviour: tuple[MisbehaviourConfig, ...] = ()
    """Nodes that misbehave."""
    trust: TrustConfig = TrustConfig()
    """The reputation model."""
    routing: RoutingConfig = RoutingConfig()
    """How routes are chosen."""
    control: ControlConfig = ControlConfig()
    """How nodes come to know the network."""
    media: MediaConfig = MediaConfig()
    """How media load the network."""
    record: RecordConfig = RecordConfig()
    """What is recorded."""

    def topology(self, seed: int) -> Topology:
        """The underlay's topology in the episode `seed`."""
        source = self.underlay.topology
        if isinstance(source, Generated):
            own = seed if source.seed is None else source.seed
            return load(source.generator, own, **source.parameters())
        return load(source)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.warmup >= self.duration:
            raise refuse(f"the warm-up ({self.warmup:g} s) must end before the episode ({self.duration:g} s)", at=("warmup",))
        total = sum(entry.share for entry in self.misbehaviour)
        if total > 1 + _SHARE_TOLERANCE:
            raise refuse(f"the shares of misbehaving nodes sum to {total:g}, more than 1", at=("misbehaviour",))
        self._check_people()
        self._check_places()
        return self

    def _check_places(self) -> None:
        asked = [(i, node.at) for i, node in enumerate(self.nodes.named) if node.at is not None]
        known = self.topology(0).names if asked else ()
        for i, place in asked:
            at = ("nodes", "named", i, "at")
            if isinstance(place, str):
                _check_known("place", place, set(known), at)
            elif place >= len(known):
                raise refuse(f"no place {place} in the topology", allowed=[f"0 to {len(known) - 1}"], at=at)

    def _check_people(self) -> None:
        members = census.members(self.nodes)
        peers = {member.aura for member in members if member.role == "peer"}
        if self.calls.rate and len(peers) < 2:  # noqa: PLR2004 - a call has two ends
            raise refuse(f"calls need two people, the peers belong to {len(peers)}", at=("calls", "rate"))
        if self.calls.rate * self.duration > _MOST_CALLS:
            raise refuse(f"{self.calls.rate * self.duration:.3g} calls are too many", allowed=[f"<= {_MOST_CALLS:.0e}"], at=("calls", "rate"))
        names = {member.name for member in members}
        auras = {member.aura for member in members}
        for i, fault in enumerate(self.faults):
            _check_known("node", fault.node, names, ("faults", i, "node"))
        for i, call in enumerate(self.calls.listed):
            _check_known("AuraID", call.caller, auras, ("calls", "listed", i, "caller"))
            _check_known("AuraID", call.callee, auras, ("calls", "listed", i, "callee"))
            if call.caller == call.callee:
                raise refuse(f"{call.caller} calls itself", at=("calls", "listed", i, "callee"))
            if call.at >= self.duration:
                raise refuse(f"starts at {call.at:g} s, after the end", at=("calls", "listed", i, "at"))


_MOST_LISTED = 12


def _check_known(kind: str, value: str, known: set[str], at: tuple[str | int, ...]) -> None:
    if value not in known:
        names = sorted(known)
        shown = names if len(names) <= _MOST_LISTED else [*names[:_MOST_LISTED], "..."]
        raise refuse(f"no {kind} {value!r} in this scenario", allowed=shown, near=nearest(value, names), at=at)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of scenario files, with a description of every key."""
    return Scenario.model_json_schema()
