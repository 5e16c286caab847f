"""One recorded life of an agent, told again through each driver: the same decisions, the same effects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.agent import (
    AgentConfig,
    CallSample,
    CloseMedia,
    Dial,
    Emit,
    MeshAgent,
    OpenMedia,
    ReceiptSample,
    Resolve,
    RouteSample,
    Send,
    Undial,
    decode,
    encode,
)
from meshsim.agent.journal import Head, entry_of, frame, records, replay
from meshsim.agent.messages import CallEnd, CallSetup, Error, Fault
from meshsim.agent.notices import AbuseReport, AbuseRuling
from meshsim.agent.signing import sign
from meshsim.identity import Ed25519Verifier
from meshsim.measure.trace import TraceWriter
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import to_nanoseconds
from meshsim.node.driver import NodeDriver
from meshsim.routing import RoutingEngine
from meshsim.scenario import compile as compile_plan
from meshsim.scenario import load
from meshsim.sim import Environment, World
from meshsim.sim.driver import Input, SimDriver
from meshsim.sim.ledger import model_of
from meshsim.sim.recorder import Recorder
from meshsim.sim.simulation import header, make_engine, node_ids
from meshsim.trust.abuse import Category, Ruling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

SCENARIO = """
name: parity
duration: 60 s
warmup: 0 s
underlay: {topology: sndlib/geant, utilisation_mean: 0.3}
nodes:
  count: 6
  roles: {relay: 3}
  relays_per_node: 3
  random_relays: 0
  named:
    - {name: alice, role: peer, nat: symmetric}
    - {name: bob, role: peer, nat: symmetric}
    - {name: carol, role: peer, nat: cone}
    - {name: r1, role: relay}
    - {name: r2, role: relay}
    - {name: r3, role: relay}
calls:
  rate: 0
  listed:
    - {at: 12 s, caller: "@alice.aura", callee: "@bob.aura", media: audio, duration: 30 s}
control: {mode: agents, digest_period: 3 s, probe_period: 1 s, heartbeat: 2 s}
"""

ALICE, BOB, RELAY_DIES = 0, 1, 20.0


class Mesh:
    """Six agents with real signatures; the first relay of the call dies during it."""

    def __init__(self, folder: Path) -> None:
        path = folder / "parity.yaml"
        path.write_text(SCENARIO)
        self.plan = compile_plan(load(path), 7)
        self.inputs: list[Input] = []
        engine = make_engine(self.plan)
        self.env, self.world, self.killed = Environment(), World(self.plan), -1
        with TraceWriter(folder / "trace", header(self.plan, engine.policy.name)) as writer:
            recorder, ids = Recorder(writer, self.plan), node_ids(self.plan)
            recorder.mesh(ids)
            self.driver = SimDriver(
                self.env, self.world, engine, recorder, ids, real_signatures=True, observer=self.inputs.append
            )
            self.env.on("kill", self.kill)
            self.env.schedule_record(RELAY_DIES, "kill", 0)
            self.driver.schedule()
            self.env.run(until=self.plan.scenario.duration)
            self.driver.close()
            recorder.flush()

    def kill(self, _entity: int, _arg: object) -> None:
        sends = [effect.message for effect in effects_of(self.inputs) if isinstance(effect, Send)]
        setups = [message for message in sends if isinstance(message, CallSetup)]
        self.killed = self.driver._index[setups[-1].path[1]]
        self.world.online[self.killed] = False
        self.driver.node_down(self.killed)


def effects_of(inputs: list[Input]) -> list[Any]:
    return [effect for one in inputs for effect in one.effects]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    return Mesh(tmp_path_factory.mktemp("parity"))


def twin(mesh: Mesh, node: int, *, logs: bool = False, moderators: tuple[NodeId, ...] = ()) -> MeshAgent:
    """A fresh agent like the one that lived in the simulator, put together by hand as a node does."""
    driver, plan = mesh.driver, mesh.plan
    control = plan.scenario.control
    return MeshAgent(
        AgentConfig(
            heartbeat=control.heartbeat,
            probe_period=control.probe_period,
            digest_period=control.digest_period,
            keepalive=control.keepalive,
            max_nodes=control.area,
            logs_receipts=logs,
            moderators=moderators,
        ),
        driver._records[node],
        driver._signers[node],
        Ed25519Verifier(),
        RoutingEngine(plan.scenario.routing.policy, trust_floor=plan.scenario.routing.trust_floor),
        model_of(plan.scenario.trust),
        [driver._ids[peer] for peer in driver._neighbours[node]],
        SeedTree(plan.seed).stream("agent/0", node),
    )


@dataclass
class Wires:
    """In-memory wires: what the driver performed, bytes turned back into messages."""

    done: list[Any] = field(default_factory=list)

    def send(self, to: bytes, channel: str, data: bytes) -> None:
        self.done.append(("send", to, channel, decode(data)))

    def dial(self, node: bytes) -> None:
        self.done.append(("dial", node))

    def undial(self, node: bytes) -> None:
        self.done.append(("undial", node))

    def resolve(self, token: int, aura: object) -> None:
        self.done.append(("resolve", token, aura))

    def open_media(self, effect: OpenMedia) -> None:
        self.done.append(effect)

    def close_media(self, effect: CloseMedia) -> None:
        self.done.append(effect)

    def emit(self, sample: object) -> None:
        self.done.append(("emit", comparable(sample)))


@dataclass
class Timer:
    """A timer that the script rings, or never."""

    at: float
    callback: Callable[[], Any]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Script:
    """The clock and timers of the replay."""

    now: Instant | None = None
    timers: list[Timer] = field(default_factory=list)

    def clock(self) -> Instant:
        assert self.now is not None
        return self.now

    def call_at(self, when: float, callback: Callable[[], Any]) -> Timer:
        self.timers.append(Timer(when, callback))
        return self.timers[-1]


def comparable(sample: Any) -> Any:
    """A sample without the arrays that have no equality; NaN as text, for it equals nothing."""
    if isinstance(sample, RouteSample):
        views = [(c.src.tolist(), c.delay.tolist(), c.loss.tolist()) for c in (sample.view.links, sample.view.fresh)]
        utility = np.nan_to_num(sample.ranking.scores.utility).tolist()
        paths = list(sample.ranking.candidates)
        return sample.call, sample.at, str(sample.decision), views, utility, paths
    return str(sample)


def performed(effect: Any) -> Any:
    match effect:
        case Send():
            return "send", effect.to, effect.channel.value, effect.message
        case Dial():
            return "dial", effect.node
        case Undial():
            return "undial", effect.node
        case Resolve():
            return "resolve", effect.token, effect.aura
        case Emit():
            return "emit", comparable(effect.sample)
    return effect


def relive(agent: MeshAgent, inputs: list[Input], wires: Wires, then: Callable[[], None] = lambda: None) -> None:
    """Lets an agent on the node's driver live through `inputs`; messages go in and out as bytes."""
    script = Script()
    driver = NodeDriver(agent, wires, script.clock, script)
    for one in inputs:
        script.now = one.now
        if one.method == "receive":
            message, source = one.args
            driver.receive(source, encode(message))
        elif one.method == "handle_timer":
            due = [timer for timer in script.timers if not timer.cancelled]
            if due and due[-1].at <= one.now.mono:
                due[-1].callback()
        else:
            getattr(driver, one.method)(*one.args)
        then()


