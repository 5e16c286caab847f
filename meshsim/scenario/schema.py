"""What a scenario may say: frozen models, every field with a default, values in SI units after validation.

Here stand what happens, how nodes work, and the whole; the network below and the nodes have their own files. Reading
files lives in `source`, explaining errors in `problems`, turning a scenario into a plan in `compiler`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from meshsim.mesh.display import table
from meshsim.mesh.errors import nearest
from meshsim.scenario import census, federation, misbehaviour
from meshsim.scenario.aic import AicConfig, AicShares
from meshsim.scenario.arrivals import Arrivals, CallDuration, Locality
from meshsim.scenario.federation import FederationConfig
from meshsim.scenario.graph_file import GraphFile
from meshsim.scenario.misbehaviour import MisbehaviourConfig
from meshsim.scenario.mobility import MobilityConfig
from meshsim.scenario.network import Congestion, Drift, Generated, UnderlayConfig
from meshsim.scenario.nodes import Access, NamedNode, NodesConfig
from meshsim.scenario.outages import NO_OUTAGES, Outages
from meshsim.scenario.part import Part, Shares
from meshsim.scenario.quantities import (
    ORACLE,
    POLICY_NAMES,
    Aura,
    Count,
    Duration,
    Flag,
    Number,
    PartName,
    Period,
    PolicyName,
    PositiveDuration,
    Probability,
    ProcessName,
    ProtocolName,
    ReputationName,
    refuse,
)
from meshsim.scenario.ringing import Ringing
from meshsim.scenario.sessions import Churn
from meshsim.scenario.topologies import load

if TYPE_CHECKING:
    from meshsim.mesh.topology import Topology

__all__ = [
    "Access",
    "CallsConfig",
    "Churn",
    "Congestion",
    "ControlConfig",
    "Drift",
    "Fault",
    "ListedCall",
    "MediaConfig",
    "MisbehaviourConfig",
    "NamedNode",
    "NodesConfig",
    "RecordConfig",
    "RoutingConfig",
    "Scenario",
    "TrustConfig",
    "UnderlayConfig",
    "json_schema",
]

MediaName = Literal["audio", "audio_video", "data"]

_MOST_CALLS = 5e6
_MOST_LISTED = 12


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
    """Calls per second in the whole mesh, on average over a week and without crowds."""
    duration: CallDuration = CallDuration()
    """How long calls last."""
    arrivals: Arrivals = Arrivals()
    """How the rate changes over time."""
    locality: Locality = Locality()
    """Whom people call."""
    media: MediaMix = MediaMix(audio=0.7, audio_video=0.3)
    """What calls carry."""
    listed: tuple[ListedCall, ...] = ()
    """Calls said one by one, added to the drawn ones."""
    ringing: Ringing = Ringing()
    """Whether and how people answer."""
    aic: AicShares = AicShares(off=1.0)
    """Who asks for AIC."""


class Fault(Part):
    """Something that happens to one node."""

    at: Duration
    """When, seconds."""
    kind: Literal["down", "up"] = "down"
    """`down`: the node vanishes without a word; `up`: it is back."""
    node: PartName
    """The node's name."""


class TrustConfig(Part):
    """The reputation model."""

    model: ReputationName = "beta"
    """Which model."""
    half_life: PositiveDuration = 3600.0
    """Seconds after which evidence counts half."""
    parameters: dict[str, Number] = Field(default_factory=dict)
    """Further parameters of the model."""
    anchors: Probability = 0.0
    """Share of the nodes that are verified by other means: models that weigh raters take their word from the start
    (modelled control plane only)."""
    blame: bool = False
    """Whether it is inferred which relay of a failed path is to blame (modelled control plane only); evenly shared
    otherwise."""
    newcomers: Probability = 1.0
    """Share of calls that newcomers may relay where there are enough relays with a name; 1 lets them relay any."""
    reports: Probability = 0.0
    """Share of callers with a call that a relay spoilt who report the relay likely to blame (modelled control plane
    only)."""
    review: Duration = 0.0
    """Seconds from one review of a reported relay to the next; 0 where nobody reviews (modelled control plane only)."""
    appeals: Probability = 0.0
    """Share of banned relays that ask for a second look (modelled control plane only)."""


class RoutingConfig(Part):
    """How routes are chosen."""

    policy: PolicyName = "weighted"
    """What ranks candidates."""
    protocol: ProtocolName = ""
    """A routing protocol whose next hops calls follow (modelled control plane only), instead of the engine and its
    policy; "" for the engine."""
    model: str | None = None
    """Artefact of the learned policy: a name or folder; the packaged one when absent."""
    candidates: Annotated[Count, Field(ge=1, le=64)] = 16
    """Most candidate paths of a call, the direct one included."""
    trust_floor: Annotated[Number, Field(ge=0, le=100)] = 30.0
    """Reputation below which a node relays no calls."""
    max_hops: Annotated[Count, Field(le=64)] = 0
    """Most links of a path (modelled control plane only); 0 leaves it to what the call carries."""
    fallbacks: Annotated[Count, Field(le=16)] = 2
    """Paths kept in reserve."""
    exploration: Probability = 0.1
    """Share of calls that the policies exploring, q-routing and via send elsewhere."""
    relay_budget: Probability = 0.3
    """Share of calls that the policy via may relay: the 30 % with which VIA had half of what relaying can gain."""
    batch: Annotated[Duration, Field(le=60)] = 0.0
    """Seconds: the calls of a window so long are ranked together, on what is believed when it begins (modelled control
    plane only); 0 ranks each call by itself, on what is believed when it starts."""


