"""What all parts of an agent share: its configuration, keys, outbox, alarms and counters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from meshsim.agent.effects import Channel, Emit, Send
from meshsim.agent.fields import Node  # noqa: TC001 - likewise
from meshsim.agent.messages import Share  # noqa: TC001 - msgspec reads it where a node's file is read
from meshsim.mesh.time import to_nanoseconds
from meshsim.trust import Rules

if TYPE_CHECKING:
    from meshsim.agent.effects import Effect
    from meshsim.agent.messages import Message
    from meshsim.agent.samples import Sample
    from meshsim.identity.keys import Signer, Verifier
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.seeds import Stream
    from meshsim.mesh.time import Instant

AlarmKey = tuple[str, bytes, int]
"""What an alarm is for: its kind, whom it concerns, and a number."""

OPEN_ROUTES = 512
"""Most routes that wait to be judged."""

STALE_ROUNDS = 6
"""Rounds of gossip without a word of a node after which it is not believed online."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """How an agent behaves. Spans are seconds.

    Attributes:
        epoch: Grows whenever the node starts anew (the Unix second of its start will do).
        heartbeat: Between Hellos to neighbours.
        probe_period: Between pings of idle neighbours.
        digest_period: Between rounds of gossip.
        keepalive: Between keepalives of a call, and pings of the neighbours that carry it.
        dead_after: Missed keepalives or pings after which a neighbour or a path counts as dead.
        probe_timeout: A ping unanswered for so long is lost.
        setup_timeout: For the callee's answer.
        dial_timeout: For a link to come up.
        failover_timeout: For a lost call to find another route.
        lossy_for: A route on which more than a tenth of the media is lost for so long is left for another.
        hurry: After a node came that was not known, or a link, the next round of gossip begins so soon; 0 lets it wait.
        standby: Whether calls placed here have a second route set up, for the case that the first fails.
        relay_first: Whether a call that had best go directly, over a link that is yet to be made, begins over relays
            that are linked, and moves when the link is there.
        inquire: Whether neighbours are asked of a callee whose links are not known here, beyond the own area.
        overlap: A working route that is left carries media beside the new one for so long.
        calm: After a working route was left for a better one, none is for so long.
        idle: A link made for calls is closed when it carried none for so long.
        tells_trust: Whether every move of a reputation is emitted; its interval costs more than the evidence.
        relay_bps: Of media that it carries for others, both ways together, bits per second; 0 sets no limit.
        relay_minutes: Of calls carried for others in a day; 0 sets no limit. Calls under way are not cut off.
        linger: A finished route is remembered so long, to pass late receipts on.
        max_attempts: Routes tried for one call until one has proven itself.
        proven_after: A route that carried its call for so long has proven itself: what failed before it may be tried
            again, and attempts count anew.
        max_nodes: Nodes an agent keeps in mind.
        max_neighbours: Neighbours an agent has at most.
        max_own_calls: Calls of its own at once.
        suspicion: A node found dead is taken for offline so long, whatever others say.
        quarantine: A node that was proven to tell different things at once is not believed for so long.
        statement_lifetime: Validity of a signed statement or set-up.
        receipt_lifetime: Validity of a receipt, and the replay window.
        receipt_wait: For the receipts of all others of a route.
        receipt_skew: How far in the future a receipt may be dated.
        one_sided_weight: Weight of a failure that only one end reports.
        silence_weight: Weight of a receipt kept back.
        pair_cap: Most praise, and most blame, that one pair of ends, or one end alone, can give one node within
            `receipt_lifetime`.
        newcomers: Share of its calls that relays without a name may carry where enough others could; 1 lets them
            carry any.
        callers: Names whose calls are answered, `alice` for `@alice.aura`; anybody's when empty.
        moderators: Nodes whose rulings on abuse count here.
        logs_receipts: Whether every receipt taken in is emitted, for a log that can be replayed.
    """

    epoch: int = 0
    heartbeat: float = 30.0
    probe_period: float = 5.0
    digest_period: float = 20.0
    keepalive: float = 0.5
    dead_after: int = 3
    probe_timeout: float = 1.5
    setup_timeout: float = 3.0
    dial_timeout: float = 5.0
    failover_timeout: float = 12.0
    lossy_for: float = 1.0
    hurry: float = 0.0
    standby: bool = False
    relay_first: bool = False
    inquire: bool = False
    overlap: float = 0.2
    calm: float = 10.0
    idle: float = 60.0
    tells_trust: bool = True
    relay_bps: float = 0.0
    relay_minutes: float = 0.0
    linger: float = 5.0
    max_attempts: int = 6
    proven_after: float = 10.0
    max_nodes: int = 250
    max_neighbours: int = 64
    max_own_calls: int = 32
    suspicion: float = 60.0
    quarantine: float = 3600.0
    statement_lifetime: float = 600.0
    receipt_lifetime: float = 900.0
    receipt_wait: float = 10.0
    receipt_skew: float = 60.0
    one_sided_weight: float = 0.4
    silence_weight: float = 0.1
    pair_cap: float = 6.0
    newcomers: Share = 1.0
    callers: tuple[str, ...] = ()
    moderators: tuple[Node, ...] = ()
    logs_receipts: bool = False

    @property
    def rules(self) -> Rules:
        """How receipts are judged."""
        return Rules(
            wait=self.receipt_wait,
            window=self.receipt_lifetime,
            skew=self.receipt_skew,
            one_sided_weight=self.one_sided_weight,
            silence_weight=self.silence_weight,
            pair_cap=self.pair_cap,
            open_routes=OPEN_ROUTES,
        )

    @property
    def stale_after(self) -> float:
        """Seconds: a node unheard of for so long is not believed online; after thrice that it is forgotten."""
        return STALE_ROUNDS * self.digest_period

    @property
    def silence(self) -> float:
        """Seconds of silence after which a path or neighbour in use is dead."""
        return self.dead_after * self.keepalive


class Alarms:
    """Deadlines by key, with a heap of all that were ever set: what does not hold any more is passed over on top."""

    def __init__(self) -> None:
        self._at: dict[AlarmKey, float] = {}
        self._heap: list[tuple[float, AlarmKey]] = []

    def __contains__(self, key: AlarmKey) -> bool:
        return key in self._at

    def set(self, key: AlarmKey, at: float) -> None:
        """Rings `key` at the monotonic second `at`, whatever was set before."""
        if self._at.get(key) != at:
            self._at[key] = at
            heappush(self._heap, (at, key))

    def at(self, key: AlarmKey) -> float:
        """When `key` rings; infinity when it was not set."""
        return self._at.get(key, math.inf)

    def cancel(self, key: AlarmKey) -> None:
        """Forgets `key`; one that was not set is no error."""
        self._at.pop(key, None)

    def next(self) -> float | None:
        """When the first alarm rings."""
        heap = self._heap
        while heap and self._at.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def take_due(self, now: float) -> list[AlarmKey]:
        """Takes out all alarms whose time has come, in order of time, then key."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            at, key = heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                due.append(key)
        return due


