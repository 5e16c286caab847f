"""The registry itself: signed records kept, names resolved, envelopes handed between connected nodes. No HTTP here."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from meshsim.control.schema import BEAT_PERIOD, BEATS_MISSED, NONCE_BYTES, proof, record_from_json, record_to_json
from meshsim.identity import Directory, Ed25519Verifier, NodeRecord, Verifier, verify_record
from meshsim.mesh.errors import IdentityError, RemoteProtocolError
from meshsim.mesh.ids import AuraID, NodeId, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MAILBOX_SIZE = 64
"""Envelopes that may wait for one node."""
SPARE_LINES = 1000
"""Lines that may be out of date before a file of records is rewritten; in a large one as many as it holds nodes."""
MEMORY = 3600.0
"""Seconds after which a node that was not heard is not spoken of any more."""
CAPACITY = 100_000
"""Nodes of which a registry keeps records, unless told otherwise."""


class Store(Protocol):
    """Where records outlive the process."""

    def load(self) -> Iterable[NodeRecord]:
        """All records kept, at most one per node."""

    def put(self, record: NodeRecord) -> None:
        """Keeps `record` in place of the node's former one."""


class MemoryStore:
    """Keeps nothing: the service's own directory is enough."""

    def load(self) -> Iterable[NodeRecord]:
        """Nothing."""
        return ()

    def put(self, record: NodeRecord) -> None:
        """Nothing to do."""


class FileStore:
    """Keeps records as JSON lines; the last line of a node counts.

    Args:
        path: The file; made when the first record comes.
        clock: Unix seconds; what has expired is dropped whenever the file is rewritten.

    Attributes:
        damaged: Lines that could not be read, such as one cut short by a crash.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.damaged = 0
        self._clock = clock
        self._kept = self._added = 0

    def load(self) -> Iterable[NodeRecord]:
        """All valid records; also rewrites the file with one line per node, atomically."""
        if not self.path.exists():
            return ()
        latest: dict[bytes, NodeRecord] = {}
        for line in self.path.read_bytes().splitlines():
            try:
                record = record_from_json(line)
            except RemoteProtocolError:
                self.damaged += 1
                continue
            latest[record.node] = record
        now = self._clock()
        valid = tuple(record for record in latest.values() if record.expires_unix > now)
        self._rewrite(valid)
        self._kept, self._added = len(valid), 0
        return valid

    def put(self, record: NodeRecord) -> None:
        """Appends one line; now and then the lines that were replaced are dropped."""
        with self.path.open("ab") as file:
            file.write(record_to_json(record) + b"\n")
        self._added += 1
        if self._added > max(SPARE_LINES, self._kept):
            self.load()

    def _rewrite(self, records: Iterable[NodeRecord]) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_bytes(b"".join(record_to_json(record) + b"\n" for record in records))
        fresh.replace(self.path)


class Mailbox:
    """Envelopes on their way to one connected node.

    Attributes:
        node: Whose it is.
    """

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self._queue: asyncio.Queue[tuple[NodeId, bytes] | None] = asyncio.Queue(MAILBOX_SIZE + 1)

    def put(self, source: NodeId, payload: bytes) -> bool:
        """Adds an envelope; False when the mailbox is full."""
        if self._queue.qsize() >= MAILBOX_SIZE:
            return False
        self._queue.put_nowait((source, payload))
        return True

    async def get(self) -> tuple[NodeId, bytes] | None:
        """The next envelope (source, payload), or None once another connection of the node took over."""
        return await self._queue.get()

    def close(self) -> None:
        """Ends `get`, at once: what still waits is given up."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)


@dataclass(frozen=True, slots=True)
class Presence:
    """When a node was last heard.

    Attributes:
        node: Which.
        online: Whether it was connected, and heard within the last beats.
        silent: Seconds since it was heard.
    """

    node: NodeId
    online: bool
    silent: float


