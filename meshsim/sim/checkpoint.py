"""Saving an episode under way and going on with it, to the identical trace.

    episode = begin(plan, out)
    episode.advance(600.0)
    checkpoint(episode, folder)        # beside the trace's finished parts, which it needs
    resume(folder).finish()            # the trace that `episode.finish()` would have written

A checkpoint is one file: a line that says what it is, a line of JSON (versions, scenario, seed, instant), the pickled
episode, and the SHA-256 of all that. It replaces an older one by an atomic rename, so a kill leaves one or the other.
It is read only by the code that wrote it, for another code would go on differently.

Reading takes classes only from the layers that make up an episode (and from packages that register parts by entry
points), functions only from `routing.features`, and of NumPy and the standard library only what arrays and containers
need. The checksum is against damage, not against forgery.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import json
import os
import pickle
import shutil
from importlib.metadata import entry_points, version
from pathlib import Path
from types import FunctionType
from typing import IO, TYPE_CHECKING, Any, Protocol

from meshsim.measure.trace import refuse_whole
from meshsim.mesh.errors import LocalProtocolError, TraceError
from meshsim.scenario import canonical
from meshsim.sim.simulation import Episode

if TYPE_CHECKING:
    from meshsim.sim.simulation import SimulationResult

CHECKPOINT = "checkpoint"
"""Name of the file in its folder."""

FORMAT = 1
"""Version of the file's layout."""

MAGIC = b"meshsim checkpoint\n"
_HEX = 64
_CHUNK = 1 << 20
_NO_EPISODE = (AttributeError, EOFError, ImportError, LookupError, TypeError, ValueError, pickle.UnpicklingError)
"""What unpickling raises of bytes that `_Saver` did not write."""

LAYERS = ("agent", "identity", "links", "measure", "mesh", "routing", "scenario", "sim", "trust")
"""What an episode is made of, and what decides how it goes on."""

_FUNCTIONS = frozenset(f"meshsim.routing.{name}" for name in ("belief", "columns", "features"))
_PLAIN = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "range", "slice"},
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "functools": {"partial"},
    "msgspec._utils": {"rebuild"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
}


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


# Writing --------------------------------------------------------------------------------------------------------------


def checkpoint(episode: Episode, folder: Path | None = None, *, every: float | None = None) -> Path:
    """Saves an episode between two steps; it goes on as if it had not been saved.

    Args:
        episode: Not over.
        folder: Where the checkpoint goes, with the trace's finished parts; by default that of the trace itself.
        every: How often the episode is being saved, seconds: for those who resume it.

    Returns:
        The file.

    Raises:
        LocalProtocolError: If the episode is over, or ordinary SimPy processes or objects of classes that are no part
            of meshsim are in it; it names them.
        TraceError: If another trace is in `folder`.
    """
    if episode.over:
        raise LocalProtocolError("the episode is over: there is nothing to go on with")
    writer = episode.recorder.writer
    folder = writer.folder if folder is None else Path(folder)
    bring(writer.parts, writer.folder, folder)
    place = folder / CHECKPOINT
    beside = place.with_name(f"{CHECKPOINT}.part")
    try:
        _write(episode, beside, every)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    beside.replace(place)
    return place


def _write(episode: Episode, place: Path, every: float | None) -> None:
    with place.open("wb") as file:
        hashing = _Hashing(file)
        hashing.write(MAGIC)
        hashing.write(json.dumps(_describe(episode, every), sort_keys=True).encode() + b"\n")
        _save(episode, hashing)
        file.write(hashing.digest.hexdigest().encode())
        file.flush()
        os.fsync(file.fileno())


def finish(episode: Episode, every: float | None = None) -> SimulationResult:
    """Goes on to the end, and saves the episode into its trace's folder every `every` simulated seconds.

    The first checkpoint is made at once, and the last one stays in the folder: a finished episode can be forked.
    """
    if every is None:
        return episode.finish()
    # one that lies there when an episode begins is of another
    if episode.env.now == 0.0 or not (episode.recorder.writer.folder / CHECKPOINT).exists():
        checkpoint(episode, every=every)
    while not episode.over:
        episode.advance(_next_multiple(episode.env.now, every))
        if not episode.over:
            checkpoint(episode, every=every)
    return episode.finish()


