"""A delay model on disk: `delays.onnx`, what it was made from (`delays.json`), and a card."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch

from meshsim.learn.export import session_of, to_onnx
from meshsim.learn.external.model import Network
from meshsim.mesh.errors import ConfigError, MeshSimError
from meshsim.routing import lint

if TYPE_CHECKING:
    import onnxruntime as ort
    from numpy.typing import NDArray

    from meshsim.learn.external.model import DelayModel

MODEL, RECORD, CARD = "delays.onnx", "delays.json", "card.md"
TOLERANCE = 1e-4
"""Largest relative difference between torch and onnxruntime."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a delay model needs to know of itself.

    Attributes:
        name: Of the model.
        columns: Of a hop, in order; it runs only on these.
        sha256: Of the ONNX model, hexadecimal.
        data: sha256 over the networks and delays it was fitted to, hexadecimal.
        networks: How many those were.
        version: Of this layout.
    """

    name: str
    columns: tuple[str, ...]
    sha256: str
    data: str
    networks: int
    version: int = 1


class Delays:
    """A delay model that runs."""

    def __init__(self, record: Record, session: ort.InferenceSession) -> None:
        self.record = record
        self._session = session

    def __call__(self, *fields: NDArray[Any]) -> NDArray[np.float64]:
        """Mean delay of each flow, seconds, (F,); `fields` in the order of `Network`'s."""
        asked = {
            name: np.asarray(field, dtype=np.int64 if field.dtype.kind == "i" else np.float32)
            for name, field in zip(Network._fields, fields, strict=True)
        }
        (delay,) = self._session.run(None, asked)
        return np.asarray(delay, dtype=np.float64)


def write_delays(model: DelayModel, asked: Network, record: dict[str, Any], card: str, out: Path) -> float:
    """Exports a fitted model and returns its largest relative difference from torch.

    Args:
        model: In evaluation mode.
        asked: Networks to trace it with and compare both on.
        record: `name`, `columns`, `data`, `networks` of `Record`.
        card: What people should know, Markdown.
        out: The folder.

    Raises:
        MeshSimError: If the exported model holds what it may not, or says otherwise than torch; nothing is written
            then.
    """
    exported = to_onnx(model, asked._asdict(), ("delay",))
    if found := lint.faults(exported):
        raise MeshSimError(f"the exported model is not as it should be: {'; '.join(found)}")
    made = Record(sha256=hashlib.sha256(exported).hexdigest(), **record)
    with torch.no_grad():
        told = model(*asked).numpy()
    difference = float(np.max(np.abs(Delays(made, session_of(exported))(*(t.numpy() for t in asked)) / told - 1.0)))
    if not difference <= TOLERANCE:
        raise MeshSimError(f"the exported model differs from torch by {difference:g}, more than {TOLERANCE:g}")
    out.mkdir(parents=True, exist_ok=True)
    (out / MODEL).write_bytes(exported)
    (out / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    (out / CARD).write_text(card, encoding="utf-8")
    return difference


def read_delays(folder: Path | str, columns: tuple[str, ...]) -> Delays:
    """The delay model in a folder.

    Args:
        folder: As `write_delays` left it.
        columns: Of the hops it will be asked about.

    Raises:
        ConfigError: If it is absent, altered, or was made for other columns.
    """
    path = Path(folder)
    try:
        record = msgspec.json.decode((path / RECORD).read_bytes(), type=Record)
        model = (path / MODEL).read_bytes()
    except OSError as error:
        raise ConfigError(f"no delay model here: {error.strerror}", file=str(error.filename)) from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"not what a delay model says of itself: {error}", file=str(path / RECORD)) from None
    if hashlib.sha256(model).hexdigest() != record.sha256:
        raise ConfigError("not the model that its record speaks of: sha256 differs", file=str(path / MODEL))
    if record.columns != columns:
        raise ConfigError("made for other columns than this version has", file=str(path / RECORD), key="columns")
    return Delays(record, session_of(model))
