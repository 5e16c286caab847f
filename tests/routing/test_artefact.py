"""A scorer that is altered, strange, or signed by nobody or somebody else is refused, and the message says what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import did_key
from meshsim.routing.artefact import (
    CARD,
    ENCODER,
    FEATURES,
    MANIFEST,
    current_columns,
    read_artefact,
    sign_model,
    write_manifest,
)
from meshsim.routing.policies import Learned
from meshsim.routing.signature import SIGNATURE

if TYPE_CHECKING:
    from pathlib import Path

OPERATOR, STRANGER = (Ed25519Signer.from_seed(bytes([number] * 32)) for number in (1, 2))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_a_signed_scorer_says_who_signed_it(own_scorer: Path) -> None:
    assert read_artefact(own_scorer).signer is None
    assert sign_model(own_scorer, OPERATOR) == own_scorer
    assert read_artefact(own_scorer).signer == OPERATOR.node_id
    assert Learned(own_scorer, signer=OPERATOR.node_id).artefact.signer == OPERATOR.node_id


def test_the_signature_holds_however_the_manifest_is_written_down(own_scorer: Path) -> None:
    sign_model(own_scorer, OPERATOR)
    manifest = json.loads((own_scorer / MANIFEST).read_text(encoding="utf-8"))
    files = dict(reversed(manifest["files"].items()))
    (own_scorer / MANIFEST).write_text(json.dumps({"files": files}), encoding="utf-8")
    assert read_artefact(own_scorer, OPERATOR.node_id).signer == OPERATOR.node_id


def test_who_must_have_signed_is_named_when_nobody_did(own_scorer: Path) -> None:
    with pytest.raises(ConfigError, match=f"{SIGNATURE}: unsigned, expected the signature of did:key:z") as caught:
        read_artefact(own_scorer, OPERATOR.node_id)
    assert did_key(OPERATOR.node_id) in str(caught.value)


def test_both_signers_are_named_when_somebody_else_signed(own_scorer: Path) -> None:
    sign_model(own_scorer, STRANGER)
    with pytest.raises(ConfigError) as caught:
        read_artefact(own_scorer, OPERATOR.node_id)
    assert did_key(OPERATOR.node_id) in str(caught.value)
    assert did_key(STRANGER.node_id) in str(caught.value)


def test_a_signature_under_another_name_is_refused(own_scorer: Path) -> None:
    sign_model(own_scorer, STRANGER)
    change(own_scorer / SIGNATURE, signer=did_key(OPERATOR.node_id))
    with pytest.raises(ConfigError, match="the signature is not that of did:key"):
        read_artefact(own_scorer)


def test_a_signature_of_another_manifest_is_refused(own_scorer: Path) -> None:
    sign_model(own_scorer, OPERATOR)
    signature = (own_scorer / SIGNATURE).read_bytes()
    (own_scorer / CARD).write_text("# Better than it is\n", encoding="utf-8")
    write_manifest(own_scorer)
    assert not (own_scorer / SIGNATURE).exists()
    (own_scorer / SIGNATURE).write_bytes(signature)
    with pytest.raises(ConfigError, match=r"is not that of did:key.* of this manifest"):
        read_artefact(own_scorer)


def test_nothing_else_a_key_signs_is_a_signature_of_a_scorer(own_scorer: Path) -> None:
    sign_model(own_scorer, OPERATOR)
    change(own_scorer / SIGNATURE, signature=OPERATOR.sign((own_scorer / MANIFEST).read_bytes()).hex())
    with pytest.raises(ConfigError, match="is not that of"):
        read_artefact(own_scorer)


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b'{"signer": "did:key:zzz", "signature": ""}', b'{"signer": 1, "signature": ""}']
)
def test_what_is_no_signature_is_refused(own_scorer: Path, content: bytes) -> None:
    (own_scorer / SIGNATURE).write_bytes(content)
    with pytest.raises(ConfigError, match=f"{SIGNATURE}: not a signature"):
        read_artefact(own_scorer)


def test_a_signature_that_is_no_hexadecimal_is_refused(own_scorer: Path) -> None:
    sign_model(own_scorer, OPERATOR)
    change(own_scorer / SIGNATURE, signature="not hexadecimal")
    with pytest.raises(ConfigError, match="is not that of"):
        read_artefact(own_scorer)


def test_what_does_not_hold_is_not_signed_and_what_was_resealed_can_be(own_scorer: Path) -> None:
    sign_model(own_scorer, OPERATOR)
    (own_scorer / CARD).write_text("# Changed\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"sha256 is [0-9a-f]{64}, expected [0-9a-f]{64}"):
        sign_model(own_scorer, OPERATOR)
    write_manifest(own_scorer)
    sign_model(own_scorer, STRANGER)
    assert read_artefact(own_scorer).signer == STRANGER.node_id


def test_a_later_layout_is_refused_with_both_versions(own_scorer: Path) -> None:
    change(own_scorer / MANIFEST, version=7, files={}, more=1)
    with pytest.raises(ConfigError, match="an artefact of version 7, this version of meshsim reads 1"):
        read_artefact(own_scorer)


def test_other_features_are_refused_with_both_versions(own_scorer: Path) -> None:
    ours = current_columns().version
    change(own_scorer / FEATURES, version=ours + 1)
    write_manifest(own_scorer)
    with pytest.raises(ConfigError, match=f"made for other features: {ours + 1}, this version builds {ours}"):
        read_artefact(own_scorer)


def test_a_manifest_names_files_of_its_own_folder_alone(own_scorer: Path) -> None:
    files = json.loads((own_scorer / MANIFEST).read_text(encoding="utf-8"))["files"]
    change(own_scorer / MANIFEST, files={**files, "../other": "00"})
    with pytest.raises(ConfigError, match=r"'\.\./other' is no file of the artefact"):
        read_artefact(own_scorer)


def test_a_file_the_manifest_does_not_know_is_told(own_scorer: Path) -> None:
    files = json.loads((own_scorer / MANIFEST).read_text(encoding="utf-8"))["files"]
    del files[ENCODER]
    change(own_scorer / MANIFEST, files=files)
    with pytest.raises(ConfigError, match="expected nothing"):
        read_artefact(own_scorer)
