"""A finished experiment as one file: what was asked, what was installed, what came out, and how to do it again.

The file is a zip archive: `experiments/NN_slug/` as it was asked, `results/` with tables and report, `requirements.txt`
with every installed package and its version, `artifact.json` with the checksum that a repetition has to reach, and a
README with the command. Equal contents give equal bytes.
"""

from __future__ import annotations

import io
import json
import platform
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.lab.batch import BatchError, code_fingerprint
from meshsim.lab.batch.store import write_whole
from meshsim.lab.experiment import ATTEMPTS, REPORT, RUNS, SERIES, examine, report_experiment, run_experiment
from meshsim.lab.questions import FOLDER, load_experiment
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshsim.lab.batch import Settings

CARD = "artifact.json"
"""What the archive says of itself."""

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_READABLE = 0o644 << 16
_RESULTS = (RUNS, SERIES, ATTEMPTS, REPORT)
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of doing an experiment again.

    Attributes:
        experiment: Its slug.
        said: Checksum of the table in the archive.
        found: Checksum of the table of the repetition.
        notes: What is different here, in words.
    """

    experiment: str
    said: str
    found: str
    notes: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether the repetition has the same table, byte for byte."""
        return self.said == self.found


def make(name: str, path: Path, *, results: Path | None = None, root: Path = FOLDER) -> dict[str, Any]:
    """Writes the archive of an experiment all of whose runs are done.

    Args:
        name: The slug.
        path: Of the archive.
        results: Folder of the results; by default `runs/experiment-<slug>`.
        root: Where experiments live.

    Returns:
        What `artifact.json` says, and `bytes`.

    Raises:
        BatchError: If runs are missing, or made by other code than what is here: nobody could repeat them.
        ConfigError: If the archive cannot be written.
    """
    told = examine(name, out=results, root=root)
    if told["missing"]:
        why = f", {told['stale']} of them only by other code" if told["stale"] else ""
        raise BatchError(f"{told['missing']} runs of {name} are not done{why}: meshsim exp resume {name}")
    answer = report_experiment(name, out=results, root=root)
    experiment, found = load_experiment(name, root)
    card = {
        "format": 1,
        "experiment": found.slug,
        "question": experiment.question,
        "runs": answer["runs"],
        "table_sha256": answer["table_sha256"],
        "verdicts": answer["verdicts"],
        "code": code_fingerprint(),
        "meshsim": version("meshsim"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    files = {
        CARD: json.dumps(card, indent=1, sort_keys=True).encode(),
        "README.md": _readme(card, path.name).encode(),
        "requirements.txt": "\n".join([*_installed(), ""]).encode(),
        **{f"results/{file}": (Path(answer["table"]).parent / file).read_bytes() for file in _RESULTS},
        **dict(_asked(found.folder, root)),
    }
    content = _zipped(files)
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", key="--out") from error
    return {**card, "artifact": str(path), "bytes": len(content)}


def check(path: Path, settings: Settings | None = None) -> Checked:
    """Does the experiment of an archive again, from its own question, and compares the table.

    Raises:
        ConfigError: If the file is no such archive.
    """
    with tempfile.TemporaryDirectory(prefix="meshsim-") as folder, _opened(path) as archive:
        card = _card(path, archive)
        for member in archive.infolist():
            if member.filename.startswith("experiments/"):
                archive.extract(member, folder)
        root = Path(folder) / "experiments"
        answer = run_experiment(card["experiment"], out=Path(folder) / "out", settings=settings, root=root)
        return Checked(
            experiment=card["experiment"],
            said=card["table_sha256"],
            found=answer["table_sha256"],
            notes=tuple(_differences(card, archive)),
        )


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is no artifact: {error}", key="FILE") from error
    names = archive.namelist()
    if CARD not in names or any(Path(name).is_absolute() or ".." in Path(name).parts for name in names):
        raise ConfigError(f"{path} is no artifact: it has no {CARD}, or names that lead out of it", key="FILE")
    if sum(member.file_size for member in archive.infolist()) > _LARGEST:
        raise ConfigError(f"{path} is no artifact: it would unpack to more than {_LARGEST >> 20} MB", key="FILE")
    return archive


def _card(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        card = json.loads(archive.read(CARD))
    except (ValueError, zipfile.BadZipFile, RuntimeError) as error:
        raise ConfigError(f"{path} is no artifact: {CARD} cannot be read: {error}", key="FILE") from error
    wanted = ("experiment", "table_sha256", "code", "python", "machine")
    absent = [key for key in wanted if not isinstance(card, dict) or not isinstance(card.get(key), str)]
    if absent:
        raise ConfigError(f"{path} is no artifact: {CARD} does not say {', '.join(absent)}", key="FILE")
    return dict(card)


def _differences(card: dict[str, Any], archive: zipfile.ZipFile) -> Iterator[str]:
    here = {"code": code_fingerprint(), "python": platform.python_version(), "machine": platform.machine()}
    for name, value in here.items():
        if card[name] != value:
            yield f"{name} is {value} here and was {card[name]}"
    was, now = set(archive.read("requirements.txt").decode().split()), set(_installed())
    changed = sorted({one.partition("==")[0] for one in was ^ now})
    if changed:
        yield f"other versions, or only here or there: {', '.join(changed)}"


def _installed() -> list[str]:
    """Every installed package with its version, sorted."""
    return sorted({f"{one.metadata['Name'].lower()}=={one.version}" for one in distributions()})


def _asked(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    """The files of an experiment's folder, with their names in the archive."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield f"experiments/{file.relative_to(root)}", file.read_bytes()


def _readme(card: dict[str, Any], name: str) -> str:
    verdicts = "\n".join(f"- {line}" for line in card["verdicts"]) or "- nothing was claimed"
    return f"""# {card["question"]}

The experiment `{card["experiment"]}` of meshsim {card["meshsim"]}, {card["runs"]} runs. `results/report.html` is for
reading, `results/runs.parquet` for asking: `meshsim results query "FROM runs" --in results`.

{verdicts}

To do it again, with the packages of `requirements.txt`:

    meshsim artifact check {name}

It runs the experiment from `experiments/` and holds its table to the checksum `{card["table_sha256"]}`.
"""


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, _LONG_AGO)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, _READABLE
            archive.writestr(member, files[name])
    return buffer.getvalue()
