"""What control messages cost: bytes on the wire by node and kind, minute by minute.

Of routing protocols and agents every copy that is sent is counted, with the headers of UDP and IPv4 (agents' channels
add those of DTLS and SCTP, which are left out on both sides). The modelled control plane sends nothing; what it stands
for is put down instead: to every neighbour a greeting each heartbeat, a ping and a pong each probe period, and each
digest period the statement of every node once over every link, one way or the other, for nobody tells a neighbour what
it was told by it (agents state what has not changed seldomer: in a quiet mesh they send about half). Lengths are those
of agents' messages; a test holds both planes' bytes to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.routing.protocols.packet import wire_bytes
from meshsim.sim.environment import LATE

if TYPE_CHECKING:
    from meshsim.scenario.plan import Plan
    from meshsim.sim.environment import Environment
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World

PERIOD = 60.0
"""Seconds that one row counts."""

RECORD_BYTES, SIGNATURE_BYTES = 240, 66
"""A node's record and a signature as agents write them."""

LINK_BYTES, PING_BYTES = 73, 8
"""One link of a statement, and a probe or its answer."""

STATEMENT_BYTES = 40
"""The rest of a statement: versions, load, expiry, age."""


class Overhead:
    """Counts control messages, if the scenario records them or runs a protocol.

    Args:
        env: The clock.
        world: The truth.
        recorder: Where it is written.

    Attributes:
        counts: Whether anything is counted.
    """

    def __init__(self, env: Environment, world: World, recorder: Recorder) -> None:
        self._env, self._world, self._recorder = env, world, recorder
        scenario = world.plan.scenario
        self.counts = bool(scenario.record.control or scenario.routing.protocol)
        self._modelled = scenario.control.mode == "modelled" and not scenario.routing.protocol
        self._since = 0.0
        self._sent: dict[tuple[int, str], tuple[int, int]] = {}
        env.on("overhead", self._due)

    def start(self) -> None:
        """Puts the first period's end into the queue."""
        if self.counts:
            self._env.schedule_record(PERIOD, "overhead", 1, priority=LATE)

    def add(self, node: int, kind: str, size: int, messages: int = 1) -> None:
        """Counts messages that `node` sends.

        Args:
            node: Who.
            kind: Of message.
            size: Bytes on the wire, of all copies.
            messages: Copies.
        """
        before = self._sent.get((node, kind), (0, 0))
        self._sent[node, kind] = before[0] + messages, before[1] + size

    def close(self) -> None:
        """Writes the period that has begun."""
        if self.counts and self._env.now > self._since:
            self._write()

    def _due(self, step: int, _: Any) -> None:
        self._write()
        self._env.schedule_record((step + 1) * PERIOD, "overhead", step + 1, priority=LATE)

    def _write(self) -> None:
        """Writes a row for every node and kind, so that who sent nothing counts as well."""
        seconds = self._env.now - self._since
        if self._modelled:
            for kind, (messages, size) in modelled(self._world.plan).items():
                for node in np.flatnonzero(self._world.online).tolist():
                    self.add(node, kind, round(size[node] * seconds), round(messages[node] * seconds))
        kinds = sorted({kind for _, kind in self._sent})
        nodes = range(len(self._world.plan.nodes))
        self._recorder.control(
            self._env.now, seconds, {(n, kind): self._sent.get((n, kind), (0, 0)) for kind in kinds for n in nodes}
        )
        # kinds stay, so that a period without them has rows that say so
        self._sent, self._since = {(0, kind): (0, 0) for kind in kinds}, self._env.now


def modelled(plan: Plan) -> dict[str, tuple[list[float], list[float]]]:
    """Messages and bytes per second of each of N nodes, by kind, that agents would send about; see above."""
    control, count = plan.scenario.control, len(plan.nodes)
    degree = np.bincount(plan.links.src, minlength=count).astype(np.float64)
    per_second = {
        "hello": (degree / control.heartbeat, wire_bytes(RECORD_BYTES + SIGNATURE_BYTES)),
        "ping": (degree / control.probe_period, wire_bytes(PING_BYTES)),
        "pong": (degree / control.probe_period, wire_bytes(PING_BYTES)),
    }
    told = {kind: (rate.tolist(), (rate * size).tolist()) for kind, (rate, size) in per_second.items()}
    statement = RECORD_BYTES + 2 * SIGNATURE_BYTES + STATEMENT_BYTES + LINK_BYTES * degree.mean() if count else 0.0
    told["digest"] = (
        (degree / control.digest_period).tolist(),
        (degree / 2 / control.digest_period * count * statement).tolist(),
    )
    return told
