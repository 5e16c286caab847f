"""What a scenario says of federated domains: who belongs where, who trusts whom how far, and when that changes.

The rules themselves are `identity.federation`'s; here stand their inputs. Without domains, or with a single one,
everybody is at home.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from meshsim.mesh.errors import nearest
from meshsim.mesh.ids import AuraID
from meshsim.scenario import census
from meshsim.scenario.part import SHARE_TOLERANCE, Part, Shares
from meshsim.scenario.quantities import Count, Domain, Duration, Flag, Number, Probability, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.scenario.plan import PlannedNodes
    from meshsim.scenario.schema import Scenario

LevelName = Literal["blocked", "unverified", "verified", "trusted"]

ANY = "*"
"""In a list of domains: all of them."""

_Place = tuple[str | int, ...]


class DomainConfig(Part):
    """One federated domain."""

    name: Annotated[Domain, Field(min_length=1)]
    """Its name, as in `@alice.aura:name`."""
    share: Probability
    """Share of the people, and of the relaying nodes, that are not said to be elsewhere."""
    borders: Annotated[Count, Field(ge=1, le=64)] = 2
    """Relays that it shows to others: those that carry most calls."""


class Resolution(Part):
    """Log-normal time until another domain's directory answers."""

    median: Duration = 0.08
    """Seconds."""
    sigma: Annotated[Number, Field(ge=0, le=4)] = 0.5
    """Standard deviation of the logarithm."""


class PrivacyMix(Shares):
    """Shares of people whose names all servers may resolve, verified ones, or only their home."""

    public: Probability = 0.0
    """Any server that is not blocked."""
    federated: Probability = 0.0
    """Verified and trusted servers."""
    private: Probability = 0.0
    """Home alone."""


class TrustPair(Part):
    """How far one domain trusts another's server that asks it."""

    asking: Domain
    """Who asks."""
    holding: Domain
    """Who is asked, and trusts so far."""
    level: LevelName
    """How far."""
    allow: tuple[str, ...] = (ANY,)
    """Domains whose names it may ask for; `*` stands for all."""
    resolution: Resolution | None = None
    """How long the answer takes; that of the federation when absent."""


class TrustChange(Part):
    """A change of trust under way: defederation, or federation again."""

    at: Duration
    """When, seconds."""
    asking: Domain
    """Who asks."""
    holding: Domain
    """Who trusts otherwise from now on."""
    level: LevelName = "blocked"
    """How far."""
    mutual: Flag = True
    """Whether the other way round changes too."""


class FederationConfig(Part):
    """Domains, and what they let each other do (modelled control plane only)."""

    domains: tuple[DomainConfig, ...] = ()
    """The domains; none leaves everybody at home."""
    trust: LevelName = "verified"
    """How far domains trust each other where no pair says otherwise."""
    pairs: tuple[TrustPair, ...] = ()
    """The trust matrix, entry by entry."""
    privacy: PrivacyMix = PrivacyMix(public=1.0)
    """Who may resolve people's names."""
    resolution: Resolution = Resolution()
    """How long it takes to resolve a name of another domain."""
    changes: tuple[TrustChange, ...] = ()
    """When trust changes."""
    crossing: Literal["cut", "keep"] = "cut"
    """What becomes of calls under way over a border that closes: they end, or go on as long as their path holds."""

    @property
    def names(self) -> tuple[str, ...]:
        """The domains' names, in order."""
        return tuple(domain.name for domain in self.domains)

    @property
    def divided(self) -> bool:
        """Whether there is more than one domain."""
        return len(self.domains) > 1

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        names = self.names
        for i, name in enumerate(names):
            if name in names[:i]:
                raise refuse(f"the domain {name!r} is there already", at=("federation", "domains", i, "name"))
        total = sum(domain.share for domain in self.domains)
        if names and abs(total - 1.0) > SHARE_TOLERANCE:
            problem = f"the shares of domains sum to {total:g}, not 1"
            raise refuse(problem, allowed=["shares that sum to 1"], at=("federation", "domains"))
        for place, name in self._said():
            _check_known(name, names, place)
        for entry, at in self._entries():
            if entry.asking == entry.holding:
                raise refuse(f"{entry.asking} does not federate with itself", at=(*at, "holding"))
        ends = [(pair.asking, pair.holding) for pair in self.pairs]
        for i, (asking, holding) in enumerate(ends):
            if (asking, holding) in ends[:i]:
                problem = f"what {holding} thinks of {asking} is said already"
                raise refuse(problem, at=("federation", "pairs", i))
        return self

    def _entries(self) -> Iterator[tuple[TrustPair | TrustChange, _Place]]:
        """What is said of pairs of domains, with its place."""
        yield from ((pair, ("federation", "pairs", i)) for i, pair in enumerate(self.pairs))
        yield from ((change, ("federation", "changes", i)) for i, change in enumerate(self.changes))

    def _said(self) -> Iterator[tuple[_Place, str]]:
        """Every domain that is spoken of, with its place."""
        for entry, at in self._entries():
            yield (*at, "asking"), entry.asking
            yield (*at, "holding"), entry.holding
        for i, pair in enumerate(self.pairs):
            for j, name in enumerate(pair.allow):
                if name != ANY:
                    yield ("federation", "pairs", i, "allow", j), name


