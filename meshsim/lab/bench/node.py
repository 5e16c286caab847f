"""`meshsim bench node`: what real nodes on this machine cost and stand, beside raw aiortc in the same run.

Each part measures by itself and can be asked for alone; what a part holds to a goal it judges itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshsim.lab.bench import answer, node_kill, node_links, node_media, node_mesh
from meshsim.lab.goals import judge
from meshsim.lab.loops import finish
from meshsim.lab.progress import bar
from meshsim.lab.run import run as simulate
from meshsim.links import LinkParameters
from meshsim.mesh.errors import ConfigError
from meshsim.node.emulation import EmulatedLink, EmulatorConfig, emulator_process

if TYPE_CHECKING:
    from collections.abc import Callable

Part = tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]
"""Goals, and tables by name."""

MESH_OF_AGENTS = (
    "control.mode=agents",
    "warmup=1 min",
    "nodes.count=60",
    "nodes.roles={relay: 15, super_node: 3}",
    "calls.rate=1.0",
    "record.views=false",
    "record.candidates=false",
)
LIARS = {
    "honest": (),
    "a fifth lies about its links": ("misbehaviour=[{kind: lying_metrics, share: 20%}]",),
    "a fifth lies, and drops a third": (
        "misbehaviour=[{kind: lying_metrics, also: [gray_hole], share: 20%, strength: 30%}]",
    ),
}
"""Who there is in a mesh of sixty agents."""
EMULATED = 50
"""Links of the emulator's self-test."""


def run(parts: tuple[str, ...] = (), *, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Measures the parts, one after the other.

    Args:
        parts: Of `PARTS`; all when empty.
        quick: A few failures and nodes only: whether it works, not how well.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.

    Raises:
        ConfigError: If there is no such part.
        TestbedError: If a process does not do its part.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ConfigError(f"no part {unknown[0]!r}", key="parts", allowed=sorted(PARTS))
    goals: list[dict[str, Any]] = []
    tables: dict[str, Any] = {}
    for part in parts or tuple(PARTS):
        with bar(part, shown=progress) as advance:
            judged, rows = PARTS[part](quick, advance)
        goals += judged
        tables |= rows
    return answer("node", goals, tables)


def _failures(quick: bool, progress: Callable[[float], None]) -> Part:  # noqa: FBT001 - one form for all parts
    went = node_kill.losses(kills=3 if quick else 30, leaves=1 if quick else 10, progress=progress)
    return node_kill.goals(went), {"failures": node_kill.table(went)}


def _mesh(quick: bool, progress: Callable[[float], None]) -> Part:  # noqa: FBT001 - likewise
    found = node_mesh.convergence(processes=2 if quick else 8, each=3 if quick else 8)
    progress(1.0)
    return [judge("converged_s", found["converged_s"], "<=", 5.0)], {"mesh": [found]}


def _emulator(quick: bool, progress: Callable[[float], None]) -> Part:  # noqa: FBT001 - likewise
    precision = finish(_calibrate(5 if quick else EMULATED))
    progress(1.0)
    goals = [
        judge("emulator_late_p50_ms", 1e3 * precision["p50"], "<=", 0.5),
        judge("emulator_late_p99_ms", 1e3 * precision["p99"], "<=", 2.0),
    ]
    return goals, {"emulator": [{key: 1e3 * value for key, value in precision.items()}]}


def _links(quick: bool, progress: Callable[[float], None]) -> Part:  # noqa: FBT001 - likewise
    return node_links.measure(quick=quick, progress=progress)


def _media(quick: bool, progress: Callable[[float], None]) -> Part:  # noqa: FBT001 - likewise
    return node_media.measure(quick=quick, progress=progress)


async def _calibrate(links: int) -> dict[str, float]:
    """How late datagrams left the emulator, seconds, over `links` links at once."""
    parameters = LinkParameters(rate_bps=1e9, propagation=0.02)
    emulated = tuple(EmulatedLink(f"a{number}", f"b{number}", parameters) for number in range(links))
    async with emulator_process(EmulatorConfig(links=emulated, seed=1)) as emulator:
        precision = await emulator.calibrate(links=links)
    return {"p50": precision.median, "p99": precision.p99, "worst": precision.worst}


def _liars(quick: bool, progress: Callable[[float], None]) -> Part:  # noqa: FBT001 - likewise
    """The same agents in the simulator, where a mesh is large enough for a fifth of it to lie."""
    rows: list[dict[str, Any]] = []
    for number, (who, said) in enumerate(LIARS.items()):
        overrides = [*MESH_OF_AGENTS, "duration=2 min" if quick else "duration=8 min", *said]
        calls = simulate("smoke", overrides=overrides, policy="learned", progress=False).calls
        over = calls[calls["outcome"] != "running"]
        rows.append({"nodes": who, "calls": len(over), "completed": float((over["outcome"] == "completed").mean())})
        progress((number + 1) / len(LIARS))
    honest, lying = (row["completed"] for row in rows[:2])
    return [judge("success_with_liars", lying / honest, ">=", 0.95)], {"liars": rows}


PARTS: dict[str, Callable[[bool, Callable[[float], None]], Part]] = {
    "emulator": _emulator,
    "failures": _failures,
    "links": _links,
    "media": _media,
    "mesh": _mesh,
    "liars": _liars,
}
"""What can be measured, by name."""
