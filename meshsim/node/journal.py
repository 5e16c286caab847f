"""The file in which a node keeps the receipts it took in, and what `meshsim node replay` makes of it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.agent.journal import Entry, Head, entry_of, frame, records, replay, whole_bytes
from meshsim.identity import Ed25519Verifier
from meshsim.mesh.errors import ConfigError, RemoteProtocolError
from meshsim.mesh.ids import did_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.agent import ReceiptSample
    from meshsim.mesh.ids import NodeId
    from meshsim.node.config import NodeConfig


class Journal:
    """A file that only grows: whole after each receipt, so that a kill costs at most the last one.

    Args:
        config: Names the file; what stands there already stays, but for a last frame that a kill cut off. Without one
            nothing is kept.
        owner: The node.
        tell: Takes what goes wrong, as JSON values: a disk that takes no more ends the journal, not the node.

    Raises:
        ConfigError: If it cannot be written, or what stands there is no journal.
    """

    def __init__(self, config: NodeConfig, owner: NodeId, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._path = None if config.receipts is None else Path(config.receipts)
        try:
            self._cut()
            self._append(head_of(config, owner))
        except OSError as wrong:
            raise ConfigError(f"cannot be written: {wrong}", key="receipts") from wrong
        except RemoteProtocolError as wrong:
            raise ConfigError(str(wrong), key="receipts") from wrong

    def keep(self, sample: ReceiptSample) -> None:
        """Writes a receipt down."""
        try:
            self._append(entry_of(sample))
        except OSError as wrong:
            self._tell({"event": "error", "reason": f"the journal ends here, {self._path} takes no more: {wrong}"})
            self._path = None

    def _cut(self) -> None:
        """Drops a last frame that is not whole: what is written behind it could not be read."""
        if self._path is not None and self._path.exists():
            data = self._path.read_bytes()
            whole = whole_bytes(data)
            if whole < len(data):
                os.truncate(self._path, whole)

    def _append(self, record: Head | Entry) -> None:
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(frame(record))


def head_of(config: NodeConfig, owner: NodeId) -> Head:
    """How a node judges."""
    return Head(
        owner=owner,
        rules=config.agent.rules,
        model=config.reputation,
        half_life=config.reputation_half_life,
        parameters=config.reputation_parameters,
        anchors=config.anchor_ids,
        kept=config.neighbour_ids,
    )


def replay_file(path: Path, at: float | None = None) -> dict[str, Any]:
    """The scores that follow from a node's journal, as JSON values; worst first.

    Args:
        path: The journal.
        at: When the scores are taken, seconds of the node's clock; when everything is judged if None.

    Raises:
        ConfigError: If the file cannot be read, is no journal, or asks for a model that is not there, or if `at` is no
            instant of a clock.
    """
    if at is not None and not 0.0 <= at < math.inf:
        raise ConfigError(f"no instant of a node's clock: {at}", key="at")
    try:
        found = replay(records(path.read_bytes()), Ed25519Verifier(), at)
    except (OSError, RemoteProtocolError) as wrong:
        raise ConfigError(str(wrong), file=str(path)) from wrong
    ranked = sorted(found.scores.items(), key=lambda item: (item[1].mean, item[0]))
    return {
        "node": did_key(found.head.owner),
        "model": found.head.model,
        "receipts": found.receipts,
        "uncarried": found.uncarried,
        "refused": found.refused,
        "at": found.at,
        "scores": [
            {
                "node": did_key(node),
                "score": score.mean,
                "low": score.low,
                "high": score.high,
                "evidence": score.evidence,
                "status": str(score.status),
            }
            for node, score in ranked
        ],
    }
