from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from meshsim.scenario.topologies.allowed import allowed_for

FIELDS = {"title", "origin", "licence", "citation", "allowed_use", "files"}


@pytest.fixture(scope="module")
def registry(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(root / "data" / "registry.yaml")
    return loaded


def test_every_data_set_tells_origin_licence_citation_use_and_checksums(registry: dict[str, Any]) -> None:
    for name, entry in registry["sets"].items():
        assert set(entry) == FIELDS, name
        assert all(entry.values()), name
        assert all(len(digest) == 64 and int(digest, 16) >= 0 for digest in entry["files"].values()), name


@pytest.mark.parametrize("name", ["freifunk", "nycmesh"])
def test_the_allowed_use_of_link_graphs_is_the_rule_of_the_code(name: str, registry: dict[str, Any]) -> None:
    text = registry["sets"][name]["allowed_use"]
    graphs = [Path(file).name.split(".")[0] for file in registry["sets"][name]["files"]]
    for graph in graphs:
        use = allowed_for(name if name == "nycmesh" else f"{name}/{graph}")
        assert {"train": "Training", "validate": "Validation"}[use] in text
        if use == "train":
            assert graph in text.partition("Validation")[0]


def test_data_on_this_machine_equal_their_checksums(registry: dict[str, Any]) -> None:
    folder = os.environ.get("MESHSIM_DATA_DIR")
    if not folder:
        pytest.skip("MESHSIM_DATA_DIR is not set")
    wrong = [
        f"{name}/{file}"
        for name, entry in registry["sets"].items()
        for file, digest in entry["files"].items()
        if (path := Path(folder) / name / file).exists() and hashlib.sha256(path.read_bytes()).hexdigest() != digest
    ]
    assert wrong == []
