"""The scorer on disk, `models/<name>/`: where it is looked for, and the proof that it is whole.

Running it is the work of `policies.learned`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshsim.mesh.display import some, table
from meshsim.mesh.errors import ConfigError, nearest
from meshsim.routing import features
from meshsim.routing.calibration import Calibration
from meshsim.routing.reference import REFERENCE
from meshsim.routing.signature import SIGNATURE, signer_of, write_signature

if TYPE_CHECKING:
    from meshsim.identity.keys import Signer
    from meshsim.mesh.ids import NodeId

MANIFEST = "manifest.json"
ENCODER, HEAD = "encoder.onnx", "head.onnx"
CALIBRATION, FEATURES, CARD = "calibration.json", "features.json", "card.md"
REQUIRED = (ENCODER, HEAD, CALIBRATION, FEATURES, CARD)
LAYOUT = 1
"""Grows when files of an artefact change their meaning."""
PACKAGE = Path(__file__).resolve().parent.parent

T = TypeVar("T")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What every version of a manifest has: its version."""

    version: int = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sha256 of each file of an artefact, in hexadecimal.

    Attributes:
        files: By name.
        version: Of the artefact's layout; a later one is refused.
    """

    files: dict[str, str]
    version: int = LAYOUT

    def canonical(self) -> bytes:
        """What signatures cover: the same bytes however the file is written down."""
        return msgspec.json.encode(self, order="sorted")


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
        signer: Who signed it; None if nobody did.
    """

    name: str
    digest: str
    encoder: bytes
    head: bytes
    calibration: Calibration
    card: str
    signer: NodeId | None = None

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
    """Seals the artefact in `folder`: writes checksums of its files. A signature of an older manifest is removed."""
    names = (*REQUIRED, *(name for name in (REFERENCE,) if (folder / name).is_file()))
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(Manifest(files=files)), indent=2) + b"\n")
    (folder / SIGNATURE).unlink(missing_ok=True)


def sign_model(model: str | Path, signer: Signer) -> Path:
    """Signs a scorer as an operator and returns its folder.

    Raises:
        ConfigError: If it is absent, incomplete, altered, or made for other features: nobody vouches for that.
    """
    folder = find_model(model)
    manifest, _ = _opened(folder, _read_bytes(folder / MANIFEST))
    write_signature(folder, manifest.canonical(), signer)
    return folder


def write_features(folder: Path) -> None:
    """Writes the columns of `routing.features` into the artefact in `folder`."""
    text = msgspec.json.format(msgspec.json.encode(current_columns()), indent=2)
    (folder / FEATURES).write_bytes(text + b"\n")


def read_artefact(model: str | Path, signer: NodeId | None = None) -> Artefact:
    """The scorer `model`, verified.

    Args:
        model: Its name or folder.
        signer: Who must have signed it; whoever did, or nobody, when None.

    Raises:
        ConfigError: If it is absent, incomplete, altered, made for other features, or not signed as it should be.
    """
    folder = find_model(model)
    sealed = _read_bytes(folder / MANIFEST)
    manifest, content = _opened(folder, sealed)
    return Artefact(
        name=folder.resolve().name,
        digest=hashlib.sha256(sealed).hexdigest(),
        encoder=content[ENCODER],
        head=content[HEAD],
        calibration=_calibration(content[CALIBRATION], folder / CALIBRATION),
        card=content[CARD].decode(errors="replace"),
        signer=signer_of(folder, manifest.canonical(), signer),
    )


def _opened(folder: Path, sealed: bytes) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest, and the files that it lists and this version needs."""
    manifest = _manifest(sealed, folder / MANIFEST)
    content = _verified(folder, manifest)
    _check_columns(_decode(content[FEATURES], FeatureColumns, folder / FEATURES), folder / FEATURES)
    return manifest, content


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


def _manifest(sealed: bytes, path: Path) -> Manifest:
    version = _decode(sealed, Layout, path).version
    if version != LAYOUT:
        raise ConfigError(f"an artefact of version {version}, this version of meshsim reads {LAYOUT}", file=str(path))
    manifest = _decode(sealed, Manifest, path)
    for name in manifest.files:
        if Path(name).name != name:
            raise ConfigError(f"{name!r} is no file of the artefact", file=str(path))
    return manifest


def _verified(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    content = {}
    for name in (*REQUIRED, *sorted(manifest.files.keys() - set(REQUIRED))):
        content[name] = _read_bytes(folder / name)
        expected, found = manifest.files.get(name, "nothing"), hashlib.sha256(content[name]).hexdigest()
        if found != expected:
            told = f"differs from its checksum in the manifest: sha256 is {found}, expected {expected}"
            raise ConfigError(told, file=str(folder / name))
    return content


def _check_columns(columns: FeatureColumns, path: Path) -> None:
    expected = current_columns()
    for key in FeatureColumns.__struct_fields__:
        has, builds = getattr(columns, key), getattr(expected, key)
        if has != builds:
            told = f"made for other features: {has}, this version builds {builds}"
            raise ConfigError(told, file=str(path), key=key)


def _calibration(content: bytes, path: Path) -> Calibration:
    calibration = _decode(content, Calibration, path)
    if fault := calibration.fault():
        raise ConfigError(fault, file=str(path), key="calibration")
    return calibration
