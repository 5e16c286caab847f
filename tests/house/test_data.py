from __future__ import annotations

import fnmatch
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

FIELDS = {"title", "origin", "licence", "citation", "allowed_use", "files"}


@pytest.fixture(scope="module")
def registry(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(root / "data" / "registry.yaml")
    return loaded


def matched(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def test_every_data_set_tells_origin_licence_citation_use_and_checksums(registry: dict[str, Any]) -> None:
    for name, entry in registry["sets"].items():
        assert set(entry) == FIELDS, name
        assert all(entry.values()), name
        assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in entry["files"].values()), name


def test_no_graph_is_both_for_training_and_for_validation(registry: dict[str, Any]) -> None:
    graphs = registry["link_graphs"]
    names = [f"topozoo/{letter}x" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    assert not [name for name in names if matched(name, graphs["training"]) and matched(name, graphs["validation"])]
    assert not set(graphs["training"]) & set(graphs["validation"])


@pytest.mark.parametrize(
    "name", ["topozoo/Deltacom", "topozoo/Latnet", "topozoo/TataNld", "sndlib/cost266", "backbone/world", "caida/1"]
)
def test_graphs_kept_for_evaluation_match_no_list(name: str, registry: dict[str, Any]) -> None:
    graphs = registry["link_graphs"]
    assert not matched(name, graphs["training"] + graphs["validation"])


def test_data_on_this_machine_equal_their_checksums(registry: dict[str, Any]) -> None:
    folder = os.environ.get("MESHSIM_DATA_DIR")
    wrong = [
        f"{name}/{file}"
        for name, entry in registry["sets"].items()
        for file, digest in entry["files"].items()
        if folder
        and (path := Path(folder) / name / file).exists()
        and hashlib.sha256(path.read_bytes()).hexdigest() != digest
    ]
    assert wrong == []
