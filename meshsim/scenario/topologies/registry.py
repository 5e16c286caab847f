"""The data sets that meshsim knows, `data/registry.yaml`: what each is, where its files lie, whether they are whole.

The data stay outside the repository, in the folder that `MESHSIM_DATA_DIR` names. Every reader finds its files through
`data_file`. What the files say is the work of the readers.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from meshsim.mesh.errors import ConfigError, MissingExtra, nearest

if TYPE_CHECKING:
    from importlib.metadata import PackagePath

VARIABLE = "MESHSIM_DATA_DIR"
"""The environment variable that names the folder of the data, one folder per set."""

_PACKAGE = Path(__file__).resolve().parents[2]
_ABOUT = "README.md"
"""Comes with a set, and is no datum."""

_HOW = f"set {VARIABLE} to the folder that holds the data sets, one folder per set"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """What a file of a set must be: its size in bytes and its SHA-256, hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """One set of data.

    Attributes:
        name: Of the set, and of its folder.
        title: What it is.
        origin: Where it comes from, down to the commit.
        licence: As its origin says.
        citation: How to cite it.
        allowed_use: What may be done with it.
        used_for: What meshsim does with it.
        files: What each file must be, by its path in the folder; of a package none, for it brings its own list.
        packaged: Whether it comes as a Python package instead of a folder.
    """

    name: str
    title: str
    origin: str
    licence: str
    citation: str
    allowed_use: str
    used_for: str
    files: Mapping[str, DataFile] = field(default_factory=dict)
    packaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How the files of one set compare with the registry; names of files, sorted.

    Attributes:
        name: Of the set.
        checked: How many files are as they must be.
        missing: Files that are not there.
        changed: Files of another size or checksum.
        extra: Files that the registry does not know.
        absent: Why the set as a whole cannot be checked, "" when it can: it is not on this machine.
    """

    name: str
    checked: int = 0
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    absent: str = ""

    @property
    def whole(self) -> bool:
        """Every file is there and as it must be, and no other is."""
        return not (self.missing or self.changed or self.extra or self.absent)


@cache
def data_sets() -> dict[str, DataSet]:
    """Every known set by name, sorted."""
    try:
        from ruamel.yaml import YAML  # noqa: PLC0415 - an extra; only the registry's text needs it here
    except ImportError as error:
        raise MissingExtra("ruamel.yaml", "sim") from error
    told: dict[str, dict[str, Any]] = YAML(typ="safe").load(_registry_file().read_text(encoding="utf-8"))
    found = [_data_set(name, entry) for name, entry in told["sets"].items()]
    found += [DataSet(name=name, packaged=True, **entry) for name, entry in told["packages"].items()]
    return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.name)}


def _data_set(name: str, entry: dict[str, Any]) -> DataSet:
    files = {file: DataFile(**said) for file, said in entry.pop("files").items()}
    return DataSet(name=name, files=files, **entry)


def _registry_file() -> Path:
    """`data/registry.yaml` of the checkout around the package, or the one inside an installed package."""
    checkout = [parent / "data" for parent in _PACKAGE.parents if (parent / "pyproject.toml").is_file()]
    places = [folder / "registry.yaml" for folder in (*checkout, _PACKAGE / "_data")]
    for place in places:
        if place.is_file():
            return place
    raise ConfigError("the registry of data sets is missing from this installation", file=str(places[-1]))


def data_set(name: str) -> DataSet:
    """The set `name`.

    Raises:
        ConfigError: If there is none.
    """
    known = data_sets()
    if name not in known:
        raise ConfigError(f"unknown data set {name!r}", allowed=[*known], nearest=nearest(name, known))
    return known[name]


def data_folder() -> Path | None:
    """The folder that `MESHSIM_DATA_DIR` names, or None when it names none."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named and Path(named).is_dir() else None


def data_file(name: str, file: str) -> Path:
    """Where `file` of the set `name` lies.

    Args:
        name: A set that the registry knows.
        file: Path inside the set's folder, as in the registry.

    Raises:
        ConfigError: If the registry knows no such set or file, no folder of data is named, or the file is not there.
    """
    known = data_set(name).files
    if file not in known:
        raise ConfigError(f"{name} has no file {file!r}", allowed=[*known], nearest=nearest(file, known))
    folder = data_folder()
    if folder is None:
        raise ConfigError(f"{name}/{file} is needed, and {_unset()}", allowed=[_HOW])
    path = folder / name / file
    if not path.is_file():
        raise ConfigError(f"{name}/{file} is not in {folder}", file=str(path), allowed=[_HOW])
    return path


@contextmanager
def reading(name: str, file: str) -> Iterator[Path]:
    """The path of `file` of the set `name`, for a reader who takes it for what the registry says it is.

    Raises:
        ConfigError: As `data_file`; and with the file, if it turns out to be something else.
    """
    path = data_file(name, file)
    try:
        yield path
    except (ArithmeticError, BadZipFile, EOFError, LookupError, OSError, TypeError, ValueError) as error:
        problem = f"is not as it must be: {type(error).__name__}: {error}"
        raise ConfigError(
            problem, file=str(path), allowed=[f"what `meshsim data verify {name}` finds whole"]
        ) from error


def _unset() -> str:
    given = os.environ.get(VARIABLE)
    return f"{VARIABLE}={given} is not a folder" if given else f"{VARIABLE} is not set"


def verify(name: str) -> Verdict:
    """How the files of the set `name` compare with what the registry says of them.

    Raises:
        ConfigError: If there is no such set.
    """
    known = data_set(name)
    if known.packaged:
        return _verify_package(name)
    folder = data_folder()
    if folder is None:
        return Verdict(name=name, absent=f"{_unset()}: {_HOW}")
    if not (folder / name).is_dir():
        return Verdict(name=name, absent=f"there is no folder {folder / name}")
    return _compared(name, {file: (folder / name / file, _is(said)) for file, said in known.files.items()}, folder)


def _is(said: DataFile) -> tuple[int, str]:
    return said.bytes, said.sha256


def _compared(name: str, wanted: dict[str, tuple[Path, tuple[int, str]]], folder: Path) -> Verdict:
    missing = [file for file, (path, _) in wanted.items() if not path.is_file()]
    there = {file: both for file, both in wanted.items() if file not in missing}
    changed = [file for file, (path, said) in there.items() if _measured(path) != said]
    return Verdict(
        name=name,
        checked=len(there) - len(changed),
        missing=tuple(sorted(missing)),
        changed=tuple(sorted(changed)),
        extra=tuple(sorted(set(_inside(folder / name)) - set(wanted) - {_ABOUT})),
    )


def _inside(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _measured(path: Path) -> tuple[int, str]:
    content = path.read_bytes()
    return len(content), hashlib.sha256(content).hexdigest()


def _verify_package(name: str) -> Verdict:
    """The same of a Python package, by the checksums that it was installed with."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return Verdict(name=name, absent=f"the package {name} is not installed: pip install 'meshsim[sim]'")
    wanted = [file for file in files if file.hash and file.hash.mode == "sha256"]
    missing = [str(file) for file in wanted if not Path(str(file.locate())).is_file()]
    changed = [str(file) for file in wanted if str(file) not in missing and not _unchanged(file)]
    checked = len(wanted) - len(missing) - len(changed)
    return Verdict(name=name, checked=checked, missing=tuple(sorted(missing)), changed=tuple(sorted(changed)))


def _unchanged(file: PackagePath) -> bool:
    digest = hashlib.sha256(file.read_binary()).digest()
    return file.hash is not None and base64.urlsafe_b64encode(digest).decode().rstrip("=") == file.hash.value
