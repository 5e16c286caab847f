"""Agents in memory, joined by scripted links: the quickest way to see what a handful of nodes do to each other.

Every message goes through `encode` and `decode`; nothing is random but what the agents draw themselves.

    net = Network()
    for name in ("alice", "r", "bob"):
        net.add(name, role="relay" if name == "r" else "peer")
    net.join("alice", "r"), net.join("r", "bob")
    net.run(5.0)
    call = net.call("alice", "bob")
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshsim.agent import (
    AgentConfig,
    CallRequest,
    CloseMedia,
    Dial,
    Effect,
    Emit,
    MediaReport,
    MeshAgent,
    OpenMedia,
    Resolve,
    Send,
    Undial,
    decode,
    encode,
)
from meshsim.identity import HashSigner, HashVerifier, NodeRecord, sign_record
from meshsim.identity.directory import Directory
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID, CallId, NodeId
from meshsim.mesh.media import MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import Instant
from meshsim.routing import RoutingEngine
from meshsim.trust import models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.agent.adversary import Interceptor
    from meshsim.agent.messages import Message
    from meshsim.identity import Signer, Verifier

UNIX = 1_800_000_000.0
"""Unix second at which a network's clock stands at 0."""

SECRET = b"meshsim.testing"


@dataclass(slots=True)
class Member:
    """One agent of a network, and what it asked for.

    Attributes:
        agent: The agent.
        log: Its effects, each with the time.
        media: Media open now, by label.
    """

    agent: MeshAgent
    log: list[tuple[float, Effect]] = field(default_factory=list)
    media: dict[int, OpenMedia] = field(default_factory=dict)

    def samples(self, kind: type[Any]) -> list[Any]:
        """The samples of one type that it emitted."""
        return [e.sample for _, e in self.log if isinstance(e, Emit) and isinstance(e.sample, kind)]

    def sent(self, kind: type[Any]) -> list[Any]:
        """The messages of one type that it sent."""
        return [e.message for _, e in self.log if isinstance(e, Send) and isinstance(e.message, kind)]


