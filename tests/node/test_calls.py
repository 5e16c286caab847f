"""A node inside a program: its calls as objects, over a real registry and real links on loopback."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshsim.agent import AgentConfig, CallState
from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import CallFailed, ConfigError, IdentityError
from meshsim.mesh.ids import did_key
from meshsim.mesh.media import MediaType
from meshsim.node import Call, CallQuality, Node, NodeConfig, ends

PACE = AgentConfig(heartbeat=0.5, probe_period=0.2, digest_period=0.5, keepalive=0.3, dead_after=5)
ALICE, BOB = (Ed25519Signer.from_seed(bytes([n]) * 32) for n in (1, 2))
LONG = 30.0


@asynccontextmanager
async def pair(folder: Path, **more: dict[str, Any]) -> AsyncIterator[tuple[Node, Node]]:
    """Alice and Bob, linked."""
    for name, signer in (("alice", ALICE), ("bob", BOB)):
        signer.to_file(folder / f"{name}.key")
    async with embedded() as url:
        configs = [
            NodeConfig(
                aura=f"@{name}.aura", key=str(folder / f"{name}.key"), registry=url, policy="shortest", agent=PACE,
                neighbours=(did_key(other.node_id),), **more.get(name, {}),
            )
            for name, other in (("alice", BOB), ("bob", ALICE))
        ]  # fmt: skip
        async with asyncio.timeout(LONG), Node(configs[0]) as alice, Node(configs[1]) as bob:
            assert await alice.wait_linked()
            yield alice, bob


async def test_a_call_tells_both_ends_its_path_its_quality_and_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ends, "REPORT_PERIOD", 0.15)
    async with pair(tmp_path) as (alice, bob):
        came: asyncio.Queue[Call] = asyncio.Queue()
        heard: asyncio.Queue[CallQuality] = asyncio.Queue()
        bob.on_call(came.put_nowait)
        call = await alice.call("@bob.aura", media="audio", aic="off")
        call.on_quality(heard.put_nowait)
        other = await came.get()
        assert (call.outgoing, other.outgoing) == (True, False)
        assert (str(call.peer), str(other.peer)) == ("@bob.aura", "@alice.aura")
        assert call.path == other.path == (ALICE.node_id, BOB.node_id)
        assert [call.state, other.state] == 2 * [CallState.ACTIVE]
        assert call.media is other.media is MediaType.AUDIO
        await heard.get()  # the first second: an echo may not have come yet
        quality = await heard.get()
        assert 0.0 < quality.rtt < 1.0
        assert 0.0 <= quality.loss < 0.5
        assert quality.jitter < 0.1
        assert 1.0 <= quality.mos <= 4.5
        assert list(alice.calls) == list(bob.calls) == [call.id]
        call.hang_up()
        results = [await call.ended(), await other.ended()]
        call.hang_up()
        assert not alice.calls
        assert not bob.calls
    for result in results:
        assert (result.outcome, result.reason, result.failovers) == ("completed", "", 0)
        assert result.path == call.path
        assert 0.3 < result.seconds < LONG
        assert not math.isnan(result.mos)
    assert [call.state, other.state] == 2 * [CallState.ENDED]


async def test_who_leaves_hangs_up_and_both_ends_know(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, bob):
        came: asyncio.Queue[Call] = asyncio.Queue()
        bob.on_call(came.put_nowait)
        call = await alice.call("@bob.aura")
        other = await came.get()
        other.hang_up()
        assert (await call.ended()).outcome == (await other.ended()).outcome == "completed"
        last = await alice.call("@bob.aura")
    assert (await last.ended()).outcome == "completed"


async def test_only_callers_that_are_named_are_answered_and_none_once_a_node_leaves(tmp_path: Path) -> None:
    async with pair(tmp_path, bob={"callers": ("@carol.aura",)}) as (alice, bob):
        with pytest.raises(CallFailed, match="declined"):
            await alice.call("@bob.aura")
        call = await bob.call("@alice.aura")
        alice.standing().driver.leave()
        assert (await call.ended()).outcome == "completed"
        with pytest.raises(CallFailed, match="offline"):
            await bob.call("@alice.aura")


async def test_a_call_that_cannot_be_says_why_and_one_that_nobody_waits_for_is_hung_up(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, _):
        with pytest.raises(CallFailed, match=r"no node serves @carol\.aura"):
            await alice.call("@carol.aura")
        with pytest.raises(CallFailed, match="AIC"):
            await alice.call("@bob.aura", aic="require")
        with pytest.raises(IdentityError, match="bob"):
            await alice.call("bob")
        with pytest.raises(ConfigError, match="did you mean: audio_video") as wrong:
            await alice.call("@bob.aura", media="audio_vidoe")
        assert wrong.value.key == "media"
        with pytest.raises(ConfigError, match="did you mean: require"):
            await alice.call("@bob.aura", aic="required")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.0):
                await alice.call("@bob.aura")
        assert not alice.calls


async def test_an_error_in_the_program_comes_out_as_it_was_and_the_node_has_left(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(ZeroDivisionError):
        await _break(tmp_path, told)
    assert told[-1] == "left"


async def _break(folder: Path, told: list[str]) -> None:
    async with pair(folder) as (alice, _):
        alice.listeners.append(lambda event: told.append(event["event"]))
        raise ZeroDivisionError
