"""The scorer on disk, `models/<name>/`: where it is looked for, and the proof that it is whole.

Running it is the work of `policies.learned`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from meshsim.mesh.display import some, table
from meshsim.mesh.errors import ConfigError, nearest
from meshsim.routing import features
from meshsim.routing.calibration import Calibration

MANIFEST = "manifest.json"
ENCODER, HEAD = "encoder.onnx", "head.onnx"
CALIBRATION, FEATURES, CARD = "calibration.json", "features.json", "card.md"
REQUIRED = (ENCODER, HEAD, CALIBRATION, FEATURES, CARD)
PACKAGE = Path(__file__).resolve().parent.parent

T = TypeVar("T")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sha256 of each file of an artefact, in hexadecimal."""

    files: dict[str, str]


class FeatureColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The columns a scorer was trained on; it runs only where `routing.features` builds exactly these."""

    version: int
    node: tuple[str, ...]
    hop: tuple[str, ...]
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A verified scorer: the very bytes whose checksums were compared.

    Attributes:
        name: Name of its folder.
        digest: sha256 of the manifest, hexadecimal: names the scorer in traces.
        encoder, head: ONNX models.
        calibration: How outputs become probabilities.
        card: The card, Markdown.
    """

    name: str
    digest: str
    encoder: bytes
    head: bytes
    calibration: Calibration
    card: str

    def _repr_html_(self) -> str:
        columns = current_columns()
        rows = {
            "card": next((line for line in self.card.splitlines() if line and not line.startswith("#")), ""),
            "manifest": f"sha256 {self.digest}",
            "encoder": f"{len(self.encoder):,} bytes of ONNX",
            "head": f"{len(self.head):,} bytes of ONNX",
            "knows of nodes": some(columns.node),
            "knows of hops": some(columns.hop),
            "knows of paths": some(columns.path),
        }
        return table(f"scorer {self.name}", rows, note=f"The whole card: meshsim models card {self.name}")


def current_columns() -> FeatureColumns:
    """The columns that `routing.features` builds."""
    return FeatureColumns(version=features.VERSION, node=features.NODE, hop=features.HOP, path=features.PATH)


def shelves(package: Path | None = None) -> tuple[Path, ...]:
    """Folders that hold scorers by name: `models/` of the checkout around `package`, and the one inside the package."""
    package = PACKAGE if package is None else package
    checkout = (parent / "models" for parent in package.parents if (parent / "pyproject.toml").is_file())
    return tuple(folder for folder in (*checkout, package / "_models") if folder.is_dir())


def list_models() -> list[str]:
    """Names of the scorers at hand, sorted."""
    return sorted({path.parent.name for shelf in shelves() for path in shelf.glob(f"*/{MANIFEST}")})


def find_model(model: str | Path) -> Path:
    """The folder of a scorer given by name or by path.

    Raises:
        ConfigError: If there is none.
    """
    for folder in (Path(model), *(shelf / model for shelf in shelves())):
        if (folder / MANIFEST).is_file():
            return folder
    known = list_models()
    raise ConfigError(f"no scorer {str(model)!r}", key="model", allowed=known, nearest=nearest(str(model), known))


def write_manifest(folder: Path) -> None:
    """Seals the artefact in `folder`: writes the checksums of its files."""
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in REQUIRED}
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(Manifest(files=files)), indent=2) + b"\n")


def write_features(folder: Path) -> None:
    """Writes the columns of `routing.features` into the artefact in `folder`."""
    text = msgspec.json.format(msgspec.json.encode(current_columns()), indent=2)
    (folder / FEATURES).write_bytes(text + b"\n")


def read_artefact(model: str | Path) -> Artefact:
    """The scorer `model`, verified.

    Raises:
        ConfigError: If it is absent, incomplete, altered, or made for other features.
    """
    folder = find_model(model)
    manifest = _read_bytes(folder / MANIFEST)
    content = _verified(folder, _decode(manifest, Manifest, folder / MANIFEST))
    _check_columns(_decode(content[FEATURES], FeatureColumns, folder / FEATURES), folder / FEATURES)
    return Artefact(
        name=folder.resolve().name,
        digest=hashlib.sha256(manifest).hexdigest(),
        encoder=content[ENCODER],
        head=content[HEAD],
        calibration=_calibration(content[CALIBRATION], folder / CALIBRATION),
        card=content[CARD].decode(errors="replace"),
    )


def verify_model(model: str | Path) -> None:
    """Compares every file of a scorer with its manifest, and its features with this version's.

    Raises:
        ConfigError: If something differs.
    """
    read_artefact(model)


def card_text(model: str | Path) -> str:
    """The card of a verified scorer, Markdown."""
    return read_artefact(model).card


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error


def _decode(content: bytes, kind: type[T], path: Path) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise ConfigError(f"not a {kind.__name__}: {error}", file=str(path)) from error


def _verified(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    content = {}
    for name in REQUIRED:
        content[name] = _read_bytes(folder / name)
        if hashlib.sha256(content[name]).hexdigest() != manifest.files.get(name):
            raise ConfigError("differs from its checksum in the manifest", file=str(folder / name))
    return content


def _check_columns(columns: FeatureColumns, path: Path) -> None:
    expected = current_columns()
    for key in FeatureColumns.__struct_fields__:
        if getattr(columns, key) != getattr(expected, key):
            raise ConfigError(
                f"made for other features: {getattr(columns, key)}, this version builds {getattr(expected, key)}",
                file=str(path),
                key=key,
            )


def _calibration(content: bytes, path: Path) -> Calibration:
    calibration = _decode(content, Calibration, path)
    if fault := calibration.confidence.fault():
        raise ConfigError(fault, file=str(path), key="confidence")
    return calibration