def _next_multiple(now: float, every: float) -> float:
    """The first instant after `now` at which an episode is saved, resumed or not: a product, not a sum."""
    number = int(now // every) + 1
    # a product that was rounded down lies just before its own multiple
    return number * every if number * every > now else (number + 1) * every


def bring(parts: dict[str, str], source: Path, target: Path) -> None:
    """Puts the finished `parts` of a trace in `source` into `target` too; as links where that can be.

    Raises:
        TraceError: If one is missing, or a whole trace is in `target`.
    """
    refuse_whole(target)
    target.mkdir(parents=True, exist_ok=True)
    for name in parts:
        part, place = source / name, target / name
        if not part.is_file():
            raise TraceError(f"{part} is missing: the checkpoint needs it")
        if place.exists() and place.samefile(part):
            continue
        place.parent.mkdir(exist_ok=True)
        # a part never changes: it is only ever replaced as a whole
        place.unlink(missing_ok=True)
        try:
            place.hardlink_to(part)
        except OSError:  # another file system, or one without links
            shutil.copyfile(part, place)


def _describe(episode: Episode, every: float | None) -> dict[str, Any]:
    return {
        **_code(),
        "scenario": hashlib.sha256(canonical(episode.plan.scenario).encode()).hexdigest(),
        "name": episode.plan.scenario.name,
        "seed": episode.plan.seed,
        "policy": episode.engine.policy.name,
        "at_seconds": episode.env.now,
        "every_seconds": every,
    }


def _code() -> dict[str, Any]:
    return {"format": FORMAT, "meshsim": version("meshsim"), "code": _fingerprint()}


@functools.cache
def _fingerprint() -> str:
    """SHA-256 over the sources that decide how an episode goes on."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(path for layer in LAYERS for path in (root / layer).rglob("*.py")):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


class _Hashing:
    """A file being written, and the hash of what was."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes, /) -> int:
        self.digest.update(data)
        return self._file.write(data)


class _Saver(pickle.Pickler):
    """Refuses at once what could not be read again."""

    def __init__(self, file: _Writable) -> None:
        super().__init__(file, protocol=5)
        self._seen: set[Any] = set()

    def reducer_override(self, thing: Any) -> Any:
        """Looks at every class and function once; leaves how things are reduced as it is."""
        kind = thing if isinstance(thing, type | FunctionType) else type(thing)
        if kind not in self._seen:
            self._seen.add(kind)
            module = kind.__module__
            if module.partition(".")[0] not in ("builtins", "numpy", "types"):
                _check(module, kind.__qualname__)
        return NotImplemented


def _save(episode: Episode, file: _Writable) -> None:
    try:
        _Saver(file).dump(episode)
    except (pickle.PicklingError, TypeError, AttributeError, _Forbidden) as error:
        raise LocalProtocolError(f"the episode holds what cannot be saved: {error}") from error


# Reading --------------------------------------------------------------------------------------------------------------


def resume(folder: Path) -> Episode:
    """The episode whose checkpoint lies in `folder`, going on there; what was written after the checkpoint is removed.

    Raises:
        TraceError: If there is no checkpoint, it is damaged or of another version, a part of the trace is missing, or
            the episode has finished.
    """
    folder = Path(folder)
    episode = load(folder)
    writer = episode.recorder.writer
    writer.move(folder)
    for path in [*folder.glob("*/part-*.parquet"), *folder.glob("*/part-*.parquet.part")]:
        if path.relative_to(folder).as_posix() not in writer.parts:
            path.unlink()
    return episode


def load(folder: Path) -> Episode:
    """The episode whose checkpoint lies in `folder`, with nowhere to write yet.

    Raises:
        TraceError: If there is no checkpoint, or it is damaged or of another version.
    """
    place = Path(folder) / CHECKPOINT
    describe(folder)
    with place.open("rb") as file:
        _check_whole(file, place)
        file.seek(0)
        file.readline()
        file.readline()
        try:
            episode = _Loader(file).load()
        except (_Forbidden, *_NO_EPISODE) as error:
            raise TraceError(f"{place} is no checkpoint of an episode: {error}") from error
    if not isinstance(episode, Episode):
        raise TraceError(f"{place} is no checkpoint of an episode: it holds a {type(episode).__name__}")
    return episode


def describe(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself: `name`, `seed`, `policy`, `at_seconds`, `every_seconds`, versions.

    Raises:
        TraceError: If there is no checkpoint in `folder`, or one of another version.
    """
    place = Path(folder) / CHECKPOINT
    try:
        with place.open("rb") as file:
            magic, line = file.readline(len(MAGIC)), file.readline(_CHUNK)
    except OSError as error:
        raise TraceError(f"no checkpoint in {folder}: {error.strerror}") from error
    if magic != MAGIC:
        raise TraceError(f"{place} is no checkpoint: it does not begin with {MAGIC!r}")
    try:
        found = json.loads(line)
        given = {key: found[key] for key in _code()}
    except (ValueError, KeyError, TypeError) as error:
        raise TraceError(f"{place} is damaged: what it says of itself cannot be read") from error
    if given != _code():
        raise TraceError(
            f"{place} was written by {_named(given)}, this is {_named(_code())}: "
            "only the code that wrote a checkpoint goes on to the same trace; take that one, or run the scenario anew"
        )
    return dict(found)


def _named(code: dict[str, Any]) -> str:
    return f"meshsim {code['meshsim']} (code {str(code['code'])[:12]}, checkpoint format {code['format']})"


def _check_whole(file: IO[bytes], place: Path) -> None:
    left = os.fstat(file.fileno()).st_size - _HEX
    digest = hashlib.sha256()
    while left > 0:
        data = file.read(min(_CHUNK, left))
        digest.update(data)
        left -= len(data)
    if file.read() != digest.hexdigest().encode():
        raise TraceError(f"{place} is damaged: its checksum does not hold")


class _Forbidden(Exception):  # noqa: N818 - said of a name
    """Something that is no part of an episode."""


class _Loader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """What an episode may be made of, and nothing else."""
        if (module, name) == ("builtins", "getattr"):
            return _method
        _check(module, name)
        found = getattr(importlib.import_module(module), name)
        if module in _PLAIN:
            return found
        kind_fits = isinstance(found, type) or (isinstance(found, FunctionType) and module in _FUNCTIONS)
        if not kind_fits or found.__module__ != module:
            raise _Forbidden(f"{module}.{name}")
        return found


def _check(module: str, name: str) -> None:
    """Refuses what cannot be part of an episode, by its name alone.

    Raises:
        _Forbidden: With the name.
    """
    package, _, rest = module.partition(".")
    ours = package == "meshsim" and rest.partition(".")[0] in LAYERS
    plain = name in _PLAIN.get(module, ())
    if "." in name or "<" in name or not (plain or ours or package in _packages()):
        raise _Forbidden(f"{module}.{name}")


@functools.cache
def _packages() -> frozenset[str]:
    """Packages from outside that register parts of meshsim."""
    points = (
        point for group in entry_points().groups if group.startswith("meshsim.") for point in entry_points(group=group)
    )
    return frozenset(point.module.partition(".")[0] for point in points)


def _method(owner: object, name: str) -> Any:
    """A bound method of its class or of a base of ours, all that pickles of episodes ask `getattr` for.

    Raises:
        _Forbidden: If it is anything else.
    """
    function = inspect.getattr_static(type(owner), name, None)
    bases = (kind.__module__ for kind in type(owner).__mro__)
    homes = {type(owner).__module__, *(home for home in bases if home.startswith("meshsim."))}
    if not isinstance(function, FunctionType) or function.__module__ not in homes:
        raise _Forbidden(f"{type(owner).__name__}.{name}")
    return function.__get__(owner)
