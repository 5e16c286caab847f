"""A scorer is signed and verified from the command line; what does not hold is told once, with exit code 2."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshsim.cli import main
from meshsim.identity import Ed25519Signer
from meshsim.mesh.ids import did_key
from meshsim.routing.artefact import CALIBRATION, ENCODER, FEATURES, HEAD, MANIFEST, current_columns, write_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = Ed25519Signer.from_seed(bytes([1] * 32))
OTHER = did_key(Ed25519Signer.from_seed(bytes([2] * 32)).node_id)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the packaged scorer."""
    return Path(shutil.copytree(ROOT / "models" / "route-scorer", tmp_path / "mine"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    OPERATOR.to_file(tmp_path / "operator.key")
    return tmp_path / "operator.key"


def test_a_scorer_is_plainly_unsigned_until_it_is_signed(model: Path, key: Path, capsys: Capture) -> None:
    assert main(["models", "verify", str(model), "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert (before["verified"], before["signer"]) == (True, "unsigned")
    assert 0.0 <= before["difference_from_torch"] < 1e-4
    assert main(["models", "sign", str(model), "--key", str(key), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signer"] == did_key(OPERATOR.node_id)
    assert main(["models", "verify", str(model), "--signer", did_key(OPERATOR.node_id), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signer"] == did_key(OPERATOR.node_id)


def _later(model: Path) -> None:
    columns = json.loads((model / FEATURES).read_text(encoding="utf-8"))
    (model / FEATURES).write_text(json.dumps({**columns, "version": columns["version"] + 1}), encoding="utf-8")
    write_manifest(model)


def _altered(model: Path) -> None:
    with (model / CALIBRATION).open("a", encoding="utf-8") as file:
        file.write(" ")


def _garbled(model: Path) -> None:
    (model / MANIFEST).write_text("{", encoding="utf-8")


VERSION = current_columns().version


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_later, f"{FEATURES}: version: made for other features: {VERSION + 1}, this version builds {VERSION}"),
        (_altered, f"{CALIBRATION}: differs from its checksum in the manifest: sha256 is "),
        (_garbled, f"{MANIFEST}: not a Layout: "),
    ],
)
def test_what_does_not_hold_is_told_once_with_its_file(
    model: Path, spoil: Callable[[Path], None], told: str, capsys: Capture
) -> None:
    spoil(model)
    assert main(["models", "verify", str(model)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {model}/")
    assert told in said.err


def test_what_does_not_say_what_torch_said_is_not_signed(model: Path, key: Path, capsys: Capture) -> None:
    shutil.copy(model / ENCODER, model / HEAD)
    write_manifest(model)
    assert main(["models", "sign", str(model), "--key", str(key)]) == 2
    assert "embedding" in capsys.readouterr().err
    assert not (model / "signature.json").exists()


def test_an_unsigned_scorer_is_refused_where_a_signer_is_asked_for(model: Path, capsys: Capture) -> None:
    assert main(["models", "verify", str(model), "--signer", OTHER]) == 2
    assert f"unsigned, expected the signature of {OTHER}" in capsys.readouterr().err


def test_what_is_no_did_key_is_told(model: Path, capsys: Capture) -> None:
    assert main(["models", "verify", str(model), "--signer", "me"]) == 2
    assert "not an Ed25519 did:key: 'me'" in capsys.readouterr().err


def test_what_is_no_key_signs_nothing(model: Path, capsys: Capture) -> None:
    assert main(["models", "sign", str(model), "--key", str(model / MANIFEST)]) == 2
    assert "no usable private key" in capsys.readouterr().err
    assert not (model / "signature.json").exists()