class RegistryService:
    """One domain's registry.

    Args:
        store: Where records outlive the process; memory only by default.
        domain: The home domain; "" for a mesh without domains.
        capacity: Most nodes to keep records of; further ones are refused until a record expires.
        verifier: Checks signatures.
        clock: Unix seconds.
        steady: Monotonic seconds, for who was heard when.

    Attributes:
        carried: Envelopes handed on.
        undelivered: Envelopes whose node was not connected or took no more.
        malformed: Frames that were none.

    Raises:
        IdentityError: If the store holds valid records of more nodes, or of another domain.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        domain: str = "",
        capacity: int = CAPACITY,
        verifier: Verifier | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.carried = self.undelivered = self.malformed = 0
        self.domain = domain
        self.capacity = capacity
        self._store = store or MemoryStore()
        self._verifier = verifier or Ed25519Verifier()
        self._clock = clock
        self._records: dict[NodeId, NodeRecord] = {}
        self._first_end = math.inf
        self._directory = Directory(domain)
        self._mailboxes: dict[NodeId, Mailbox] = {}
        self._steady = steady
        self._heard: dict[NodeId, float] = {}
        for record in self._store.load():
            if record.expires_unix > clock():
                self._admit(record)

    def register(self, record: NodeRecord) -> None:
        """Takes a node's signed record.

        Raises:
            IdentityError: If the signature does not hold, the record has expired, a later one is known, it belongs
                to another domain, or the registry is full.
        """
        verify_record(record, self._verifier, self._clock())
        known = self._records.get(record.node_id)
        if known == record:
            return
        if known is not None and known.expires_unix > record.expires_unix:
            raise IdentityError(f"a later record of {short(record.node_id)} is known")
        self._admit(record)
        self._store.put(record)

    def resolve(self, aura: AuraID) -> tuple[NodeRecord, ...]:
        """The records of `aura`'s nodes.

        Raises:
            IdentityError: If no node serves it.
        """
        self._forget_expired()
        return self._directory.resolve(aura)

    def nodes(self) -> tuple[NodeRecord, ...]:
        """All valid records, by node id."""
        self._forget_expired()
        return tuple(self._records[node] for node in sorted(self._records))

    @property
    def connected(self) -> int:
        """Nodes at the rendezvous now."""
        return len(self._mailboxes)

    def challenge(self) -> bytes:
        """A fresh nonce for a node to sign."""
        return secrets.token_bytes(NONCE_BYTES)

    def enter(self, node: NodeId, nonce: bytes, signature: bytes) -> Mailbox:
        """Lets a node into the rendezvous; an earlier connection of the same node ends.

        Raises:
            IdentityError: If `signature` is not the node's, over the challenge.
        """
        if not self._verifier.verify(node, proof(nonce), signature):
            raise IdentityError(f"{short(node)} did not sign the challenge")
        former = self._mailboxes.get(node)
        if former is not None:
            former.close()
        mailbox = self._mailboxes[node] = Mailbox(node)
        self.beat(node)
        return mailbox

    def beat(self, node: NodeId) -> None:
        """A node that has entered says that it is alive."""
        self._heard.pop(node, None)
        self._heard[node] = self._steady()  # the last: dicts keep the order in which keys came
        if len(self._heard) > self.capacity:
            del self._heard[next(iter(self._heard))]

    def presence(self) -> tuple[Presence, ...]:
        """Who was heard when, by node id: of nodes heard within `MEMORY`."""
        now = self._steady()
        for node in [node for node, heard in self._heard.items() if now - heard > MEMORY]:
            del self._heard[node]
        patience = BEATS_MISSED * BEAT_PERIOD
        return tuple(
            Presence(node, node in self._mailboxes and now - heard < patience, now - heard)
            for node, heard in sorted(self._heard.items())
        )

    def leave(self, mailbox: Mailbox) -> None:
        """Ends a node's stay, unless a later connection has taken over."""
        if self._mailboxes.get(mailbox.node) is mailbox:
            del self._mailboxes[mailbox.node]

    def carry(self, source: NodeId, to: NodeId, payload: bytes) -> bool:
        """Hands an envelope to a connected node; False when that cannot be done."""
        mailbox = self._mailboxes.get(to)
        if mailbox is None or not mailbox.put(source, payload):
            self.undelivered += 1
            return False
        self.carried += 1
        return True

    def _admit(self, record: NodeRecord) -> None:
        if record.node_id not in self._records and len(self._records) >= self.capacity:
            self._forget_expired()
            if len(self._records) >= self.capacity:
                raise IdentityError(f"the registry is full: it knows {len(self._records)} nodes")
        self._directory.register(record)
        self._records[record.node_id] = record
        self._first_end = min(self._first_end, record.expires_unix)

    def _forget_expired(self) -> None:
        now = self._clock()
        if now < self._first_end:
            return  # or every question would go through all records
        for node in [node for node, record in self._records.items() if record.expires_unix <= now]:
            self._directory.remove(node)
            del self._records[node]
        self._first_end = min((record.expires_unix for record in self._records.values()), default=math.inf)