def through_node_driver(agent: MeshAgent, inputs: list[Input]) -> list[list[Any]]:
    """What the asyncio driver performs when it lives through `inputs`."""
    wires, steps = Wires(), []

    def keep() -> None:
        steps.append(wires.done)
        wires.done = []

    relive(agent, inputs, wires, keep)
    return steps


def directly(agent: MeshAgent, inputs: list[Input]) -> list[list[Any]]:
    """What the simulator's driver does: typed messages, its own clock."""
    steps = []
    for one in inputs:
        getattr(agent, one.method)(*one.args, one.now)
        steps.append([performed(effect) for effect in agent.effects()])
    return steps


def test_the_recorded_mesh_has_a_relayed_call_that_survives_its_relay(mesh: Mesh) -> None:
    samples = [e.sample for e in effects_of(mesh.inputs) if isinstance(e, Emit) and isinstance(e.sample, CallSample)]
    assert [sample.outcome for sample in samples] == ["completed"]
    assert len(samples[0].failovers) == 1
    assert samples[0].path != samples[0].final_path
    assert len(samples[0].path) == len(samples[0].final_path) == 3


def test_receipts_of_a_simulated_route_state_the_bytes_that_came_and_that_were_passed_on(mesh: Mesh) -> None:
    ends = [e.message for e in effects_of(mesh.inputs) if isinstance(e, Send) and isinstance(e.message, CallEnd)]
    last = max(receipt.attempt for receipt in ends[-1].receipts)
    stated = {r.signer: r.carried for r in ends[-1].receipts if r.attempt == last}
    caller, relay, callee = ends[-1].receipts[-1].path
    lived = 30.0 - (RELAY_DIES - 12.0)
    assert stated[caller] == pytest.approx(demand(MediaType.AUDIO).rate_bps / 8.0 * lived, rel=0.2)
    assert stated[relay] == pytest.approx(stated[caller] + stated[callee], abs=1)


@pytest.mark.parametrize("who", ["caller", "callee", "lost relay", "new relay"])
def test_both_drivers_perform_the_same_effects_on_the_same_events(mesh: Mesh, who: str) -> None:
    openers = [one.node for one in mesh.inputs if any(isinstance(effect, OpenMedia) for effect in one.effects)]
    node = {"caller": ALICE, "callee": BOB, "lost relay": mesh.killed, "new relay": openers[-2]}[who]
    inputs = [one for one in mesh.inputs if one.node == node]
    recorded = [[performed(effect) for effect in one.effects] for one in inputs]

    assert len(inputs) > 100
    assert directly(twin(mesh, node), inputs) == recorded
    assert through_node_driver(twin(mesh, node), inputs) == recorded


