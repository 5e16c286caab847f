"""All that can be known of a scorer without trusting who made it: files, features, graph, answers, signature.

Loading (`routing.artefact`) compares checksums and columns alone, since nodes do it at each start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.routing import lint
from meshsim.routing.artefact import ENCODER, HEAD, find_model
from meshsim.routing.policies.learned import ENCODER_INPUTS, HEAD_INPUTS, HEAD_OUTPUTS, Learned
from meshsim.routing.reference import REFERENCE, TOLERANCE, furthest, read_reference

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.mesh.ids import NodeId
    from meshsim.routing.artefact import Artefact


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was found of a scorer that holds.

    Attributes:
        artefact: The scorer; `artefact.signer` is who vouches for it.
        apart: Largest absolute difference from what torch said when it was exported.
        linted: Whether its graphs were looked at; not without the package `onnx`.
    """

    artefact: Artefact
    apart: float
    linted: bool


def prove(model: str | Path, signer: NodeId | None = None) -> Proof:
    """Checks a scorer: files, features, signature, graphs, and its answers to what torch was asked at export.

    Args:
        model: Its name or folder.
        signer: Who must have signed it; whoever did, or nobody, when None.

    Raises:
        ConfigError: On the first thing that does not hold: the file, what was expected and what was found.
    """
    folder = find_model(model)
    policy = Learned(folder, signer=signer)
    linted = lint.can_lint()
    if linted:
        _linted(policy.artefact, folder)
    return Proof(artefact=policy.artefact, apart=_apart(policy, folder / REFERENCE), linted=linted)


def _linted(artefact: Artefact, folder: Path) -> None:
    for name, model in ((ENCODER, artefact.encoder), (HEAD, artefact.head)):
        if found := lint.faults(model):
            raise ConfigError("; ".join(found), file=str(folder / name))


def _apart(policy: Learned, path: Path) -> float:
    apart = 0.0
    for case in read_reference(path, (*ENCODER_INPUTS, *HEAD_INPUTS, *HEAD_OUTPUTS)):
        said = {name: case[name] for name in (HEAD_INPUTS[0], *HEAD_OUTPUTS)}
        apart = float(np.maximum(apart, furthest(said, policy.answers(case))))  # keeps NaN
    if not apart <= TOLERANCE:
        raise ConfigError(f"answers differ from torch by {apart:g}, expected at most {TOLERANCE:g}", file=str(path))
    return apart
