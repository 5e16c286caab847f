"""What receipts cost: taking them in until they are evidence, and, apart from that, checking their signatures.

A node takes in receipts that were found signed: its docket judges them, its reputation model is told. Checking is held
against bare PyNaCl (libsodium) over the same bytes in the same process; where PyNaCl is not installed, against the bare
`cryptography` (OpenSSL) that nodes use, and the row says so.
"""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.agent import AgentConfig
from meshsim.agent.messages import Receipt
from meshsim.agent.reputation import TrustBook
from meshsim.agent.signing import is_signed, sign, signed_bytes
from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.lab.bench import answer
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.seeds import SeedTree
from meshsim.trust import Docket, Outcome, models

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RECEIPTS = 1_000_000
NODES = 5_000
MODELS = ("beta", "credibility")
"""The models of the goal, as far as they are there."""

LIMIT = 20.0
"""Seconds in which a core is to take them in."""

LEAST_RATIO = 0.8
"""Of the signatures that bare PyNaCl checks in the same time."""

_RATE = 300.0
"""Receipts a second of simulated time."""

_FAILURES = 0.05
_CHUNK = 30_000
_CHECKED = 3_000
_ROUNDS = 5


def run_scale(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Takes in a million receipts for each model, and checks some thousand signatures.

    Args:
        quick: A twentieth of it: whether everything runs.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.
    """
    count = RECEIPTS // 20 if quick else RECEIPTS
    names = [name for name in MODELS if name in models]
    rows = []
    with bar("models", shown=progress) as advance:
        for number, name in enumerate(names):
            rows.append(ingest_row(name, count))
            advance((number + 1) / len(names))
    checking = verify_row(_CHECKED // 20 if quick else _CHECKED)
    goals = [
        judge("trust_ingest_seconds", max(row["seconds"] for row in rows) * RECEIPTS / count, "<=", LIMIT),
        judge("trust_verify_ratio", checking["ratio"], ">=", LEAST_RATIO),
    ]
    return answer("trust", goals, {"ingest": rows, "verify": [checking]})


def ingest_row(name: str, count: int) -> dict[str, Any]:
    """Seconds in which an agent's docket and one model take in `count` receipts that were found signed.

    Args:
        name: Of the model.
        count: Receipts; three of each route, of both ends and the relay.
    """
    docket: Docket[NodeId] = Docket(replace(AgentConfig().rules, pairs=1 << 16))
    book = TrustBook(models[name]())
    seconds, verdicts, now = 0.0, 0, 0.0
    for start, receipts in _chunks(count):
        gc.freeze()  # a node has no store of receipts to come that the collector looks through again and again
        before = time.process_time()
        for number, receipt in enumerate(receipts, start):
            now = number / _RATE
            docket.add(receipt, now, now)
            if number % 100 == 0:
                for verdict in docket.settle(now):
                    book.observe(verdict, now, tell=False)
                    verdicts += 1
        seconds += time.process_time() - before
        gc.unfreeze()
    before = time.process_time()
    scored = len(book.scores(now)) if count <= _CHUNK else len(book.table(_nodes(), now).mean)
    return {
        "model": name,
        "receipts": count,
        "verdicts": verdicts,
        "seconds": seconds,
        "receipts_per_second": count / seconds,
        "scored": scored,
        "score_seconds": time.process_time() - before,
    }


def _nodes() -> list[NodeId]:
    return [NodeId(number.to_bytes(32, "big")) for number in range(NODES)]


def _chunks(count: int) -> Iterator[tuple[int, list[Receipt]]]:
    """Receipts of routes between nodes drawn at random, in the order in which they come; made outside of the clock."""
    nodes, stream = _nodes(), SeedTree(1).stream("bench/receipts")
    for start in range(0, count, _CHUNK):
        routes = -(-min(_CHUNK, count - start) // 3)
        drawn = (stream.uniform(4 * start, 4 * routes).reshape(routes, 4) * NODES).astype(np.int64).tolist()
        receipts = [one for row, draws in enumerate(drawn) for one in _route(nodes, start + 3 * row, draws)]
        yield start, receipts[: count - start]


def _route(nodes: Sequence[NodeId], number: int, drawn: Sequence[int]) -> list[Receipt]:
    """What both ends and the relay sign of route `number`."""
    caller, relay, callee = (nodes[(first + step) % NODES] for step, first in enumerate(drawn[:3]))
    if len({caller, relay, callee}) < 3:  # noqa: PLR2004 - both ends and a relay
        caller, relay, callee = nodes[:3]
    failed = drawn[3] < _FAILURES * NODES
    path = (caller, relay, callee)
    return [
        Receipt(
            call=CallId(number.to_bytes(16, "big")),
            attempt=0,
            path=path,
            signer=signer,
            outcome=Outcome.DROPPED if failed else Outcome.COMPLETED,
            mos=1.0 if failed else 4.2,
            poor=failed,
            at_ns=number,
            jitter_ns=2_000_000,
        )
        for signer in path
    ]


def verify_row(count: int) -> dict[str, Any]:
    """How many receipts a second are found signed, beside the bare library over the same bytes; median of rounds."""
    signer = Ed25519Signer.from_seed(bytes(32))
    template = _route([signer.node_id, *_nodes()], 1, [0, 1, 2, NODES])[0]
    receipt = sign(template, signer)
    node, data, signature = receipt.signer, signed_bytes(receipt), receipt.signature
    verifier = Ed25519Verifier()
    name, bare = _bare()
    ours, theirs = [], []
    for _ in range(_ROUNDS):
        ours.append(_seconds(lambda: is_signed(receipt, node, verifier), count))
        theirs.append(_seconds(lambda: bare(node, data, signature), count))
    mine, reference = float(np.median(ours)), float(np.median(theirs))
    return {
        "reference": name,
        "receipts_per_second": count / mine,
        "reference_per_second": count / reference,
        "ratio": float(np.median(np.array(theirs) / np.array(ours))),
    }


def _seconds(check: Callable[[], object], count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        check()
    return time.process_time() - start


def _bare() -> tuple[str, Callable[[bytes, bytes, bytes], object]]:
    """The bare library: its name, and what checks a signature with it."""
    try:
        from nacl.signing import VerifyKey  # noqa: PLC0415 - a reference, not needed to run meshsim
    except ImportError:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above

        return "cryptography", lambda key, data, signature: Ed25519PublicKey.from_public_bytes(key).verify(
            signature, data
        )
    return "PyNaCl", lambda key, data, signature: VerifyKey(key).verify(data, signature)
