"""Federated domains in a simulated world: who may call whom, who relays for whom, and what each domain believes.

All permissions are `identity.federation.decide`'s and `identity.directory`'s: a name is resolved by the directories; a
domain uses another's relays if it would be told of a public name there. A domain shows its border relays, and of its
inside only a summary: its mean load, and what its borders find on the way to its nodes at the median. Where a node
stands, its NAT and its rates are in its public record.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meshsim.identity.directory import Directory
from meshsim.identity.federation import FederationServer, Inquiry, PrivacyLevel, TrustLevel, decide
from meshsim.identity.records import NodeRecord
from meshsim.links.normal import normal_quantile
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import LinkBelief, NodeBelief, Role
from meshsim.routing.written import single
from meshsim.scenario.federation import Resolution, border_nodes
from meshsim.sim.environment import BEFORE
from meshsim.sim.processes.steps import CLOSED, Ended, Wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.view import NetworkView
    from meshsim.routing.request import Barred
    from meshsim.scenario.plan import Plan
    from meshsim.sim.environment import Environment
    from meshsim.sim.recorder import Recorder

NOT_FEDERATED = "relay in a domain that is not federated"
INSIDE = "relay inside another domain"

_ANYBODY = "anybody"
_MEASURES = ("delay", "jitter", "loss", "rate", "age")


@dataclass(slots=True, kw_only=True)
class _Question:
    """A name asked for in another domain.

    Attributes:
        at: When, seconds.
        until: When the answer arrives.
        told: Whether it has, and was the name.
    """

    at: float
    until: float
    told: bool = False


class _Base(NamedTuple):
    """What a domain believes, and of which shared belief that was made."""

    nodes: NodeBelief
    links: LinkBelief
    view: NetworkView


class Domains:
    """The domains of an episode; D domains in the order of the scenario, N nodes.

    Args:
        plan: The episode, with more than one domain.
        shared: What is believed before anything has happened: who there is, and how newcomers are thought of.
    """

    def __init__(self, plan: Plan, shared: NetworkView) -> None:
        self._plan, self._config, self._ids = plan, plan.scenario.federation, shared.nodes.ids
        self._seeds = SeedTree(plan.seed)
        self._names = self._config.names
        place = {name: i for i, name in enumerate(self._names)}
        self._of = np.array([place[name] for name in plan.nodes.domains], dtype=np.int64)
        self._border = border_nodes(self._config, plan.nodes)
        self._new = shared.nodes
        self._questions: dict[int, _Question] = {}
        self._delay = {(pair.asking, pair.holding): pair.resolution for pair in self._config.pairs}
        self._directories = [Directory(name) for name in self._names]
        self._privacy: dict[str, str] = {}
        self._register()
        self._servers: list[dict[str, FederationServer]] = [{} for _ in self._names]
        self._federate()
        self._versions = [0] * len(self._names)
        self._bases: dict[int, _Base] = {}
        self._barred: dict[tuple[int, int], Barred] = {}
        self._open = self._linked = np.ones((0, 0), dtype=np.bool_)
        self._weigh()

    # --- who may what -------------------------------------------------------------------------------------------------

    def _register(self) -> None:
        nodes, shares = self._plan.nodes, self._config.privacy.shares()
        bounds = np.cumsum(list(shares.values()))[:-1]  # the last is left open
        for i, aura in enumerate(nodes.auras):
            name, directory = AuraID.parse(aura).name, self._directories[self._of[i]]
            role = Role(int(nodes.role[i]))
            directory.register(
                NodeRecord(
                    node=self._ids[i],
                    aura=str(AuraID(name)),
                    role=role.name.lower(),
                    domain=directory.domain,
                    aic=bool(nodes.aic[i]),
                    max_calls=int(nodes.max_calls[i]),
                )
            )
            if role is Role.PEER and aura not in self._privacy:
                drawn = self._seeds.stream(f"federation/{aura}").at(1)
                level = list(shares)[int(np.searchsorted(bounds, drawn, side="right"))]
                self._privacy[aura] = level
                directory.set_privacy(AuraID(name), level)

    def _federate(self) -> None:
        said = {(pair.asking, pair.holding): pair for pair in self._config.pairs}
        for asking in self._names:
            for holding in self._names:
                pair = said.get((asking, holding))
                if asking != holding:
                    level, allow = (pair.level, pair.allow) if pair else (self._config.trust, ("*",))
                    self._trust(asking, FederationServer(domain=asking, trust_level=level, allow=allow), holding)

    def _trust(self, asking: str, server: FederationServer, holding: str) -> None:
        """`holding` knows `asking`'s server so, and asks its directory in turn."""
        self._servers[self._names.index(holding)][asking] = server
        resolver = self._directories[self._names.index(asking)]
        self._directories[self._names.index(holding)].federate(server, resolver)

    def _weigh(self) -> None:
        """Asks the rules about all pairs of domains anew; what was believed of others is made anew too."""
        count = len(self._names)
        self._open = np.array([[self._may_ask(x, y) for y in range(count)] for x in range(count)], dtype=np.bool_)
        self._linked = self._open | self._open.T
        self._bases.clear()
        self._barred.clear()

    def _may_ask(self, x: int, y: int) -> bool:
        """Whether domain `x` asks domain `y`, and would be told of a public name there."""
        return x == y or not self._refusal(x, y, _ANYBODY, PrivacyLevel.PUBLIC)

    def _refusal(self, x: int, y: int, name: str, privacy: str) -> str:
        """Why `x` is not told of `name` by `y`, in words; empty if it is."""
        if self._servers[x][self._names[y]].trust_level == TrustLevel.BLOCKED:
            return f"domain {self._names[y]!r} is blocked at home"
        inquiry = Inquiry(asking=self._names[x], aura=AuraID(name, self._names[y]), purpose="call")
        decision = decide(inquiry, self._servers[y], privacy)
        return "" if decision.allowed else decision.reasons[0]

    # --- calls --------------------------------------------------------------------------------------------------------

    def step(self, number: int, now: float) -> Wait | Ended | None:
        """Resolves the callee of call `number` in its domain; None once its nodes are known, or if it is at home."""
        calls = self._plan.calls
        ends = calls.caller.item(number), calls.callee_node.item(number)
        x, y = self._of[list(ends)].tolist()
        if x == y:
            return None
        question = self._questions.get(number)
        if question is None:
            question = self._questions[number] = _Question(at=now, until=now + self._delay_of(number, x, y))
        if now < question.until:
            return Wait(question.until)
        if question.told:
            return None if self.passes(ends) else Ended("refused", CLOSED)
        question.told = True
        return self._resolved(x, y, calls.callee[number])

    def _resolved(self, x: int, y: int, aura: str) -> Ended | None:
        name = AuraID.parse(aura).name
        try:
            self._directories[x].resolve(AuraID(name, self._names[y]), purpose="call")
        except IdentityError:
            return Ended("refused", self._refusal(x, y, name, self._privacy.get(aura, PrivacyLevel.PUBLIC)))
        return None

    def _delay_of(self, number: int, x: int, y: int) -> float:
        law: Resolution = self._delay.get((self._names[x], self._names[y])) or self._config.resolution
        drawn = self._seeds.stream("federation/resolve", number).at(0)
        return law.median * math.exp(law.sigma * normal_quantile(drawn))

    def resolved(self, number: int) -> float:
        """Seconds until call `number` was told who is called; NaN where nobody was asked."""
        question = self._questions.get(number)
        return question.until - question.at if question is not None else math.nan

    def forget(self, number: int) -> None:
        """The call is over."""
        self._questions.pop(number, None)

    def passes(self, path: Sequence[int]) -> bool:
        """Whether no hop of `path` and no relay with either end crosses between domains that do not federate."""
        domains = self._of[list(path)].tolist()
        pairs = {*pairwise(domains)} | {(domains[0], d) for d in domains} | {(d, domains[-1]) for d in domains}
        return all(self._linked[pair] for pair in pairs)

    def borders(self, path: Sequence[int]) -> int:
        """Border relays on `path` if it leads from one domain to another, else -1."""
        if len(path) == 0 or self._of[path[0]] == self._of[path[-1]]:
            return -1
        return int(self._border[list(path[1:-1])].sum())

    # --- changes ------------------------------------------------------------------------------------------------------

    def start(self, env: Environment, recorder: Recorder, cut: Callable[[], None]) -> None:
        """Puts the changes of trust on the clock.

        Args:
            env: The clock.
            recorder: Where they are written.
            cut: Ends the calls whose path does not pass any more.
        """
        self._env, self._recorder, self._cut = env, recorder, cut
        env.on("federation", self._change)
        for number, change in enumerate(self._config.changes):
            env.schedule_record(change.at, "federation", number, priority=BEFORE)

    def _change(self, number: int, _: Any) -> None:
        change = self._config.changes[number]
        both = ((change.asking, change.holding), (change.holding, change.asking))
        for asking, holding in both if change.mutual else both[:1]:
            known = self._servers[self._names.index(holding)][asking]
            self._trust(asking, replace(known, trust_level=change.level), holding)
            detail = f"{holding} holds {asking} {change.level}"
            self._recorder.event(self._env.now, "federation", detail=detail)
        self._weigh()
        if self._config.crossing == "cut":
            self._cut()

    # --- routes -------------------------------------------------------------------------------------------------------

    def barred(self, caller: int, callee: int) -> Barred:
        """Which nodes may not relay a call between two nodes, by reason."""
        ends = int(self._of[caller]), int(self._of[callee])
        if ends not in self._barred:
            self._barred[ends] = self._barring(*ends)
        return self._barred[ends]

    def _barring(self, x: int, y: int) -> Barred:
        relays = self._plan.nodes.role != Role.PEER
        federated = self._open[x] & self._open[y]
        federated[x], federated[y] = True, bool(self._open[x, y])
        strange = relays & ~federated[self._of]
        inside = relays & federated[self._of] & (self._of != x) & ~self._border
        return (NOT_FEDERATED, self._named(strange)), (INSIDE, self._named(inside))

    def _named(self, some: NDArray[np.bool_]) -> frozenset[Any]:
        return frozenset(self._ids[i] for i in np.flatnonzero(some).tolist())

    # --- belief -------------------------------------------------------------------------------------------------------

    def seen(self, view: NetworkView, caller: int) -> NetworkView:
        """What of `view` the caller's domain knows: its own part, others' borders, and summaries of their insides."""
        x = int(self._of[caller])
        kept = self._bases.get(x)
        if kept is None or kept.nodes is not view.nodes or kept.links is not view.links:
            kept = self._bases[x] = _Base(view.nodes, view.links, self._summed(x, view))
        limited = replace(kept.view, fresh=self._met(x, view.fresh))
        limited.__dict__["index"] = view.index  # the cached property: the same nodes have the same index
        return limited

    def _summed(self, x: int, view: NetworkView) -> NetworkView:
        self._versions[x] += 1
        nodes, links = self._told_nodes(x, view), self._told_links(x, view.links)
        return replace(view, version=self._versions[x] - 1, owner=-2 - x, nodes=nodes, links=links, fresh=None)

    def _told_nodes(self, x: int, view: NetworkView) -> NodeBelief:
        """Own nodes and open borders as they are; the others as newcomers with their domain's mean load."""
        nodes, new, told = view.nodes, self._new, self._open[x] & (np.arange(len(self._names)) != x)
        known = (self._of == x) | (self._border & told[self._of])
        load, age = np.zeros(len(self._names)), np.full(len(self._names), view.at)
        for y in np.flatnonzero(told).tolist():
            relays = (self._of == y) & (nodes.role != Role.PEER)
            if relays.any():
                load[y], age[y] = nodes.load[relays].mean(), nodes.age[relays & self._border].mean()
        return replace(
            nodes,
            online=nodes.online | ~known,
            load=np.where(known, nodes.load, single(load)[self._of]),
            reputation=np.where(known, nodes.reputation, new.reputation),
            reputation_low=np.where(known, nodes.reputation_low, new.reputation_low),
            reputation_high=np.where(known, nodes.reputation_high, new.reputation_high),
            evidence=np.where(known, nodes.evidence, new.evidence),
            age=np.where(known, nodes.age, single(age)[self._of]),
        )

    def _told_links(self, x: int, links: LinkBelief) -> LinkBelief:
        """Own links, those between borders, and what borders say of the way to their domain's nodes."""
        a, b = self._of[links.src], self._of[links.dst]
        borders = self._border[links.src] & self._border[links.dst] & self._open[x, a] & self._open[x, b]
        rows = np.flatnonzero(self._linked[a, b] & np.where(a == b, (a == x) | borders, (a == x) | (b == x) | borders))
        pieces = [{name: getattr(links, name)[rows] for name in LinkBelief.__slots__}]
        pieces += [self._summary(border, links) for border in np.flatnonzero(self._border & (self._of != x)).tolist()
                   if self._open[x, self._of[border]]]  # fmt: skip
        columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in LinkBelief.__slots__}
        order = np.lexsort((columns["dst"], columns["src"]))
        return LinkBelief(**{name: values[order] for name, values in columns.items()})

    def _summary(self, border: int, links: LinkBelief) -> dict[str, NDArray[Any]]:
        """What a border says of the way to each node inside its domain: the medians of its links there."""
        inside = (self._of == self._of[border]) & ~self._border
        leads = inside[links.dst] & (self._of[links.src] == self._of[border]) & links.observed
        own = leads & (links.src == border)
        rows = own if own.any() else leads
        dst = np.flatnonzero(inside) if rows.any() else np.empty(0, dtype=np.int64)
        medians = {n: np.full(len(dst), np.median(getattr(links, n)[rows]) if len(dst) else 0.0) for n in _MEASURES}
        return {
            "src": np.full(len(dst), border, dtype=np.int32),
            "dst": dst.astype(np.int32),
            "observed": np.zeros(len(dst), dtype=np.bool_),
            **{name: single(values) for name, values in medians.items()},
        }

    def _met(self, x: int, fresh: LinkBelief | None) -> LinkBelief | None:
        """Of what a caller knows better, that which leads to domains that federate with its own."""
        if fresh is None:
            return None
        rows = self._linked[x, self._of[fresh.dst]]
        return LinkBelief(**{name: getattr(fresh, name)[rows] for name in LinkBelief.__slots__})
