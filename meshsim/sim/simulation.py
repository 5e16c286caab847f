"""One episode from plan to trace."""

from __future__ import annotations

import gc
import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from meshsim.identity.keys import Ed25519Signer
from meshsim.measure.trace import TraceWriter, trace_sha256
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.engine import RoutingEngine
from meshsim.routing.policies import Policy, make
from meshsim.routing.protocols import PROTOCOLS, Tables
from meshsim.scenario import canonical, change
from meshsim.scenario.quantities import ORACLE, POLICY_NAMES
from meshsim.sim.asking import Asking
from meshsim.sim.attacks.attacks import Attacks
from meshsim.sim.control import ControlPlane
from meshsim.sim.cuts import EdgeFaults
from meshsim.sim.environment import BEFORE, LATE, Environment
from meshsim.sim.labels import LabelOracle
from meshsim.sim.ledger import Ledger, model_of
from meshsim.sim.oracle import Oracle
from meshsim.sim.overhead import Overhead
from meshsim.sim.processes.complaints import Complaints
from meshsim.sim.processes.farewell import PoliteSwitchboard
from meshsim.sim.processes.federation import Domains
from meshsim.sim.processes.foreign import begin_processes
from meshsim.sim.processes.grievances import Grievances
from meshsim.sim.processes.mobility import Mobility
from meshsim.sim.protocols import ProtocolBoard
from meshsim.sim.recorder import Recorder
from meshsim.sim.rtc.tap import Tap
from meshsim.sim.world import World
from meshsim.trust.blame import Blame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meshsim.mesh.ids import NodeId
    from meshsim.scenario.plan import Plan
    from meshsim.trust import ReputationModel


EXPLORING = ("exploring", "q-routing", "via")
"""Policies that try other paths in the scenario's share of calls."""

