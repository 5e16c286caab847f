"""Which link graphs may train, which may validate, which are only for evaluation. The lists are the project's rule."""

from __future__ import annotations

import re
from typing import Literal

Use = Literal["train", "validate", "simulate", "evaluate"]

_SNDLIB_TRAIN = frozenset(
    [
        *("abilene", "atlanta", "dfn-bwin", "dfn-gwin", "di-yuan", "france", "geant", "giul39", "india35", "janos-us"),
        *("janos-us-ca", "newyork", "nobel-eu", "nobel-germany", "nobel-us", "norway", "pdh", "pioro40", "polska"),
        *("sun", "zib54"),
    ]
)
_TOPOZOO_TRAIN = frozenset("ABCEFGHIJK")
_TOPOZOO_VALIDATE = frozenset("MNOPQR")
_FREIFUNK_TRAIN = frozenset({"aachen", "altdorf", "cologne-bonn-area"})
_FREIFUNK_VALIDATE = frozenset({"munich", "stuttgart", "berlin", "bielefeld", "ulm"})
_FAMILY: dict[str, Use] = {"nycmesh": "validate", "measured": "simulate"}
_GABRIEL = re.compile(r"\d+/\d+")


def allowed_for(name: str) -> Use:
    """The most that the topology `name` may be used for.

    `train`: all. `validate`: also choosing between models. `simulate`: simulations, benchmarks and presets, but no
    model may see it; so it is with measured latency. `evaluate`: that alone; so it is with a graph that no list names.

    >>> allowed_for("topozoo/HurricaneElectric"), allowed_for("topozoo/Packetexchange"), allowed_for("backbone/world")
    ('train', 'validate', 'evaluate')
    """
    family, _, rest = name.partition("/")
    if family == "generated" and rest:
        return "train"
    if family == "gabriel":
        return "train" if _GABRIEL.fullmatch(rest) else "evaluate"
    if family == "sndlib":
        return "train" if rest in _SNDLIB_TRAIN else "evaluate"
    if family == "topozoo":
        return _by_list(rest[:1], _TOPOZOO_TRAIN, _TOPOZOO_VALIDATE)
    if family == "freifunk":
        return _by_list(rest, _FREIFUNK_TRAIN, _FREIFUNK_VALIDATE)
    return _FAMILY.get(family, "evaluate")


def _by_list(key: str, train: frozenset[str], validate: frozenset[str]) -> Use:
    if key in train:
        return "train"
    return "validate" if key in validate else "evaluate"