class ControlConfig(Part):
    """How nodes come to know the network."""

    mode: Literal["agents", "modelled"] = "modelled"
    """`agents`: every node runs a MeshAgent; `modelled`: belief is truth made stale, noisy and incomplete."""
    digest_period: Period = 20.0
    """Seconds between gossip digests."""
    probe_period: Period = 10.0
    """Seconds between probes of a link."""
    heartbeat: Period = 5.0
    """Seconds between heartbeats of neighbours."""
    keepalive: Period = 0.5
    """Seconds between keepalives of a call; a path silent for thrice that is given up (agents only)."""
    standby: Flag = False
    """Whether each call has a second route set up that shares no relay with its first (agents only)."""
    inquire: Flag = False
    """Whether neighbours are asked of a callee whose links the caller does not know (agents only)."""
    relay_first: Flag = False
    """Whether calls begin over relays while a direct link is being made, and then move to it (agents only)."""
    report_period: Period = 1.0
    """Seconds between reports of what a call's ends receive (agents only)."""
    area: Annotated[Count, Field(ge=8, le=250)] = 250
    """Nodes that a node keeps in mind: its neighbours, and those nearest on the map (agents only)."""
    noise: Annotated[Number, Field(ge=0, le=2)] = 0.1
    """Relative standard deviation of measurements."""
    missing: Probability = 0.03
    """Share of link entries that a digest lacks."""


class MediaConfig(Part):
    """How media load the network."""

    mode: Literal["flow", "packet"] = "flow"
    """`flow`: calls are fluid rates; `packet`: what calls live through comes from packets, one by one."""
    adaptive: Flag = False
    """Whether calls with video or data lower their rate where the resources on their way are short."""
    labels: Literal["flow", "packet"] = "flow"
    """Where a candidate's true outcome comes from: formulas, or (slow) packets replayed on each candidate."""


