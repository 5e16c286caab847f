"""`make lab`: the kernel is there, it is this Python, it has meshsim, and nobody gets in without the token."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
CELLS = (
    "import sys\nimport meshsim as ms\nprint(sys.executable)",
    "result = ms.run('smoke', overrides=['duration=20 s', 'warmup=2 s', 'control.mode=modelled'])\nresult",
    "result.plan.scenario",
)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jupyter's own parts
def test_a_notebook_runs_in_the_kernel_of_this_python_and_shows_what_it_made(tmp_path: Path) -> None:
    assert "python3" in KernelSpecManager().find_kernel_specs()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where).execute()
    said, result, scenario = ([output for output in cell.outputs if output.output_type != "stream"] or cell.outputs
                              for cell in notebook.cells)  # fmt: skip
    assert said[0].text.strip() == sys.executable
    assert "poor_call_rate" in result[0].data["text/html"]
    assert "scenario smoke" in scenario[0].data["text/html"]


def words_of_make_lab() -> list[str]:
    """What `make lab` starts, as the shell would read it."""
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    command = told[told.index(".venv/bin/python -m jupyterlab") :]
    printed = subprocess.run(["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    return [sys.executable, *printed.stdout.splitlines()[1:]]


def told_by(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    """What the server writes down of itself, when it answers."""
    while process.poll() is None:
        for file in folder.glob("jpserver-*.json"):
            # it is written before anybody listens, and not at once
            with contextlib.suppress(ValueError, OSError):
                found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
                socket.create_connection(("127.0.0.1", found["port"])).close()
                return found
        os.sched_yield()
    pytest.fail("the server ended before it listened")


def status(server: dict[str, Any], token: str) -> int:
    headers = {"Authorization": f"token {token}"} if token else {}
    return httpx.get(f"{server['url']}api/contents", headers=headers, timeout=30.0, trust_env=False).status_code


@pytest.mark.full
@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_the_server_of_make_lab_listens_here_only_and_wants_its_token(tmp_path: Path) -> None:
    own = {"JUPYTER_RUNTIME_DIR": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path)}
    process = subprocess.Popen(
        [*words_of_make_lab(), "--no-browser", "--port=0"],
        cwd=ROOT,
        env=os.environ | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        server = told_by(process, tmp_path)
        assert server["url"].startswith("http://127.0.0.1:")
        assert Path(server["root_dir"]) == ROOT / "notebooks"
        assert len(server["token"]) >= 32
        assert status(server, "") == status(server, "guessed") == 403
        assert status(server, server["token"]) == 200
    finally:
        process.terminate()
        process.wait(timeout=60)
