from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from meshsim import control, node


@pytest.mark.parametrize("package", [node, control], ids=["node", "control"])
def test_every_announced_name_is_there_and_no_other(package: ModuleType) -> None:
    assert [name for name in package.__all__ if getattr(package, name).__name__ != name] == []
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = package.Nonsense


def test_packages_load_their_parts_only_when_asked() -> None:
    script = (
        "import sys, meshsim.node, meshsim.control, meshsim.node.emulator, meshsim.control.client\n"
        "print({'aiortc', 'av', 'fastapi', 'uvicorn', 'starlette'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "set()"