class RecordConfig(Part):
    """What goes into the trace beside calls and trust."""

    views: Flag = True
    """The views that routing decided on; learning needs them."""
    candidates: Flag = True
    """Every candidate of a call with its true outcome; learning needs them."""
    trust: Flag = True
    """Every move of a reputation in the eyes of every agent (agents only)."""
    link_period: Period = 60.0
    """Seconds between samples of links."""
    control: Flag = False
    """What control messages cost; always written of routing protocols."""


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
    federation: FederationConfig = FederationConfig()
    """Domains, and what they let each other do."""
    churn: Churn = Churn()
    """Nodes that come and go."""
    faults: tuple[Fault, ...] = ()
    """Things that happen to single nodes."""
    outages: Outages = NO_OUTAGES
    """Regions that fail, nodes and edges together."""
    mobility: MobilityConfig = MobilityConfig()
    """People who move."""
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
    aic: AicConfig = AicConfig()
    """The codec behind AIC."""
    record: RecordConfig = RecordConfig()
    """What is recorded."""
    processes: dict[ProcessName, dict[str, Any]] = Field(default_factory=dict)
    """What else goes on in the world: processes that installed packages bring (entry points in the group
    `meshsim.world_process`), each with its options."""

    def _repr_html_(self) -> str:
        said = self.model_dump(mode="json", exclude_unset=True, exclude={"name", "description"})
        rows = {key: _brief(value) for key, value in said.items()}
        note = f"{self.description}. Seconds, bits per second, metres; what is not told is as by default."
        return table(f"scenario {self.name}", rows, note=note.removeprefix(". "))

    def topology(self, seed: int) -> Topology:
        """The underlay's topology in the episode `seed`."""
        source = self.underlay.topology
        if isinstance(source, Generated):
            own = seed if source.seed is None else source.seed
            return load(source.generator, own, **source.parameters())
        return source.topology() if isinstance(source, GraphFile) else load(source)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.warmup >= self.duration:
            problem = f"the warm-up ({self.warmup:g} s) must end before the episode ({self.duration:g} s)"
            # the one of the two that is written, if only one is
            at = ("duration",) if "warmup" not in self.model_fields_set else ("warmup",)
            raise refuse(problem, allowed=["warmup < duration"], at=at)
        if self.control.mode == "agents":
            self._check_agents()
        if self.mobility.model != "none" and (self.control.mode == "agents" or self.media.mode == "packet"):
            problem = "nodes move with the modelled control plane and media as flows only"
            raise refuse(problem, allowed=["none"], at=("mobility", "model"))
        if self.mobility.model != "none" and self.nodes.links == "edges":
            raise refuse("nodes of a radio mesh stand still", allowed=["none"], at=("mobility", "model"))
        if self.calls.ringing.enabled and self.routing.batch:
            problem = "calls that ring are ranked when they are answered, not in batches"
            raise refuse(problem, allowed=["0"], at=("routing", "batch"))
        if self.media.labels == "packet" and self.media.mode == "flow":
            raise refuse("labels from packets need media in packets", allowed=["flow"], at=("media", "labels"))
        misbehaviour.check(self)
        self._check_people()
        self._check_places()
        federation.check(self)
        return self

    def _check_agents(self) -> None:
        """What only the modelled control plane can do."""
        if self.media.mode == "packet":
            raise refuse("packets need the modelled control plane", allowed=["flow"], at=("media", "mode"))
        if self.nodes.max_connections:
            raise refuse("a limit needs the modelled control plane", allowed=["0"], at=("nodes", "max_connections"))
        if self.nodes.links == "edges":
            raise refuse("radio links need the modelled control plane", allowed=["overlay"], at=("nodes", "links"))
        if self.routing.policy == ORACLE:
            raise refuse("the oracle needs the modelled control plane", allowed=POLICY_NAMES, at=("routing", "policy"))
        if self.routing.max_hops:
            raise refuse("a limit needs the modelled control plane", allowed=["0"], at=("routing", "max_hops"))
        if self.calls.ringing.enabled:
            problem, at = "people who answer need the modelled control plane", ("calls", "ringing", "enabled")
            raise refuse(problem, allowed=["false"], at=at)
        if self.routing.protocol:
            raise refuse("a protocol takes the place of agents", allowed=["modelled"], at=("control", "mode"))

    def _check_places(self) -> None:
        named, crowds = enumerate(self.nodes.named), enumerate(self.calls.arrivals.crowds)
        asked: list[tuple[tuple[str | int, ...], str | int]] = [
            *((("nodes", "named", i, "at"), node.at) for i, node in named if node.at is not None),
            *((("calls", "arrivals", "crowds", i, "centre"), c.centre) for i, c in crowds if c.centre is not None),
            *((("outages", i, "centre"), o.centre) for i, o in enumerate(self.outages) if o.centre is not None),
        ]
        known = self.topology(0).names if asked else ()
        for at, place in asked:
            if isinstance(place, str):
                _check_known("place", place, set(known), at)
            elif place >= len(known):
                raise refuse(f"no place {place} in the topology", allowed=[f"0 to {len(known) - 1}"], at=at)

    def _check_people(self) -> None:
        members = census.members(self.nodes)
        peers = {member.aura for member in members if member.role == "peer"}
        if self.calls.rate and len(peers) < 2:  # noqa: PLR2004 - a call has two ends
            raise refuse(f"calls need two people, the peers belong to {len(peers)}", at=("calls", "rate"))
        expected = self.calls.arrivals.expected(self.calls.rate, self.duration)
        if expected > _MOST_CALLS:
            raise refuse(f"{expected:.3g} calls are too many", allowed=[f"<= {_MOST_CALLS:g}"], at=("calls", "rate"))
        names = {member.name for member in members}
        for i, fault in enumerate(self.faults):
            _check_known("node", fault.node, names, ("faults", i, "node"))
        for i, crowd in enumerate(self.calls.arrivals.crowds):
            if crowd.callee is not None:
                _check_known("person with a peer", crowd.callee, peers, ("calls", "arrivals", "crowds", i, "callee"))
        auras = {member.aura for member in members}
        for i, call in enumerate(self.calls.listed):
            self._check_call(call, auras, ("calls", "listed", i))

    def _check_call(self, call: ListedCall, auras: set[str], at: tuple[str | int, ...]) -> None:
        _check_known("AuraID", call.caller, auras, (*at, "caller"))
        _check_known("AuraID", call.callee, auras, (*at, "callee"))
        if call.caller == call.callee:
            raise refuse(f"{call.caller} calls itself", at=(*at, "callee"))
        if call.at >= self.duration:
            raise refuse(f"starts at {call.at:g} s, after the end", at=(*at, "at"))


def _check_known(kind: str, value: str, known: set[str], at: tuple[str | int, ...]) -> None:
    if value not in known:
        names = sorted(known)
        shown = names if len(names) <= _MOST_LISTED else [*names[:_MOST_LISTED], "..."]
        raise refuse(f"no {kind} {value!r} in this scenario", allowed=shown, near=nearest(value, names), at=at)


def _brief(value: Any) -> Any:
    """A part of a scenario as one line, a list of parts as a line for each."""
    if isinstance(value, list):
        return [_brief(one) for one in value]
    return value if not isinstance(value, dict) else ", ".join(f"{key}: {_inner(one)}" for key, one in value.items())


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{_brief(value)}}}"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False).strip('"')


def json_schema() -> dict[str, Any]:
    """The JSON Schema of scenario files, with a description of every key."""
    return Scenario.model_json_schema()
