"""What a data set is, in one number: the same seed gives the same, one bit of one feature another."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from meshsim.learn.dataset import Dataset

_BUILT = ("hop", "hop_src", "hop_dst", "hop_path", "path")


def digest_of(dataset: Dataset) -> str:
    """sha256 over what a scorer sees of every view and call, and over every label; hexadecimal."""
    digest = hashlib.sha256()
    for array in _arrays(dataset):
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays(dataset: Dataset) -> Iterator[NDArray[Any]]:
    for group in dataset.by_view():
        view = dataset.views[group[0].view]
        yield from (getattr(view, part.name) for part in fields(view))
        for example in group:
            yield from (getattr(example.features, name) for name in _BUILT)
            yield example.feasible
            yield from (getattr(example.labels, part.name) for part in fields(example.labels))