DRAWING = ("k-shortest", "random-relay", *EXPLORING)
"""Policies that draw; each has a stream of its own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """What an episode left behind.

    Attributes:
        trace: The folder.
        trace_sha256: Equal for equal plans and policies.
        counts: Calls by outcome (`started`, `completed`, `dropped`, `failed`, `running`), and rows by table.
    """

    trace: Path
    trace_sha256: str
    counts: dict[str, int] = field(default_factory=dict)


def simulate(
    plan: Plan,
    out: Path,
    *,
    policy: str | Policy | None = None,
    progress: Callable[[float], None] | None = None,
) -> SimulationResult:
    """Runs the episode `plan` and writes its trace.

    Args:
        plan: Compiled from a scenario.
        out: Folder of the trace; must hold none yet.
        policy: Instead of the scenario's: a name, or a policy.
        progress: Told the share of the episode that is done, in [0, 1], as it goes.

    Raises:
        TraceError: If `out` holds a trace.
        ConfigError: If the policy is unknown or its model cannot be loaded.
    """
    return begin(plan, out, policy=policy, progress=progress).finish()


def begin(
    plan: Plan,
    out: Path,
    *,
    policy: str | Policy | None = None,
    reputation: ReputationModel | None = None,
    progress: Callable[[float], None] | None = None,
) -> Episode:
    """The episode `plan` at its first instant, to be advanced step by step; arguments and errors as of `simulate`.

    `reputation` stands in for the scenario's model (modelled control plane only).
    """
    plan, policy = reconcile(plan, policy)
    engine = make_engine(plan, policy)
    recorder = Recorder(TraceWriter(out, header(plan, engine.policy.name)), plan)
    return Episode(plan, recorder, engine, progress, reputation)


def header(plan: Plan, policy: str) -> dict[str, Any]:
    """What the trace says of how it came about: scenario, seed, topology, policy."""
    return {
        "source": "sim",
        "scenario": json.loads(canonical(plan.scenario)),
        "seed": plan.seed,
        "topology": plan.underlay.topology.name,
        "policy": policy,
    }


def reconcile(plan: Plan, policy: str | Policy | None) -> tuple[Plan, str | Policy | None]:
    """The plan with the routing protocol that `policy` names, or without its own when another policy is to choose."""
    protocol = policy if isinstance(policy, str) and policy in PROTOCOLS else ""
    if policy is None or protocol == plan.scenario.routing.protocol:
        return plan, None if protocol else policy
    changed = change(plan.scenario, [f"routing.protocol={json.dumps(protocol)}"])
    return replace(plan, scenario=changed), None if protocol else policy


def make_engine(plan: Plan, policy: str | Policy | None = None) -> RoutingEngine:
    """The routing engine that a scenario asks for, with `policy` in place of its own if given."""
    config = plan.scenario.routing
    chosen = (Tables(config.protocol) if config.protocol else config.policy) if policy is None else policy
    return RoutingEngine(
        make_policy(plan, chosen) if isinstance(chosen, str) else chosen,
        candidates=config.candidates,
        trust_floor=config.trust_floor,
        fallbacks=config.fallbacks,
    )


def make_policy(plan: Plan, name: str) -> Policy:
    """The policy `name` with the scenario's options: the model of `learned`, rates of exploration, streams of draws.

    Raises:
        ConfigError: If the name is unknown, or asks for an oracle among agents.
    """
    config = plan.scenario.routing
    if name == ORACLE:
        if plan.scenario.control.mode == "agents":
            raise ConfigError("the oracle needs the modelled control plane", key="policy", allowed=POLICY_NAMES)
        return Oracle()
    options: dict[str, Any] = {}
    if name in DRAWING:
        options["stream"] = SeedTree(plan.seed).stream(name)
    if name in EXPLORING:
        options["epsilon"] = config.exploration
    if name == "via":
        options["budget"] = config.relay_budget
    if name == "learned" and config.model is not None:
        options["model"] = config.model
    return make(name, **options)


def show_truth(judge: Policy | ReputationModel, world: World) -> None:
    """Lets a policy or a model of reputation see the world, if it is one that may."""
    if isinstance(judge, Oracle | LabelOracle):
        judge.world = world


def anchors_of(plan: Plan) -> tuple[int, ...]:
    """The nodes that are verified by other means, whatever they do, in order."""
    drawn = SeedTree(plan.seed).stream("trust.anchors").uniform(0, len(plan.nodes))
    return tuple(np.flatnonzero(drawn < plan.scenario.trust.anchors).tolist())


def node_ids(plan: Plan) -> tuple[NodeId, ...]:
    """The public key of every node, in index order."""
    return tuple(Ed25519Signer.from_seed(seed.tobytes()).node_id for seed in plan.nodes.key_seed)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Lets Python look for reference cycles seldom: records of calls have none, and looking costs as much as the calls.

    In a mesh of 5,000 nodes half of the time of ranking went there.
    """
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


_YOUNG = 200_000
"""New objects after which the youngest are looked at."""


class Board(Protocol):
    """Who carries the calls of an episode.

    A `Switchboard` with modelled belief, a `SimDriver` with agents, or a `ProtocolBoard` with a routing protocol.
    """

    @property
    def counts(self) -> dict[str, int]:
        """Calls by outcome."""

    def schedule(self) -> None:
        """Puts what is planned into the queue."""

    def settle(self) -> None:
        """The world has drifted."""

    def leaving(self, node: int) -> None:
        """A node has said that it is about to leave."""

    def node_down(self, node: int) -> None:
        """A node has vanished."""

    def node_up(self, node: int) -> None:
        """A node is back."""

    def routes_cut(self) -> None:
        """Edges below have been cut, or mended."""

    def silenced(self, node: int) -> None:
        """A relay may pass nothing on any more."""

    def replan(self, first: int) -> None:
        """Calls from number `first` on have changed."""

    def rank_anew(self) -> None:
        """What was ranked ahead holds no more."""

    def flow_of(self, number: int) -> int:
        """The world's flow of a call, -1 while its media do not flow."""

    def close(self) -> None:
        """The episode is over."""