def _check_known(name: str, names: tuple[str, ...], at: _Place) -> None:
    if name not in names:
        raise refuse(f"no domain {name!r} in this federation", allowed=names, near=nearest(name, names), at=at)


def check(scenario: Scenario) -> None:
    """Passes silently if the federation fits the rest of the scenario.

    Raises:
        PydanticCustomError: Names what does not.
    """
    federation = scenario.federation
    if not federation.domains:
        return
    for i, node in enumerate(scenario.nodes.named):
        if node.domain:
            _check_known(node.domain, federation.names, ("nodes", "named", i, "domain"))
    home: dict[str, str] = {}
    for i, member in enumerate(census.members(scenario.nodes)[: len(scenario.nodes.named)]):
        domain = scenario.nodes.named[i].domain or home.get(member.aura, "")
        if domain != home.setdefault(member.aura, domain):
            problem = f"{member.aura} is of {home[member.aura]} already"
            raise refuse(problem, at=("nodes", "named", i, "domain"))
    for i, change in enumerate(federation.changes):
        if change.at >= scenario.duration:
            raise refuse(f"changes at {change.at:g} s, after the end", at=("federation", "changes", i, "at"))
    _check_others(scenario)


def _check_others(scenario: Scenario) -> None:
    """What does not go together with domains."""
    if scenario.control.mode == "agents":
        raise refuse("domains need the modelled control plane", allowed=["modelled"], at=("control", "mode"))
    if scenario.routing.batch:
        raise refuse("domains believe different things: no batches", allowed=["0"], at=("routing", "batch"))
    if scenario.routing.protocol:
        raise refuse("protocols know no domains", allowed=[""], at=("routing", "protocol"))
    if scenario.nodes.links == "edges":
        raise refuse("a radio mesh knows no domains", allowed=["overlay"], at=("nodes", "links"))


# Who belongs where ----------------------------------------------------------------------------------------------------


def domains_of(scenario: Scenario, members: tuple[census.Member, ...], seeds: SeedTree) -> tuple[str, ...]:
    """The domain of each node: as said of it or of another node of its person, else as its AuraID says, else drawn.

    Args:
        scenario: Validated.
        members: All nodes.
        seeds: One stream for each person, so that people more or less move nobody.
    """
    said = [member.named.domain if member.named else "" for member in members]
    federation = scenario.federation
    if not federation.domains:
        return tuple(said)
    home = {member.aura: domain for member, domain in zip(members, said, strict=True) if domain}
    bounds = np.cumsum([domain.share for domain in federation.domains])[:-1]  # the last is left open
    for member in members:
        if member.aura not in home:
            written, drawn = AuraID.parse(member.aura).domain, seeds.stream(f"federation/{member.aura}").at(0)
            known = written in federation.names
            home[member.aura] = written if known else federation.names[np.searchsorted(bounds, drawn, side="right")]
    return tuple(domain or home[member.aura] for member, domain in zip(members, said, strict=True))


def border_nodes(federation: FederationConfig, nodes: PlannedNodes) -> NDArray[np.bool_]:
    """(N,) which nodes their domains show to others: the relaying ones that carry most calls, the first of equals."""
    border = np.zeros(len(nodes), dtype=np.bool_)
    for domain in federation.domains:
        own = np.array([i for i in range(len(nodes)) if nodes.domains[i] == domain.name and nodes.role[i]], dtype=int)
        border[own[np.argsort(-nodes.max_calls[own], kind="stable")][: domain.borders]] = True
    return border
