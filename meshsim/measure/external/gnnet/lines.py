"""Archives and files of samples as lines that know where they stand, so that errors can name file, line and field."""

from __future__ import annotations

import tarfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from meshsim.mesh.errors import ConfigError


class Place(NamedTuple):
    """Where a sample stands.

    Attributes:
        archive: The file `results_*.tar.gz`.
        number: Which of its samples, from 0.
    """

    archive: Path
    number: int

    @property
    def name(self) -> str:
        """The sample in short, as in `2021/train_30/results_30_400-2000_0_24:3`."""
        return "/".join((*self.archive.parts[-3:-1], f"{self.archive.name.removesuffix('.tar.gz')}:{self.number}"))


class Line(NamedTuple):
    """A line of a file, for errors that name it.

    Attributes:
        file: Its name.
        number: From 1.
        text: What stands there.
    """

    file: str
    number: int
    text: str

    def fail(self, message: str, key: str) -> ConfigError:
        """The error that something is wrong here."""
        return ConfigError(message, file=self.file, line=self.number, key=key)

    def number_of(self, text: str, key: str, low: float = 0.0) -> float:
        """The number that `text` says, at least `low` and finite.

        Raises:
            ConfigError: Otherwise.
        """
        try:
            value = float(text)
        except ValueError:
            raise self.fail(f"{text!r} is no number", key) from None
        if not low <= value < float("inf"):
            raise self.fail(f"{text!r} is out of range", key)
        return value


@lru_cache(maxsize=4)
def _contents(archive: Path) -> dict[str, list[str]]:
    """The lines of each file of an archive, by the file's own name."""
    try:
        with tarfile.open(archive) as opened:
            members = {Path(member.name).name: opened.extractfile(member) for member in opened if member.isfile()}
            return {name: file.read().decode().splitlines() for name, file in members.items() if file is not None}
    except (OSError, tarfile.TarError, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read as an archive of texts: {error}", file=str(archive)) from None


def samples_in(archive: Path) -> int:
    """How many samples an archive holds."""
    return len(_contents(archive).get("input_files.txt", ()))


def line_of(place: Place, name: str) -> Line:
    """The line of one of the archive's files that belongs to a sample.

    Raises:
        ConfigError: If there is no such file or line.
    """
    file = f"{place.archive}!{name}"
    contents = _contents(place.archive)
    if name not in contents:
        raise ConfigError("the archive does not hold this file", file=file, allowed=sorted(contents))
    if not 0 <= place.number < len(contents[name]):
        raise ConfigError(f"no line for sample {place.number}", file=file, line=place.number + 1)
    return Line(file, place.number + 1, contents[name][place.number])


def file_lines(path: Path) -> list[Line]:
    """The lines of a file.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:  # a name that no file can have is a ValueError, as is a text that is none
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from None
    return [Line(str(path), number, line) for number, line in enumerate(text.splitlines(), start=1)]


def cells_of(line: Line, text: str, count: int, key: str) -> list[str]:
    """The cells of a matrix line, which ends in a separator."""
    cells = text.strip().split(";")
    if cells[-1] != "" or len(cells) != count + 1:
        raise line.fail(f"{len(cells) - 1} cells, not {count}", key)
    return cells[:-1]
