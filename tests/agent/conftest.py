from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshsim.testing.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable


def build_diamond(**options: object) -> Network:
    """alice and bob behind NATs that cannot meet, joined by r1 (near) and r2 (far); settled for 5 s."""
    net = Network(**options)  # type: ignore[arg-type]
    for name in ("alice", "bob"):
        net.add(name, nat="symmetric")
    for name, delay in (("r1", 0.02), ("r2", 0.03)):
        net.add(name, role="relay")
        net.join("alice", name, delay)
        net.join("bob", name, delay)
    net.run(5.0)
    return net


@pytest.fixture
def diamond() -> Network:
    return build_diamond()


@pytest.fixture
def make_diamond() -> Callable[..., Network]:
    return build_diamond


@pytest.fixture
def line() -> Network:
    """alice - r1 - r2 - bob, and nothing else; settled for 8 s."""
    net = Network()
    for name in ("alice", "bob"):
        net.add(name, nat="symmetric")
    for name in ("r1", "r2"):
        net.add(name, role="relay")
    for a, b in (("alice", "r1"), ("r1", "r2"), ("r2", "bob")):
        net.join(a, b)
    net.run(8.0)
    return net
