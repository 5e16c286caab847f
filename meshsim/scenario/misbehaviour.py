"""What a scenario says of nodes that misbehave: how, how many, how strongly, when, with whom and against whom.

What each kind does is `agent.adversary`'s (interceptors, the same on real nodes) and `sim.attacks`' (what no single
node can do). Here stand the options, which kind takes which, and who is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from meshsim.mesh.errors import nearest
from meshsim.scenario.part import SHARE_TOLERANCE, Part
from meshsim.scenario.quantities import (
    AGENT_MISBEHAVIOURS,
    MISBEHAVIOUR_NAMES,
    Count,
    Domain,
    Duration,
    Misbehaviour,
    Number,
    PartName,
    Period,
    PositiveDuration,
    Probability,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.scenario.schema import Scenario

USES: dict[str, tuple[str, ...]] = {
    "black_hole": (),
    "gray_hole": (),
    "selective": ("targets",),
    "on_off": ("period", "duty"),
    "milking": (),
    "whitewashing": ("period",),
    "bad_mouthing": ("ring", "targets"),
    "ballot_stuffing": ("ring", "rate"),
    "self_dealing": ("rate",),
    "withholding": ("ring",),
    "collusion": ("ring", "targets"),
    "camouflage": ("ring", "targets"),
    "sybil": ("sybils", "edges", "rate"),
    "wormhole": ("ring",),
    "lying_metrics": ("factor",),
    "report_spam": ("ring", "targets", "rate"),
    "poisoning": ("ring", "targets"),
    "hostile_domain": (),
}
"""The options that each kind takes beside those that all take."""

_COMMON = ("kind", "also", "share", "among", "domain", "strength", "strength_spread", "since", "until")
_WORDS = frozenset({"bad_mouthing", "ballot_stuffing", "withholding", "collusion", "camouflage", "report_spam"})
_EVERYBODY = frozenset({"bad_mouthing", "collusion", "report_spam", "poisoning"})
_FEW = 0.1
_NAMELESS, _NAMED = "a hostile domain has a name", ["domain: <name>"]

Among = Literal["relays", "peers", "all"]


class MisbehaviourConfig(Part):
    """Nodes that misbehave, drawn among those not said by name; no node is drawn twice."""

    kind: Misbehaviour
    """How."""
    also: tuple[Misbehaviour, ...] = ()
    """What else the same nodes do."""
    share: Probability = 0.1
    """Share of the nodes among which they are drawn."""
    among: Among | None = None
    """Whom they are drawn among: the relaying nodes (edges, relays, super nodes), the peers or all; when absent, all
    for those that lie in receipts (which ends of calls sign), the relaying nodes for the rest."""
    domain: Domain = ""
    """Only nodes of this federated domain; "" for any."""
    strength: Probability = 1.0
    """Middle of the strength: the share of packets (gray hole) it drops, or of its chances to lie that it takes."""
    strength_spread: Probability = 0.0
    """Half width of the uniform spread of strengths around the middle."""
    since: Duration = 0.0
    """When they begin, seconds; honest before."""
    until: PositiveDuration | None = None
    """When they are honest again; never when absent."""
    ring: PartName | None = None
    """Entries with the same ring are accomplices; when absent, the nodes of this entry are."""
    targets: Probability | None = None
    """Share of the nodes outside the ring whom it is against; when absent all, or a tenth (selective), or none
    (camouflage)."""
    period: Period = 600.0
    """Seconds: of one cycle (on_off), or from a rejoining to the next at the earliest (whitewashing)."""
    duty: Probability = 0.5
    """Share of each cycle in which it misbehaves (on_off)."""
    rate: Annotated[Number, Field(ge=0, le=3600)] = 12.0
    """Made-up calls of each node (of each made-up identity if it has Sybils), or its reports, an hour at full
    strength."""
    factor: Annotated[Number, Field(ge=1, le=1000)] = 10.0
    """How many times better than they are its links are claimed (lying_metrics)."""
    sybils: Annotated[Count, Field(le=20_000)] = 10
    """Identities that each node makes up (sybil)."""
    edges: Annotated[Count, Field(le=1000)] = 2
    """Honest nodes that are tricked into good words for the made-up ones of each node (sybil)."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """All that these nodes do."""
        return (self.kind, *self.also)

    @property
    def drawn_among(self) -> Among:
        """Whom they are drawn among."""
        if self.among is not None:
            return self.among
        return "all" if _WORDS.intersection(self.kinds) or "hostile_domain" in self.kinds else "relays"

    @property
    def aimed(self) -> float:
        """Share of the nodes outside the ring whom it is against."""
        if self.targets is not None:
            return self.targets
        if _EVERYBODY.intersection(self.kinds):
            return 1.0
        return _FEW if "selective" in self.kinds else 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for i, kind in enumerate(self.kinds):
            if kind in self.kinds[:i]:
                raise refuse(f"{kind} is said twice")
        if self.until is not None and self.until <= self.since:
            raise refuse(f"it ends at {self.until:g} s, before it begins at {self.since:g} s")
        if "hostile_domain" in self.kinds and not self.domain:
            raise refuse(_NAMELESS, allowed=_NAMED)
        if all(kind in USES for kind in self.kinds):
            usable = (*_COMMON, *dict.fromkeys(option for kind in self.kinds for option in USES[kind]))
            for option, said in sorted(type(self).model_fields.items()):
                if option not in usable and getattr(self, option) != said.default:
                    problem = f"{' and '.join(self.kinds)} has no option {option!r}"
                    raise refuse(problem, allowed=usable, near=nearest(option, usable))
        return self


def check(scenario: Scenario) -> None:
    """Refuses what does not fit the rest of the scenario.

    Raises:
        PydanticCustomError: With the place.
    """
    entries, domains = scenario.misbehaviour, scenario.federation.names
    for group in ("relays", "peers"):
        total = sum(entry.share for entry in entries if not entry.domain and entry.drawn_among in (group, "all"))
        if total > 1 + SHARE_TOLERANCE:
            problem = f"the shares of misbehaving nodes sum to {total:g} among {group}, more than 1"
            raise refuse(problem, at=("misbehaviour",))
    for i, entry in enumerate(entries):
        if entry.domain and entry.domain not in domains:
            problem, near = f"no domain {entry.domain!r} in this scenario", nearest(entry.domain, domains)
            raise refuse(problem, allowed=domains, near=near, at=("misbehaviour", i, "domain"))
        _check_plane(scenario, entry.kinds, ("misbehaviour", i, "kind" if entry.kind in _WORLDLY else "also"))
        _check_packets(scenario, entry.kinds, ("misbehaviour", i), timed=entry.since > 0.0 or entry.until is not None)
    for i, node in enumerate(scenario.nodes.named):
        at, kinds = ("nodes", "named", i, "behaviour"), (node.behaviour,)
        _check_plane(scenario, kinds, at)
        _check_packets(scenario, kinds, at)
        if node.behaviour == "hostile_domain" and not node.domain:
            raise refuse(_NAMELESS, allowed=_NAMED, at=at)


_CHANGING = frozenset({"selective", "on_off", "milking", "whitewashing", "hostile_domain"})


def _check_packets(scenario: Scenario, kinds: Sequence[str], at: tuple[str | int, ...], *, timed: bool = False) -> None:
    """A link between packets drops one share of all of them for good."""
    if scenario.media.mode == "packet" and (timed or _CHANGING.intersection(kinds)):
        raise refuse("what a node drops cannot change while media are packets", allowed=["media.mode: flow"], at=at)


_WORLDLY = frozenset(MISBEHAVIOUR_NAMES) - frozenset(AGENT_MISBEHAVIOURS)


def _check_plane(scenario: Scenario, kinds: Sequence[str], at: tuple[str | int, ...]) -> None:
    worldly = sorted(_WORLDLY.intersection(kinds))
    if worldly and scenario.control.mode == "agents":
        raise refuse(f"{worldly[0]} needs the modelled control plane", allowed=AGENT_MISBEHAVIOURS, at=at)