@dataclass(slots=True, kw_only=True)
class Core:
    """The common ground of an agent's parts.

    Attributes:
        config: How the agent behaves.
        record: Its own record.
        signer: Its key.
        verifier: Checks others' signatures.
        stream: Its random draws.
        outbox: Effects not yet taken by the driver.
        alarms: What to wake up for.
        rejected: Bad messages, counted by reason.
        draws: How many draws were taken from `stream`.
    """

    config: AgentConfig
    record: NodeRecord
    signer: Signer
    verifier: Verifier
    stream: Stream
    outbox: list[Effect] = field(default_factory=list)
    alarms: Alarms = field(default_factory=Alarms)
    rejected: dict[str, int] = field(default_factory=dict)
    draws: int = 0

    @property
    def node(self) -> NodeId:
        """The agent's own id."""
        return self.signer.node_id

    def send(self, to: NodeId, message: Message, channel: Channel = Channel.CONTROL) -> None:
        """Puts a message into the outbox."""
        self.outbox.append(Send(to=to, message=message, channel=channel))

    def emit(self, sample: Sample) -> None:
        """Puts a sample into the outbox."""
        self.outbox.append(Emit(sample=sample))

    def reject(self, reason: str) -> None:
        """Counts a bad message."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def draw(self) -> float:
        """The next uniform draw in [0, 1)."""
        self.draws += 1
        return self.stream.at(self.draws - 1)

    def expiry_ns(self, now: Instant, lifetime: float) -> int:
        """Unix nanoseconds, `lifetime` seconds from now."""
        return to_nanoseconds(now.unix + lifetime)
