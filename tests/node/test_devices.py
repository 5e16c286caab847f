"""A program's own microphone, camera, speaker and screen, in calls between real nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.agent import AgentConfig
from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer
from meshsim.mesh.ids import did_key
from meshsim.node import Devices, Node, NodeConfig
from meshsim.node.devices import FRAME_SAMPLES, HEIGHT, WIDTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACE = AgentConfig(heartbeat=0.5, probe_period=0.2, digest_period=0.5, keepalive=0.3, dead_after=5)
SIGNERS = {name: Ed25519Signer.from_seed(bytes([number]) * 32) for number, name in enumerate(("alice", "bob"), start=1)}
PITCH, GREY = 1000.0, 200


def tone(number: int) -> NDArray[np.int16]:
    at = (number * FRAME_SAMPLES + np.arange(FRAME_SAMPLES)) / 48_000
    return (8000 * np.sin(2 * np.pi * PITCH * at)).astype(np.int16)


def grey(number: int) -> NDArray[np.uint8]:
    assert number >= 0
    picture = np.full((3 * HEIGHT // 2, WIDTH), 128, dtype=np.uint8)
    picture[:HEIGHT] = GREY
    return picture


@asynccontextmanager
async def pair(folder: Path, **devices: Devices) -> AsyncIterator[tuple[Node, Node]]:
    nodes: list[Node] = []
    async with embedded() as url, asyncio.timeout(30):
        for name, other in (("alice", "bob"), ("bob", "alice")):
            SIGNERS[name].to_file(folder / f"{name}.key")
            config = NodeConfig(
                aura=f"@{name}.aura", key=str(folder / f"{name}.key"), registry=url, policy="shortest", agent=PACE,
                neighbours=(did_key(SIGNERS[other].node_id),),
            )  # fmt: skip
            nodes.append(Node(config, devices=devices.get(name)))
        async with nodes[0] as alice, nodes[1] as bob:
            assert await alice.wait_linked()
            yield alice, bob


async def test_what_one_program_says_and_shows_the_other_hears_and_sees(tmp_path: Path) -> None:
    heard: list[NDArray[np.int16]] = []
    seen: list[NDArray[np.uint8]] = []
    says, hears = Devices(microphone=tone, camera=grey), Devices(speaker=heard.append, screen=seen.append)
    async with pair(tmp_path, alice=says, bob=hears) as (alice, _):
        call = await alice.call("@bob.aura", media="audio_video")
        await asyncio.sleep(2.0)
        call.hang_up()
        await call.ended()
    assert {(frame.shape, frame.dtype) for frame in heard} == {((FRAME_SAMPLES,), np.dtype(np.int16))}
    voice = np.concatenate(heard[-50:]).astype(float)
    spectrum = np.abs(np.fft.rfft(voice * np.hanning(len(voice))))
    assert float(np.argmax(spectrum)) * 48_000 / len(voice) == pytest.approx(PITCH, abs=5)
    assert len(seen) > 10
    assert {picture.shape for picture in seen} == {(3 * HEIGHT // 2, WIDTH)}
    assert np.mean(seen[-1][:HEIGHT]) == pytest.approx(GREY, abs=4)


def broken(*_: object) -> Any:
    raise RuntimeError("no such device")


@pytest.mark.parametrize("makes", [broken, lambda _: np.zeros(3)])
async def test_devices_that_fail_are_told_to_the_loop_and_end_neither_call_nor_node(makes: Any, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    failing = Devices(microphone=makes, camera=makes, speaker=broken, screen=broken)
    async with pair(tmp_path, alice=failing, bob=failing) as (alice, bob):
        call = await alice.call("@bob.aura", media="audio_video")
        await asyncio.sleep(1.0)
        call.hang_up()
        result = await call.ended()
        assert (await bob.call("@alice.aura")).state == "active"
    assert result.outcome == "completed"
    assert {type(context["exception"]) for context in told} >= {RuntimeError}
