from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from meshsim.agent import AgentConfig
from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer
from meshsim.mesh.ids import did_key
from meshsim.node import Node, NodeConfig
from meshsim.node.clock import HOLD, SLEW, NodeClock

START = 1.8e9
ALICE, BOB = (Ed25519Signer.from_seed(bytes([n]) * 32) for n in (1, 2))


@dataclasses.dataclass
class Machine:
    """A machine whose clocks a test moves."""

    elapsed: float = 1000.0
    system: float = START
    clock: NodeClock = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.clock = NodeClock(lambda: self.elapsed, lambda: self.elapsed, lambda: self.system)

    def live(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(round(seconds / step)):
            self.elapsed += step
            self.system += step
            self.clock.unix()


def test_unix_time_is_the_systems_while_that_goes_evenly() -> None:
    machine = Machine()
    machine.live(5000.0, 50.0)
    assert machine.clock().unix == pytest.approx(machine.system)
    assert machine.clock().mono == machine.elapsed
    assert machine.clock.ahead == 0.0


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_jump_of_an_hour_is_not_followed_at_first_then_slowly_and_in_the_end_wholly(jump: float) -> None:
    machine = Machine()
    machine.live(10.0)
    machine.system += jump
    assert machine.clock.ahead == pytest.approx(jump)
    machine.live(HOLD)
    assert machine.clock.unix() == pytest.approx(machine.system - jump)
    machine.live(100.0)
    assert abs(machine.clock.unix() - (machine.system - jump)) == pytest.approx(SLEW * 100.0, abs=0.2)
    machine.live(3600.0 / SLEW)
    assert machine.clock.unix() == pytest.approx(machine.system, abs=1.0)
    assert machine.clock.ahead == 0.0


def test_a_jump_that_is_taken_back_leaves_no_trace() -> None:
    machine = Machine()
    machine.system += 3600.0
    machine.live(HOLD - 10.0)
    machine.system -= 3600.0
    machine.live(HOLD)
    assert machine.clock.unix() == pytest.approx(machine.system)


def test_small_differences_are_followed_and_never_backwards() -> None:
    machine = Machine()
    machine.live(10.0)
    machine.system -= 0.5
    last = machine.clock.unix()
    for _ in range(20):
        machine.live(1.0)
        assert machine.clock.unix() > last
        last = machine.clock.unix()
    assert machine.clock.unix() == pytest.approx(machine.system)


async def test_a_node_whose_clock_jumps_an_hour_keeps_its_view_and_is_called(tmp_path: Path) -> None:
    pace = AgentConfig(heartbeat=0.2, probe_period=0.1, digest_period=0.2, keepalive=0.2, dead_after=5)
    jumped = 0.0
    real = NodeClock()
    clock = NodeClock(system=lambda: real.unix() + jumped)
    for name, signer in (("alice", ALICE), ("bob", BOB)):
        signer.to_file(tmp_path / f"{name}.key")
    async with asyncio.timeout(30.0), embedded() as url:
        one, other = (
            NodeConfig(
                aura=f"@{name}.aura", key=str(tmp_path / f"{name}.key"), registry=url, policy="shortest", agent=pace,
                neighbours=(did_key(friend.node_id),),
            )
            for name, friend in (("alice", BOB), ("bob", ALICE))
        )  # fmt: skip
        async with Node(one, clock=clock) as alice, Node(other) as bob:
            assert await alice.wait_linked()
            while alice.standing().view().nodes.online.sum() < 2:  # noqa: ASYNC110 - nothing says so
                await asyncio.sleep(0.05)
            jumped = 3600.0
            await asyncio.sleep(0.5)  # two rounds of gossip
            for node in (alice, bob):
                told = node.standing().tell()
                assert told["view"]["online"] == 2
                assert told["rejected"] == {}
            assert alice.standing().tell()["clock_ahead_seconds"] == pytest.approx(3600.0, abs=1.0)
            for caller, callee in ((alice, "@bob.aura"), (bob, "@alice.aura")):
                call = await caller.call(callee)
                call.hang_up()
                assert (await call.ended()).outcome == "completed"
