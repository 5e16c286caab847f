"""Runs the agents of an episode on the simulated clock: the twin of `node/driver.py`, with other clocks and wires.

Nothing is decided here. A `Send` takes as long as the link truly does, or is lost; media load the world, and the world
reports what both ends receive; samples become rows of the trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from meshsim.agent import (
    AgentConfig,
    CallRequest,
    Channel,
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
)
from meshsim.agent.adversary import Ed25519Mint, HashMint, Means, interceptors
from meshsim.agent.legs import label_of
from meshsim.agent.messages import encode
from meshsim.agent.signing import Remembering
from meshsim.identity import Ed25519Signer, Ed25519Verifier, HashSigner, HashVerifier, NodeRecord, sign_record
from meshsim.identity.directory import Directory
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID, CallId, NodeId
from meshsim.mesh.media import MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import Instant
from meshsim.mesh.view import Nat, Role
from meshsim.routing.protocols.packet import wire_bytes
from meshsim.scenario.quantities import LONGEST
from meshsim.sim.compression import AicWishes, Compression
from meshsim.sim.environment import Record
from meshsim.sim.ledger import model_of
from meshsim.sim.logbook import Logbook
from meshsim.sim.streams import MediaFlows
from meshsim.sim.wires import Wires

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.agent.adversary import Interceptor, Mint
    from meshsim.identity import Signer
    from meshsim.routing.engine import RoutingEngine
    from meshsim.scenario import Scenario
    from meshsim.sim.environment import Environment
    from meshsim.sim.overhead import Overhead
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World

UNIX = 1_800_000_000.0
"""Unix second at which the simulated clock stands at 0; agents use it for expiries only."""

LINK_SPREAD = 1.0
"""Seconds over which the links of a starting mesh come up."""

LOOKUP = 0.04
"""Seconds until the directory answers."""

DIAL_TIMEOUT = 2.0

MOST_ATTEMPTS = 16
"""Paths of one call whose media are looked for."""


class Input(NamedTuple):
    """Something that was told to an agent, and what it asked for in return.

    Attributes:
        node: Index of the agent.
        method: Of `MeshAgent`.
        args: Its arguments, without the time.
        now: The time.
        effects: What the agent then wanted done.
    """

    node: int
    method: str
    args: tuple[Any, ...]
    now: Instant
    effects: tuple[Effect, ...]


def agent_config(scenario: Scenario, epoch: int = 0) -> AgentConfig:
    """How the agents of a scenario behave, simulated or real.

    Args:
        scenario: What it says of the control plane, of newcomers and of what is recorded.
        epoch: How often this node has started before.
    """
    control = scenario.control
    return AgentConfig(
        epoch=epoch,
        heartbeat=control.heartbeat,
        probe_period=control.probe_period,
        digest_period=control.digest_period,
        keepalive=control.keepalive,
        standby=control.standby,
        relay_first=control.relay_first,
        inquire=control.inquire,
        max_nodes=control.area,
        newcomers=scenario.trust.newcomers,
        tells_trust=scenario.record.trust,
    )


class SimDriver:
    """All agents of an episode.

    Args:
        env: The clock.
        world: The truth.
        engine: Decides for all agents; it keeps nothing of one that another could see.
        recorder: Where samples are written.
        ids: Node ids, in index order: the public keys of the plan's key seeds.
        real_signatures: Sign with Ed25519, as nodes do, instead of a keyed hash.
        observer: Told everything that is told to an agent.
        overhead: Where bytes of messages are counted.

    Attributes:
        agents: In index order.
    """

    def __init__(
        self,
        env: Environment,
        world: World,
        engine: RoutingEngine,
        recorder: Recorder,
        ids: Sequence[NodeId],
        *,
        real_signatures: bool = False,
        observer: Callable[[Input], None] | None = None,
        overhead: Overhead | None = None,
    ) -> None:
        self._env, self._world, self._engine = env, world, engine
        self._plan, self._ids = world.plan, tuple(ids)
        self._seeds = SeedTree(world.plan.seed)
        self._index = {node: i for i, node in enumerate(self._ids)}
        self._observer, self._overhead = observer, overhead
        self._secret = self._seeds.stream("agent.secret").key.to_bytes(16, "little")
        self._verifier = Remembering(Ed25519Verifier() if real_signatures else HashVerifier(self._secret))
        self._real, self._villains = real_signatures, {villain.node: villain for villain in world.villains}
        self._signers = [self._signer(i, real=real_signatures) for i in range(len(self._ids))]
        self._models = [model_of(world.plan.scenario.trust) for _ in self._ids]
        self._epochs = [0] * len(self._ids)
        self._records = [self._describe(i) for i in range(len(self._ids))]
        self._directory = Directory("")
        for record in self._records:
            self._directory.register(record)
        self._neighbours = self._planned_neighbours()
        self._linked = {(a, b) for a, peers in enumerate(self._neighbours) for b in peers}
        self._wires = Wires(world, self._seeds)
        self._armed = [float("inf")] * len(self._ids)
        self._aic, self._wishes = Compression(world.plan), AicWishes(world.plan)
        self._flows = MediaFlows(world, self._aic)
        self._log = Logbook(env, world, recorder, self._index, self._flows, engine, self._aic)
        self.agents = [self._start_agent(i) for i in range(len(self._ids))]
        self._handle()

    @property
    def counts(self) -> dict[str, int]:
        """Calls `started`, and of them `completed`, `dropped`, `failed`, `running` at the end."""
        return self._log.counts

    # The episode's side -----------------------------------------------------------------------------------------------

    def _handle(self) -> None:
        for kind, handler in (
            ("agent.message", self._deliver),
            ("agent.wake", self._wake),
            ("agent.links", self._bring_up),
            ("agent.dialled", self._dialled),
            ("agent.resolved", self._answer),
            ("agent.report", self._report),
            ("call.start", self._start_call),
            ("call.end", self._end_call),
        ):
            self._env.on(kind, handler)

    def schedule(self) -> None:
        """Puts the start of all agents and calls into the queue."""
        spread = self._seeds.stream("agent.start").uniform(0, len(self._ids))
        for node in range(len(self._ids)):
            self._env.schedule_record(self._env.now + LINK_SPREAD * float(spread[node]), "agent.links", node, node)
        self._await(0)

    def _await(self, first: int) -> None:
        for number, start in enumerate(self._plan.calls.start[first:].tolist(), first):
            self._env.schedule_record(start, "call.start", number)

    def flow_of(self, number: int) -> int:
        """The world's flow of a call, on the newest of its paths; -1 while its media do not flow."""
        call = self._log.call_of(number)
        if call is None:
            return -1
        flows = (self._flows.flow(label_of(call, attempt)) for attempt in reversed(range(MOST_ATTEMPTS)))
        return next((flow for flow in flows if flow is not None), -1)

    def settle(self) -> None:
        """The world has drifted: what was looked up of links holds no more."""
        self._wires.settle()

    def leaving(self, node: int) -> None:
        """Agents have no message for that: to the others `node` vanishes without a word."""

    def node_down(self, node: int) -> None:
        """`node` has vanished without a word; it will remember its reputations and nothing else."""
        for number in self._log.calls_of(node):
            self._log.vanish(number)
        for label in self._flows.opened_by(node):
            self._flows.close(node, label, self._env.now)
        self._epochs[node] += 1

    def node_up(self, node: int) -> None:
        """`node` is back: a new agent with the old key, and its links come up again."""
        self.agents[node] = self._start_agent(node)
        self._armed[node] = float("inf")
        self._env.schedule_record(self._env.now + LINK_SPREAD, "agent.links", node)

    def routes_cut(self) -> None:
        """Edges below have changed: what was looked up of links holds no more."""
        self._wires.settle()

    def silenced(self, node: int) -> None:
        """Agents notice by themselves who passes nothing on."""

    def replan(self, first: int) -> None:
        """Calls from number `first` on have changed: they wait instead of those that did."""
        self._env.cancel({"call.start"})
        self._await(first)

    def rank_anew(self) -> None:
        """Agents rank nothing ahead."""

    def close(self) -> None:
        """The episode is over: calls still under way are written as they stand."""
        self._log.close(self.agents, self._instant())

    # Making agents ----------------------------------------------------------------------------------------------------

    def _signer(self, node: int, *, real: bool) -> Signer:
        if real:
            return Ed25519Signer.from_seed(self._plan.nodes.key_seed[node].tobytes())
        return HashSigner(self._ids[node], self._secret)

    def _describe(self, i: int) -> NodeRecord:
        nodes = self._plan.nodes
        record = NodeRecord(
            node=self._ids[i],
            aura=nodes.auras[i],
            role=Role(int(nodes.role[i])).name.lower(),
            latitude=float(nodes.latitude[i]),
            longitude=float(nodes.longitude[i]),
            nat=Nat(int(nodes.nat[i])).name.lower(),
            aic=bool(nodes.aic[i]),
            capacity_bps=float(min(nodes.access_up[i], nodes.access_down[i])),
            max_calls=int(nodes.max_calls[i]),
            expires_unix=UNIX + 2 * LONGEST,  # of any episode: a fork may be longer than what it came from
        )
        return sign_record(record, self._signers[i])

    def _planned_neighbours(self) -> list[tuple[int, ...]]:
        links = self._plan.links
        peers: list[set[int]] = [set() for _ in self._ids]
        for a, b in zip(links.src.tolist(), links.dst.tolist(), strict=True):
            peers[a].add(b)
            peers[b].add(a)
        return [tuple(sorted(one)) for one in peers]

    def _start_agent(self, i: int) -> MeshAgent:
        return MeshAgent(
            agent_config(self._plan.scenario, self._epochs[i]),
            self._records[i],
            self._signers[i],
            self._verifier,
            self._engine,
            self._models[i],
            [self._ids[peer] for peer in self._neighbours[i]],
            self._seeds.stream(f"agent/{self._epochs[i]}", i),
            interceptors=self._misbehaviour(i),
        )

    def _misbehaviour(self, i: int) -> tuple[Interceptor, ...]:
        """What stands between agent `i` and the world, if it is not honest."""
        villain = self._villains.get(i)
        if villain is None:
            return ()
        against, secret = villain.mind.targets, self._plan.nodes.key_seed[i].tobytes()
        mint: Mint = Ed25519Mint(secret) if self._real else HashMint(secret, self._secret)
        means = Means(
            strength=villain.strength,
            stream=self._seeds.stream("agent.adversary", i),
            signer=self._signers[i],
            mint=mint,
            friends=frozenset(self._ids[friend] for friend in villain.mind.friends),
            tunnel=frozenset({self._ids[villain.tunnel]}),
            targets=None if against is None else frozenset(self._ids[node] for node in against),
            window=villain.window,
            cycle=villain.cycle,
            rate=villain.rate,
            identities=villain.sybils,
            factor=villain.factor,
        )
        return interceptors(villain.kinds, means)

    # The four steps ---------------------------------------------------------------------------------------------------

    def _instant(self) -> Instant:
        now = self._env.now
        return Instant(now, UNIX + now)

    def _tell(self, node: int, method: str, *args: Any) -> Any:
        """Tells an agent something that is online, and does what it then wants done."""
        if not self._world.online[node]:
            return None
        now = self._instant()
        result = getattr(self.agents[node], method)(*args, now)
        effects = self.agents[node].effects()
        if self._observer is not None:
            self._observer(Input(node, method, args, now, tuple(effects)))
        self._pump(node, effects)
        return result

    def _pump(self, node: int, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self._perform(node, effect)
        self._arm(node, self.agents[node].wake_at())

    def _perform(self, node: int, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(node, effect)
            case Dial():
                self._dial(node, self._index[effect.node])
            case Undial():
                self._undial(node, self._index[effect.node])
            case Resolve():
                self._env.schedule_record(self._env.now + LOOKUP, "agent.resolved", node, (effect.token, effect.aura))
            case OpenMedia():
                self._open(node, effect)
            case CloseMedia():
                self._flows.close(node, effect.label, self._env.now)
            case Emit():
                self._log.keep(node, effect.sample)

    def _arm(self, node: int, at: float | None) -> None:
        if at is not None and at < self._armed[node]:
            self._armed[node] = at
            self._env.schedule_record(max(at, self._env.now), "agent.wake", node, self._epochs[node])

    def _wake(self, node: int, epoch: int) -> None:
        if epoch != self._epochs[node]:
            return
        self._armed[node] = float("inf")
        self._tell(node, "handle_timer")

    # Wires ------------------------------------------------------------------------------------------------------------

    def _send(self, src: int, effect: Send) -> None:
        dst = self._index[effect.to]
        if (src, dst) not in self._linked:
            return
        if self._overhead is not None and self._overhead.counts:
            self._overhead.add(src, type(effect.message).__name__.lower(), wire_bytes(len(encode(effect.message))))
        reliable = effect.channel is not Channel.REALTIME
        arrival = self._wires.arrival(src, dst, self._env.now, reliable=reliable)
        if arrival is not None:
            self._env.push(arrival, Record("agent.message", dst, (src, effect.message)))

    def _deliver(self, node: int, arg: tuple[int, Any]) -> None:
        source, message = arg
        self._tell(node, "receive", message, self._ids[source])

    def _bring_up(self, node: int, after: int | None) -> None:
        """The links of `node` come up; with `after`, only those to nodes of higher rows, so that each comes up once."""
        for peer in self._neighbours[node]:
            wanted = after is None or peer > after
            if wanted and self._world.online[node] and self._world.online[peer]:
                self._tell(node, "link_up", self._ids[peer])
                self._tell(peer, "link_up", self._ids[node])

    def _dial(self, node: int, peer: int) -> None:
        if not (self._world.online[peer] and self._world.meet(node, peer)):
            self._env.schedule_record(self._env.now + DIAL_TIMEOUT, "agent.dialled", node, (peer, False))
            return
        # offer, answer, connectivity check: two round trips
        delay = 2 * (self._wires.delay(node, peer) + self._wires.delay(peer, node))
        self._env.schedule_record(self._env.now + delay, "agent.dialled", node, (peer, True))

    def _dialled(self, node: int, arg: tuple[int, bool]) -> None:
        peer, made = arg
        if not made:
            self._tell(node, "link_down", self._ids[peer])
            return
        self._linked |= {(node, peer), (peer, node)}
        self._tell(peer, "link_up", self._ids[node])
        self._tell(node, "link_up", self._ids[peer])

    def _undial(self, node: int, peer: int) -> None:
        self._linked -= {(node, peer), (peer, node)}
        self._tell(peer, "link_down", self._ids[node])

    def _answer(self, node: int, arg: tuple[int, AuraID]) -> None:
        token, aura = arg
        try:
            answer: Sequence[NodeRecord] | IdentityError = self._directory.resolve(aura)
        except IdentityError as unknown:
            answer = unknown
        self._tell(node, "resolved", token, answer)

    # Calls and media --------------------------------------------------------------------------------------------------

    def _start_call(self, number: int, _: Any) -> None:
        calls = self._plan.calls
        caller = int(calls.caller[number])
        if not self._log.begin(number, caller, int(calls.callee_node[number])):
            return
        media = MediaType(calls.media[number])
        request = CallRequest(
            caller=AuraID.parse(self._plan.nodes.auras[caller]),
            callee=AuraID.parse(calls.callee[number]),
            media=media,
            aic=self._wishes.of(number, media),
            duration=float(calls.duration[number]),
        )
        call = self._place(caller, request, number)
        self._env.schedule_record(self._env.now + request.duration, "call.end", caller, call)

    def _place(self, caller: int, request: CallRequest, number: int) -> CallId:
        call: CallId = self._tell(caller, "place_call", request)
        self._log.name(number, call)
        return call

    def _end_call(self, caller: int, call: CallId) -> None:
        self._tell(caller, "hang_up", call)

    def _open(self, node: int, effect: OpenMedia) -> None:
        self._flows.open(node, effect, self._index, self._log.number(effect.call), self._env.now)
        if effect.upstream is None:
            self._report_later(node, (effect.call, effect.label))

    def _report_later(self, caller: int, arg: tuple[CallId, int]) -> None:
        period = self._plan.scenario.control.report_period
        self._env.push(self._env.now + period, Record("agent.report", caller, arg))

    def _report(self, caller: int, arg: tuple[CallId, int]) -> None:
        """Tells the nodes of a route what they carried and its ends how it came, while the caller keeps it open."""
        call, label = arg
        if not self._flows.is_open(caller, label):
            return
        rtt, jitter, loss = self._flows.truth(label)
        for node, carried in self._flows.count(label, self._plan.scenario.control.report_period, loss).items():
            self._tell(node, "media_carried", call, label, carried)
        report = MediaReport(label=label, jitter=jitter, loss=loss, rtt=rtt)
        for end in self._flows.ends(label):
            self._tell(end, "media_report", call, report)
        self._report_later(caller, arg)