def test_both_drivers_hear_and_say_the_same_of_abuse(mesh: Mesh) -> None:
    ids, signers = mesh.driver._ids, mesh.driver._signers
    inputs = [one for one in mesh.inputs if one.node == ALICE]
    middle = next(i for i, one in enumerate(inputs) if one.now.mono > RELAY_DIES - 5.0)
    now = inputs[middle].now
    at = to_nanoseconds(now.unix)
    heard = AbuseReport(reporter=ids[BOB], subject=ids[4], category=Category.SPAM, at_ns=at)
    ruling = AbuseRuling(moderator=ids[BOB], subject=ids[4], ruling=Ruling.UPHELD, at_ns=at)
    said = [
        inputs[middle]._replace(method="receive", args=(sign(heard, signers[BOB]), ids[3])),
        inputs[middle]._replace(method="receive", args=(sign(ruling, signers[BOB]), ids[3])),
    ]
    lived = [*inputs[:middle], *said, *inputs[middle:]]
    agents = [twin(mesh, ALICE, moderators=(ids[BOB],)) for _ in range(2)]
    assert directly(agents[0], lived) == through_node_driver(agents[1], lived)
    for agent in agents:
        assert agent.complaints.refused == {}
        assert [notice for _, notice, _ in agent.complaints._notices] == [one.args[0] for one in said]


def test_decisions_are_the_same_under_both_drivers(mesh: Mesh) -> None:
    inputs = [one for one in mesh.inputs if one.node == ALICE]

    def decisions(steps: list[list[Any]]) -> list[Any]:
        return [done for step in steps for done in step if done[0] == "emit" and "route_id" in str(done)]

    ours = decisions([[performed(e) for e in one.effects if isinstance(e, Emit)] for one in inputs])
    replayed = through_node_driver(twin(mesh, ALICE), inputs)
    emitted = [[done for done in step if isinstance(done, tuple)] for step in replayed]
    assert len(ours) >= 1
    assert decisions(emitted) == ours


def test_malformed_bytes_are_counted_by_the_node_driver_and_change_nothing_else(mesh: Mesh) -> None:
    inputs = [one for one in mesh.inputs if one.node == ALICE][:50]
    agent, script, wires = twin(mesh, ALICE), Script(now=inputs[0].now), Wires()
    driver = NodeDriver(agent, wires, script.clock, script)
    driver.link_up(mesh.driver._ids[3])
    sent = len(wires.done)
    driver.receive(mesh.driver._ids[3], b"\x01\xff")
    driver.receive(mesh.driver._ids[3], b"")
    assert driver.rejected == {"malformed": 2}
    assert [done[-1] for done in wires.done[sent:]] == [Error(Fault.MALFORMED)]  # told once, however often it happens


def test_a_closed_node_driver_leaves_no_timer(mesh: Mesh) -> None:
    agent, script = twin(mesh, ALICE), Script(now=mesh.inputs[0].now)
    driver = NodeDriver(agent, Wires(), script.clock, script)
    driver.link_up(mesh.driver._ids[3])
    assert [timer.cancelled for timer in script.timers].count(False) == 1
    driver.close()
    assert all(timer.cancelled for timer in script.timers)


class Kept(Wires):
    """Wires that keep what is written into a journal."""

    def __init__(self, mesh: Mesh, node: int) -> None:
        super().__init__()
        trust = mesh.plan.scenario.trust
        head = Head(
            owner=mesh.driver._ids[node], rules=AgentConfig().rules, model=trust.model, half_life=trust.half_life
        )
        self.journal = frame(head)

    def emit(self, sample: object) -> None:
        if isinstance(sample, ReceiptSample):
            self.journal += frame(entry_of(sample))


@pytest.mark.parametrize("who", ["caller", "new relay", "bystander"])
def test_a_journal_gives_the_scores_of_the_simulated_agent_and_of_the_real_one_to_the_bit(mesh: Mesh, who: str) -> None:
    openers = [one.node for one in mesh.inputs if any(isinstance(effect, OpenMedia) for effect in one.effects)]
    node = {"caller": ALICE, "new relay": openers[-2], "bystander": 2}[who]
    inputs = [one for one in mesh.inputs if one.node == node]
    agent, wires = twin(mesh, node, logs=True), Kept(mesh, node)
    relive(agent, inputs, wires)
    end = inputs[-1].now
    found = replay(records(wires.journal), Ed25519Verifier(), end.mono)
    simulated = mesh.driver.agents[node]
    assert found.receipts >= 3
    assert found.refused == {}
    assert found.scores
    for judged in mesh.driver._ids:
        score = found.scores.get(judged, agent.reputation(judged, end))
        assert score == agent.reputation(judged, end) == simulated.reputation(judged, end)
    assert any(score.evidence > 0.0 for score in found.scores.values())