class Episode:
    """An episode under way: the clock, the truth, and the calls. It is plain data but for `progress`.

    Args:
        plan: What is to happen.
        recorder: Where it is written.
        engine: Who chooses paths.
        progress: Told the share that is done.
        reputation: Who keeps reputations; the scenario's model when None.

    Attributes:
        plan: What is to happen.
        engine: Who chooses paths.
        recorder: Where it is written.
        progress: Told the share that is done; a copy of an episode has none.
        env: The clock.
        world: The truth.
        overhead: What control messages cost.
        attacks: What misbehaving nodes do by the clock, claim and say.
        complaints: Where abuse is reported, if anybody does.
        ledger: The area's reputations; None where each agent has its own.
        processes: What packages from outside let go on in the world.
        board: The calls, and with them the belief.
        edge_faults: What cuts and mends the edges below.
        over: Whether the end of the episode is reached.
        tap: Looks at calls whose packets are wanted, if there are any.
    """

    def __init__(
        self,
        plan: Plan,
        recorder: Recorder,
        engine: RoutingEngine,
        progress: Callable[[float], None] | None = None,
        reputation: ReputationModel | None = None,
    ) -> None:
        self.plan, self.recorder, self.engine, self.progress = plan, recorder, engine, progress
        self.over = False
        self.tap: Tap | None = None
        ids = node_ids(plan)
        recorder.mesh(ids)
        self.env = Environment()
        self.world = World(plan)
        self.overhead = Overhead(self.env, self.world, recorder)
        show_truth(engine.policy, self.world)
        self.attacks = Attacks(self.env, self.world, recorder)
        self.complaints: Complaints | None = None
        self.ledger: Ledger | None = None
        self.board = self._make_board(ids, reputation)
        self.edge_faults = EdgeFaults(self.env, self.world, recorder, self.board)
        self._every_link = self.world.lay_links(plan.links.src, plan.links.dst)
        self._schedule()

    @property
    def counts(self) -> dict[str, int]:
        """Calls by outcome, those of the warm-up included."""
        return dict(self.board.counts)

    def __getstate__(self) -> dict[str, Any]:
        """All but whom to tell of progress."""
        return {**self.__dict__, "progress": None}

    def listen(self, calls: Sequence[int]) -> None:
        """Writes down what the paths of some calls are like, in `tap`; to be asked for before the episode begins.

        Raises:
            ConfigError: If there is no call of a number.
        """
        self.tap = Tap(self.env, self.world, self.board, calls)

    def advance(self, until: float) -> None:
        """Goes on to `until` seconds, at most to the end. The steps in which one goes change nothing."""
        if not self.over and until > self.env.now:
            with _seldom_collecting():
                self.env.run(until=until)

    def play(self) -> None:
        """Goes on until something stops the clock: the end, or a question to somebody `outside`."""
        if not self.over:
            with _seldom_collecting():
                self.env.run()

    def finish(self) -> SimulationResult:
        """Goes on to the end and makes the trace whole."""
        self.play()
        self.board.close()
        self.overhead.close()
        self.recorder.flush()
        writer = self.recorder.writer
        writer.close()
        rows = {f"rows_{table}": count for table, count in sorted(self.recorder.counts.items())}
        return SimulationResult(
            trace=writer.folder, trace_sha256=trace_sha256(writer.folder), counts={**self.counts, **rows}
        )

    def _make_board(self, ids: tuple[NodeId, ...], reputation: ReputationModel | None) -> Board:
        if self.plan.scenario.control.mode == "agents":
            # it brings the whole agent, which the modelled mode does without
            from meshsim.sim.driver import SimDriver  # noqa: PLC0415 - as above

            return SimDriver(self.env, self.world, self.engine, self.recorder, ids, overhead=self.overhead)
        board = self._make_modelled(ids, reputation)
        if len(self.plan.moves):
            Mobility(self.env, self.world, board, self.recorder).schedule()
        return board

    def _make_modelled(
        self, ids: tuple[NodeId, ...], reputation: ReputationModel | None
    ) -> PoliteSwitchboard | ProtocolBoard:
        words = self.attacks.words or None
        trust = self.plan.scenario.trust
        model = model_of(trust) if reputation is None else reputation
        show_truth(model, self.world)
        for node in anchors_of(self.plan):
            model.anchor(node)
        blame = Blame(half_life=trust.half_life) if trust.blame else None
        liars = [villain.node for villain in self.world.villains]
        grievances = Grievances(trust.reports, liars, self.plan.seed, blame) if trust.reports > 0.0 else None
        self.ledger = ledger = Ledger(model, len(ids), self.recorder, words, blame, grievances)
        if self.attacks.spam or grievances is not None:
            self.complaints = Complaints(self.env, ledger, self.recorder, self.plan, self.attacks.spam, grievances)
        self.attacks.watch(ledger, self.complaints)
        if self.plan.scenario.routing.protocol:
            return ProtocolBoard(self.env, self.world, ledger, self.engine, self.recorder, self.overhead)
        control = ControlPlane(self.world, ids, ledger, self.attacks.claims or None)
        control.start(self.env)
        domains = Domains(self.plan, control.shared) if self.plan.scenario.federation.divided else None
        asking = Asking(self.env, self.plan, control, self.engine, self.recorder, ids, domains)
        board = PoliteSwitchboard(self.env, self.world, asking, ledger, self.engine, self.recorder, domains)
        if self.complaints is not None:
            self.complaints.start(board)
        return board

    def _schedule(self) -> None:
        env, scenario, faults = self.env, self.plan.scenario, self.plan.faults
        for kind, handler in (
            ("drift", self._drift),
            ("sample", self._sample),
            ("goodbye", self._say_goodbye),
            ("down", self._down),
            ("up", self._up),
            ("end", self._end),
        ):
            env.on(kind, handler)
        env.schedule_record(scenario.underlay.drift.period, "drift", 1, priority=BEFORE)
        env.schedule_record(0.0, "sample", 0, priority=LATE)
        for at, kind, node in zip(faults.at.tolist(), faults.kind, faults.node.tolist(), strict=True):
            env.schedule_record(at, kind, node, priority=BEFORE)
        self.overhead.start()
        self.board.schedule()
        self.attacks.start(self.board)
        self.processes = begin_processes(self, scenario.processes)
        env.schedule_record(scenario.duration, "end", 0, priority=BEFORE)

    def _drift(self, step: int, _: Any) -> None:
        period = self.plan.scenario.underlay.drift.period
        self.world.advance(self.env.now)
        self.board.settle()
        # products, not sums: the n-th step is at the same instant however it is reached
        self.env.schedule_record((step + 1) * period, "drift", step + 1, priority=BEFORE)
        if self.progress is not None:
            self.progress(min(self.env.now / self.plan.scenario.duration, 1.0))

    def _sample(self, step: int, _: Any) -> None:
        if len(self.plan.moves):
            self._every_link = self.world.lay_links(self.plan.links.src, self.plan.links.dst)
        self.recorder.links(self.env.now, self.world.hop_truth(self._every_link))
        self.env.schedule_record((step + 1) * self.plan.scenario.record.link_period, "sample", step + 1, priority=LATE)

    def _say_goodbye(self, node: int, _: Any) -> None:
        # a node may have been taken down by something else meanwhile
        if self.world.online[node]:
            self.recorder.event(self.env.now, "goodbye", node=node)
            self.board.leaving(node)

    def take_down(self, node: int) -> None:
        """A node vanishes now, without a word."""
        self.world.take_down(node, self.env.now)
        self.recorder.event(self.env.now, "down", node=node)
        self.board.node_down(node)

    def bring_up(self, node: int) -> None:
        """A node is back now."""
        self.world.bring_up(node)
        self.recorder.event(self.env.now, "up", node=node)
        self.board.node_up(node)

    def _down(self, node: int, _: Any) -> None:
        self.take_down(node)

    def _end(self, _: int, __: Any) -> None:
        self.over = True
        self.env.stop()

    def _up(self, node: int, _: Any) -> None:
        self.bring_up(node)