class Network:
    """A clock, agents and links.

    Args:
        policy: Of every agent's engine.
        verifier: Checks signatures; by default those of the hash signers that `add` makes.
        drops: Told (time, from, to, message); a message for which it is true is lost.

    Attributes:
        now: Seconds.
        members: By name.
    """

    def __init__(
        self,
        *,
        policy: str = "shortest",
        verifier: Verifier | None = None,
        drops: Callable[[float, str, str, Message], bool] | None = None,
    ) -> None:
        self.now = 0.0
        self.members: dict[str, Member] = {}
        self.directory = Directory("")
        self._policy = policy
        self._verifier = verifier or HashVerifier(SECRET)
        self._drops = drops
        self._links: dict[tuple[str, str], float] = {}
        self._dialable: dict[tuple[str, str], float] = {}
        self._names: dict[NodeId, str] = {}
        self._dead: set[str] = set()
        self._queue: list[tuple[float, int, str, Callable[[Instant], Any]]] = []
        self._count = 0

    def instant(self) -> Instant:
        """The time, as agents are told it."""
        return Instant(self.now, UNIX + self.now)

    def __getitem__(self, name: str) -> MeshAgent:
        return self.members[name].agent

    def node(self, name: str) -> NodeId:
        """The id of a member."""
        return self.members[name].agent.node

    def names(self, path: Sequence[NodeId]) -> tuple[str, ...]:
        """A path in names."""
        return tuple(self._names[node] for node in path)

    def add(  # noqa: PLR0913 - all that a test may want to set, by keyword
        self,
        name: str,
        *,
        role: str = "peer",
        nat: str = "open",
        max_calls: int | None = None,
        config: AgentConfig | None = None,
        signer: Signer | None = None,
        interceptors: Sequence[Interceptor] = (),
        neighbours: Sequence[NodeId] = (),
        trust: str = "beta",
    ) -> MeshAgent:
        """A new member, known to the directory as `@name.aura`."""
        index = len(self.members)
        signer = signer or HashSigner(NodeId(bytes([index + 1]) * 32), SECRET)
        relays = role != "peer"
        record = NodeRecord(
            node=signer.node_id,
            aura=f"@{name}.aura",
            role=role,
            nat=nat,
            capacity_bps=1e8,
            max_calls=(10 if relays else 0) if max_calls is None else max_calls,
            expires_unix=UNIX + 1e6,
        )
        record = sign_record(record, signer)
        agent = MeshAgent(
            config or AgentConfig(digest_period=2.0, probe_period=1.0),
            record,
            signer,
            self._verifier,
            RoutingEngine(self._policy),
            models[trust](),
            neighbours,
            SeedTree(1).stream("agent", index),
            interceptors=interceptors,
        )
        self.members[name] = Member(agent)
        self._names[agent.node] = name
        self.directory.register(record)
        return agent

    def join(self, a: str, b: str, delay: float = 0.02) -> None:
        """Links two members, `delay` seconds each way, and tells both."""
        self._links[a, b] = self._links[b, a] = delay
        for one, other in ((a, b), (b, a)):
            self.members[one].agent.link_up(self.node(other), self.instant())
            self._pump(one)

    def allow(self, a: str, b: str, delay: float = 0.02) -> None:
        """Lets two members make a link when one of them asks for it."""
        self._dialable[a, b] = self._dialable[b, a] = delay

    def part(self, a: str, b: str) -> None:
        """Breaks a link without a word."""
        del self._links[a, b], self._links[b, a]

    def kill(self, name: str) -> None:
        """A member vanishes without a word."""
        self._dead.add(name)

    def revive(self, name: str) -> None:
        """A member that vanished is back, with all it knew."""
        self._dead.discard(name)

    def call(self, caller: str, callee: str, media: MediaType = MediaType.AUDIO) -> CallId:
        """`caller` calls `callee`."""
        request = CallRequest(caller=AuraID(caller), callee=AuraID(callee), media=media)
        call = self[caller].place_call(request, self.instant())
        self._pump(caller)
        return call

    def hang_up(self, name: str, call: CallId) -> None:
        """A member hangs up."""
        self[name].hang_up(call, self.instant())
        self._pump(name)

    def inject(self, to: str, source: str, message: Message) -> None:
        """Gives a member a message that seems to come from `source`."""
        self[to].receive(message, self.node(source), self.instant())
        self._pump(to)

    def report(self, name: str, call: CallId, *, jitter: float = 0.001, loss: float = 0.0) -> None:
        """A member's driver reports of the media it receives on the newest route."""
        label = list(self.members[name].media)[-1]
        self[name].media_report(call, MediaReport(label=label, jitter=jitter, loss=loss), self.instant())
        self._pump(name)

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        end = self.now + seconds
        while True:
            at, name = self._next_timer()
            if self._queue and self._queue[0][0] <= at:
                at, _, name, deliver = heapq.heappop(self._queue)
            else:
                deliver = self.members[name].agent.handle_timer if name else _nothing
            if at > end:
                if name and deliver is not self.members[name].agent.handle_timer:
                    self._push(at, name, deliver)
                break
            self.now = max(self.now, at)
            if name not in self._dead:
                deliver(self.instant())
                self._pump(name)
        self.now = end

    def _next_timer(self) -> tuple[float, str]:
        timers = [(m.agent.wake_at(), name) for name, m in self.members.items() if name not in self._dead]
        return min(((at, name) for at, name in timers if at is not None), default=(float("inf"), ""))

    def _push(self, at: float, name: str, deliver: Callable[[Instant], Any]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, name, deliver))

    def _pump(self, name: str) -> None:
        for effect in self.members[name].agent.effects():
            self.members[name].log.append((self.now, effect))
            self._perform(name, effect)

    def _perform(self, name: str, effect: Effect) -> None:
        member = self.members[name]
        match effect:
            case Send():
                self._send(name, effect)
            case Resolve():
                answer = self._resolve(effect.aura)
                self._push(self.now + 0.005, name, lambda t: member.agent.resolved(effect.token, answer, t))
            case Dial():
                self._dial(name, effect.node)
            case Undial():
                self._undial(name, effect.node)
            case OpenMedia():
                member.media[effect.label] = effect
            case CloseMedia():
                del member.media[effect.label]

    def _send(self, name: str, effect: Send) -> None:
        to = self._names[effect.to]
        delay = self._links.get((name, to))
        if delay is None or (self._drops is not None and self._drops(self.now, name, to, effect.message)):
            return
        message, source = decode(encode(effect.message)), self.node(name)
        agent = self[to]
        self._push(self.now + delay, to, lambda t: agent.receive(message, source, t))

    def _resolve(self, aura: AuraID) -> Sequence[NodeRecord] | IdentityError:
        try:
            return self.directory.resolve(aura)
        except IdentityError as unknown:
            return unknown

    def _dial(self, name: str, node: NodeId) -> None:
        """Makes a link that is allowed; any other cannot be made."""
        agent, to = self[name], self._names[node]
        delay = self._dialable.get((name, to))
        if delay is None:
            self._push(self.now + 0.1, name, lambda t: agent.link_down(node, t))
            return
        self._push(self.now + 2 * delay, name, lambda _: self.join(name, to, delay))

    def _undial(self, name: str, node: NodeId) -> None:
        """Breaks a link, and tells the other end."""
        other, here = self._names[node], self.node(name)
        self.part(name, other)
        self._push(self.now, other, lambda t: self.members[other].agent.link_down(here, t))


def _nothing(now: Instant) -> None:
    """For when no timer is set."""
