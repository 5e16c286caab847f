"""What befalls a node's process from its own machine: a full disk, a reader that does not read, signals, a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError
from meshsim.node.control import ask, is_answered

pytestmark = pytest.mark.full
LONG = 60.0


@asynccontextmanager
async def process(
    folder: Path, url: str, limit: str = "unlimited", **more: Any
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    """A node's process, and its socket; killed in the end if it still lives.

    Args:
        folder: For its files.
        url: Of the registry.
        limit: Blocks of 1024 bytes that a file of it may have.
        more: Further keys of its file.
    """
    key = folder / "a.key"
    if not key.exists():
        Ed25519Signer.from_seed(bytes(32)).to_file(key)
    path = folder / "a.json"
    path.write_text(json.dumps({"aura": "@a.aura", "key": str(key), "registry": url, "policy": "shortest"} | more))
    node = await asyncio.create_subprocess_exec(
        "bash", "-c", f"ulimit -f {limit}; exec {sys.executable} -m meshsim node run {path}",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert node.stdout is not None
    try:
        async with asyncio.timeout(LONG):
            assert json.loads(await node.stdout.readline())["event"] == "ready"
            while not is_answered(Path(f"{key}.sock")):  # noqa: ASYNC110 - nothing says so
                await asyncio.sleep(0.01)
            yield node, Path(f"{key}.sock")
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()


async def events(node: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    """All that was told until the end, which was in order."""
    out, err = await node.communicate()
    assert b"Traceback" not in err
    return [json.loads(line) for line in out.splitlines()]


async def test_a_full_disk_under_the_trace_is_told_once_and_the_node_lives(tmp_path: Path) -> None:
    async with embedded() as url, process(tmp_path, url, "1", trace=str(tmp_path / "trace")) as (node, path):
        for _ in range(2):
            with pytest.raises(ConfigError, match="the disk took no more"):
                await asyncio.to_thread(ask, path, {"do": "flush"})
        told = await asyncio.to_thread(ask, path, {"do": "status"})
        assert "File too large" in told["trace"]["given_up"]
        node.send_signal(signal.SIGTERM)
        said = await events(node)
    assert node.returncode == 0
    errors = [event["reason"] for event in said if event["event"] == "error"]
    assert len(errors) == 1
    assert "the trace ends here" in errors[0]


async def test_a_reader_that_does_not_read_holds_up_neither_the_node_nor_its_end(tmp_path: Path) -> None:
    async with embedded() as url, process(tmp_path, url, stdio=True) as (node, path):
        assert node.stdin is not None
        asked = 3 * 4096
        for _ in range(asked):
            node.stdin.write(b'{"do": "status"}\n')
        while True:
            told = await asyncio.to_thread(ask, path, {"do": "status"})
            if told["dropped_lines"] > 0:
                break
            await asyncio.sleep(0.2)
        node.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10.0):
            while node.returncode is None:  # noqa: ASYNC110 - `wait` waits for a reader, too
                await asyncio.sleep(0.05)
        await node.communicate()
    assert node.returncode == 0


async def test_a_killed_node_leaves_a_whole_trace_up_to_its_last_flush_and_starts_again(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    async with embedded() as url:
        async with process(tmp_path, url, trace=str(trace)) as (node, path):
            await asyncio.to_thread(ask, path, {"do": "flush"})
            node.send_signal(signal.SIGKILL)
            await node.wait()
        assert path.exists()
        assert Trace(trace).header["aura"] == "@a.aura"
        async with process(tmp_path, url, trace=str(trace)) as (node, path):
            told = await asyncio.to_thread(ask, path, {"do": "flush"})
            assert told == {"folder": f"{trace}.2"}
            node.send_signal(signal.SIGTERM)
            await events(node)
    assert node.returncode == 0
    assert not path.exists()


async def test_a_terminal_that_closes_ends_no_node_and_a_second_node_of_one_key_is_refused(tmp_path: Path) -> None:
    async with embedded() as url, process(tmp_path, url) as (node, path):
        node.send_signal(signal.SIGHUP)
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "meshsim", "node", "run", str(tmp_path / "a.json"), stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"MESHSIM_NODE_SEED": "2"},
        )  # fmt: skip
        _, err = await second.communicate()
        assert second.returncode == 2
        assert b"a node answers at" in err
        assert (await asyncio.to_thread(ask, path, {"do": "status"}))["aura"] == "@a.aura"
        assert await asyncio.to_thread(ask, path, {"do": "stop"}) == {"stopping": True}
        said = await events(node)
    assert node.returncode == 0
    assert said[-1]["event"] == "left"
