"""What torch said of a few random views when a scorer was exported, kept beside it in `reference.npz`.

Nodes have no torch: by this file they tell whether the models they run still say what was trained.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Values = dict[str, "NDArray[Any]"]
"""Inputs and outputs of encoder and head by name, as `policies.learned` lists them; the embedding stands once."""

REFERENCE = "reference.npz"

TOLERANCE = 1e-4
"""Largest absolute difference from torch; single precision leaves about a hundredth of it."""


def furthest(said: Mapping[str, NDArray[Any]], answered: Mapping[str, NDArray[Any]]) -> float:
    """Largest absolute difference of arrays of the same names; infinite if shapes differ, NaN if a number is none.

    >>> furthest({"mos": np.array([4.0, 3.0])}, {"mos": np.array([4.0, 3.5])})
    0.5
    >>> furthest({"mos": np.array([4.0])}, {"mos": np.array([np.nan])})
    nan
    """
    return float(np.max([0.0, *(_apart(values, answered[name]) for name, values in said.items())]))


def _apart(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.max(np.abs(ours.astype(np.float64) - theirs), initial=0.0))


def write_reference(folder: Path, cases: Sequence[Values]) -> None:
    """Writes what was asked and what torch said to the artefact in `folder`; equal cases are equal bytes."""
    flat = {f"{place}/{name}": values for place, case in enumerate(cases) for name, values in sorted(case.items())}
    np.savez_compressed(folder / REFERENCE, allow_pickle=False, **flat)


def read_reference(path: Path, names: Sequence[str]) -> tuple[Values, ...]:
    """The cases in the file `path`, at least one.

    Args:
        path: The file.
        names: What each case has: inputs and outputs.

    Raises:
        ConfigError: If it is no such file, or a case lacks a name.
    """
    cases: dict[str, Values] = {}
    try:
        for key, values in _unpacked(path.read_bytes()).items():
            place, _, name = key.partition("/")
            cases.setdefault(place, {})[name] = values
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"no reference outputs can be read: {error}", file=str(path)) from error
    for place, case in cases.items() or {"0": Values()}.items():
        if lacking := sorted(set(names) - case.keys()):
            raise ConfigError(f"reference outputs: case {place} lacks {', '.join(lacking)}", file=str(path))
    return tuple(cases.values())


def _unpacked(content: bytes) -> Values:
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("one array instead of an archive of many")  # noqa: TRY004 - of the file, not of an argument
    return dict(loaded)
