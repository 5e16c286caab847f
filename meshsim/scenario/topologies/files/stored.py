"""The bytes of a graph file: read up to a limit, unpacked if they end in `.gz`, decoded; and written again."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from meshsim.mesh.errors import ConfigError
from meshsim.scenario.topologies.files.raw import Place

MOST_BYTES = 64 * 2**20
"""Of a file, unpacked; more is refused."""

_GZIP = 16 + zlib.MAX_WBITS


def read_bytes(path: Path) -> bytes:
    """What stands in `path`, unpacked.

    Raises:
        ConfigError: If it cannot be read, is too large, empty, or packed data cut short or damaged.
    """
    place = Place(file=str(path))
    try:
        with path.open("rb") as stream:
            stored = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise place.error(f"cannot be read: {error.strerror}") from error
    content = _unpacked(stored, place) if path.suffix == ".gz" else stored
    if len(content) > MOST_BYTES:
        raise place.error(f"larger than {MOST_BYTES >> 20} MiB", allowed=(f"<= {MOST_BYTES} bytes unpacked",))
    if not content.strip():
        raise Place(file=place.file, line=1).error("the file is empty")
    return content


def _unpacked(stored: bytes, place: Place) -> bytes:
    """As much as is allowed and one byte; not more, whatever the packed data promise."""
    parts: list[bytes] = []
    while stored and sum(map(len, parts)) <= MOST_BYTES:
        unpacker = zlib.decompressobj(_GZIP)
        try:
            parts.append(unpacker.decompress(stored, MOST_BYTES + 1))
        except zlib.error as error:
            raise _damaged(parts, place, f"damaged gzip data: {error}") from error
        if not unpacker.eof and not unpacker.unconsumed_tail:
            raise _damaged(parts, place, "gzip data cut short")
        stored = unpacker.unused_data
    return b"".join(parts)


def _damaged(parts: list[bytes], place: Place, problem: str) -> ConfigError:
    line = sum(part.count(b"\n") for part in parts) + 1
    return Place(file=place.file, line=line).error(problem)


def decode(content: bytes, file: str) -> str:
    """`content` as UTF-8 text without a byte order mark.

    Raises:
        ConfigError: With the line, if it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise Place(file=file, line=line).error(f"not UTF-8 text: {error.reason}", allowed=("UTF-8",)) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content`, packed if the name ends in `.gz`; the same content gives the same bytes.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=str(path)) from error
