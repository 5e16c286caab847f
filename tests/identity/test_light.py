"""What nodes import stays light: no package of an extra comes with identity, trust or links."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

EXTRAS = {"scipy", "numba", "networkx", "pydantic", "pandas", "torch", "aiortc", "simpy"}


@pytest.mark.parametrize(
    ("package", "allowed"),
    [("meshsim.identity", {"msgspec", "cryptography"}), ("meshsim.trust", {"numpy"}), ("meshsim.links", {"numpy"})],
)
def test_a_package_of_every_node_imports_no_extra(package: str, allowed: set[str]) -> None:
    code = f"import json, sys, {package}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded & (EXTRAS | {"numpy", "msgspec", "cryptography"}) == allowed
