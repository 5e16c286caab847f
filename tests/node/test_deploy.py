"""What stands in `deploy/` and `docs/run-a-mesh.md` is held to the code, and the page's commands are typed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from meshsim.mesh.ids import NodeId
from meshsim.mesh.view import NodeEntry, make_view
from meshsim.node.config import load_config
from meshsim.node.metrics import Gauges
from meshsim.node.status import Tally

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def deploy(root: Path) -> Path:
    return root / "deploy"


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def exported() -> set[str]:
    """The names of all samples that a node gives Prometheus, even those that need a link or a refusal."""
    view = make_view([NodeEntry(id=NodeId(bytes(32)))], [], owner=0)
    record = SimpleNamespace(aura="@a.aura", role="relay", max_calls=3)
    agent = SimpleNamespace(node=bytes(32), record=record, load=0.0, rejected={"forged": 1})
    tally = Tally(calls={("outgoing", "completed"): 1}, scores=80.0, scored=1)
    link = {"node": "x", "up": True, "rtt_seconds": 0.1, "loss": 0.0}
    passing = SimpleNamespace(resent=0, recovered=0)
    media = SimpleNamespace(unroutable=0, spared=0, passing=passing, data=SimpleNamespace(overrun=0))
    node: Any = SimpleNamespace(
        agent=agent, tally=tally, uptime=1.0, view=lambda: view, links=lambda: [link], calls={}, carried=(),
        client=SimpleNamespace(online=True), media=media, trace=None,
        neighbours=SimpleNamespace(counts=lambda: {"links_unproven": 1}),
    )  # fmt: skip
    text = Gauges(lambda: node).text().decode()
    return set(re.findall(r"^(\w+)[ {]", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", ["relay.yaml", "alice.yaml"])
def test_the_example_files_are_files_of_nodes(deploy: Path, name: str) -> None:
    config = load_config(deploy / name, {})
    assert config.metrics is not None
    assert config.metrics in yaml(deploy / "prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    assert config.room == (24 if name == "relay.yaml" else 0)


def test_alerts_and_the_page_speak_of_numbers_that_are_there(deploy: Path, root: Path) -> None:
    names = exported()
    rules = [rule for group in yaml(deploy / "alerts.yml")["groups"] for rule in group["rules"]]
    said = {name for rule in rules for name in re.findall(r"meshsim_\w+", rule["expr"])}
    page = (root / "docs" / "run-a-mesh.md").read_text(encoding="utf-8")
    table = page[page.index("## What it tells Prometheus") : page.index("## When something")]
    said |= {name for name in re.findall(r"`(\w+)(?:\{[\w,]*\})?`", table) if name != "name"}
    whole = names | {name.removesuffix("_count") for name in names if name.endswith("_count")}
    assert said
    assert said <= whole


def test_units_are_ones_that_systemd_takes_and_end_a_node_within_its_patience(deploy: Path, tmp_path: Path) -> None:
    for name in ("meshsim-registry.service", "meshsim-node@.service"):
        text = (deploy / name).read_text(encoding="utf-8").replace("/opt/meshsim/bin", str(BIN))
        (tmp_path / name).write_text(text.replace("User=meshsim", "User=root").replace("Group=meshsim", "Group=root"))
    patience = float(re.search(r"TimeoutStopSec=(\d+)", text)[1])  # type: ignore[index]
    assert patience > load_config(deploy / "relay.yaml", {}).drain + 10.0
    if shutil.which("systemd-analyze"):
        units = [str(tmp_path / "meshsim-registry.service"), str(tmp_path / "meshsim-node@relay.service")]
        shutil.copy(tmp_path / "meshsim-node@.service", units[1])
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False, timeout=60
        )
        own = [line for line in done.stderr.splitlines() if "meshsim" in line]
        assert own == []


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of the package prometheus")
def test_alerts_ring_when_they_should(deploy: Path) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yml"], cwd=deploy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    config = ["promtool", "check", "config", "prometheus.yml"]
    assert subprocess.run(config, cwd=deploy, capture_output=True, check=False).returncode == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.full
def test_every_command_of_the_page_does_what_it_says(root: Path, tmp_path: Path) -> None:
    page = (root / "docs" / "run-a-mesh.md").read_text(encoding="utf-8")
    page = page.replace("8420", str(free_port())).replace("9420", str(free_port()))
    blocks = re.findall(r"^```sh\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    with ExitStack() as stack:
        shell: list[str] = []
        said = ""
        for block in blocks:
            endless = re.fullmatch(r"meshsim (registry serve|node run)[^|&\n]*\n", block)
            if not endless:
                shell.append(block)
                continue
            said += typed(shell, tmp_path, environment)
            shell = []
            terminal = stack.enter_context(
                subprocess.Popen(
                    ["bash", "-c", f"exec {block}"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
                )
            )
            stack.callback(terminal.terminate)
            time.sleep(3.0)
        said += typed(shell, tmp_path, environment)
    assert '"event":"left"' in (tmp_path / "bob.events").read_text(encoding="utf-8")
    for word in (
        "outcome: completed",
        "room: 24",
        "link_samples: ",
        "meshsim_link_rtt_seconds{",
        "did you mean: relay",
    ):
        assert word in said
    assert (tmp_path / "links.csv").read_text(encoding="utf-8").startswith("time_ns,src,dst,delay_seconds")
    assert not (tmp_path / "relay.key.sock").exists()


def typed(blocks: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What one shell prints that is given `blocks`, in order; what it started in the background has ended."""
    done = subprocess.run(
        ["bash", "-e", "-m", "-c", "\n".join([*blocks, "wait"])],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
