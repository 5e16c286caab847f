from __future__ import annotations

import copy
import pickle
import stat
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity import Ed25519Signer, Ed25519Verifier, HashSigner, HashVerifier, Signer, Verifier, keys
from meshsim.identity.keys import check_by_openssl
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import NodeId

SECRET = b"of one simulation"
PAIRS: list[tuple[Signer, Verifier]] = [
    (Ed25519Signer.from_seed(bytes(32)), Ed25519Verifier()),
    (HashSigner(NodeId(bytes(32)), SECRET), HashVerifier(SECRET)),
]
both = pytest.mark.parametrize(("signer", "verifier"), PAIRS, ids=["ed25519", "hash"])


@both
@given(data=st.binary(), other=st.binary())
def test_a_signature_holds_for_its_data_alone(signer: Signer, verifier: Verifier, data: bytes, other: bytes) -> None:
    signature = signer.sign(data)
    assert verifier.verify(signer.node_id, data, signature)
    assert verifier.verify(signer.node_id, other, signature) == (other == data)


@both
@given(node=st.binary(max_size=40), signature=st.binary(max_size=80))
def test_a_made_up_signature_or_node_is_refused_without_an_error(
    signer: Signer, verifier: Verifier, node: bytes, signature: bytes
) -> None:
    assert not verifier.verify(NodeId(node), b"data", signature)
    assert not verifier.verify(NodeId(node), b"data", signer.sign(b"other data"))


@both
def test_copies_and_pickles_sign_alike(signer: Signer, verifier: Verifier) -> None:
    for twin in (copy.deepcopy(signer), pickle.loads(pickle.dumps(signer))):  # noqa: S301 - our own
        assert twin.sign(b"data") == signer.sign(b"data")
        assert twin.node_id == signer.node_id


def test_the_first_vector_of_rfc_8032_holds() -> None:
    signer = Ed25519Signer.from_seed(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    assert signer.node_id.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")


@given(data=st.binary(), flipped=st.integers(0, 64 * 8 - 1))
def test_both_libraries_take_and_refuse_the_same_signatures(data: bytes, flipped: int) -> None:
    signer = Ed25519Signer.from_seed(bytes(32))
    good = signer.sign(data)
    bad = bytearray(good)
    bad[flipped // 8] ^= 1 << flipped % 8
    for signature in (good, bytes(bad), good[:-1], good + b"x", b""):
        said = check_by_openssl(signer.node_id, data, signature)
        assert said == (signature == good)
        assert Ed25519Verifier().verify(signer.node_id, data, signature) == said


def test_without_pynacl_signatures_are_checked_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nacl.bindings", None)
    assert keys._checker.__wrapped__() is check_by_openssl


def test_generated_keys_differ() -> None:
    assert Ed25519Signer.generate().node_id != Ed25519Signer.generate().node_id


def test_a_hash_signature_is_bound_to_its_node() -> None:
    signature = HashSigner(NodeId(bytes(32)), SECRET).sign(b"data")
    assert len(signature) == 16
    assert not HashVerifier(SECRET).verify(NodeId(bytes([1] * 32)), b"data", signature)
    assert not HashVerifier(b"another").verify(NodeId(bytes(32)), b"data", signature)


def test_a_key_comes_back_from_its_file_that_only_the_owner_reads(tmp_path: Path) -> None:
    signer = Ed25519Signer.generate()
    signer.to_file(tmp_path / "node.pem")
    assert Ed25519Signer.from_file(tmp_path / "node.pem").node_id == signer.node_id
    assert stat.S_IMODE((tmp_path / "node.pem").stat().st_mode) == 0o600


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    signer = Ed25519Signer.generate()
    signer.to_file(tmp_path / "node.pem")
    with pytest.raises(IdentityError, match="cannot write"):
        Ed25519Signer.generate().to_file(tmp_path / "node.pem")
    assert Ed25519Signer.from_file(tmp_path / "node.pem").node_id == signer.node_id


def test_what_is_no_ed25519_key_file_is_refused(tmp_path: Path) -> None:
    foreign = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "x25519.pem").write_bytes(foreign)
    (tmp_path / "noise.pem").write_bytes(b"noise")
    for name in ("absent.pem", "noise.pem", "x25519.pem"):
        with pytest.raises(IdentityError, match=name):
            Ed25519Signer.from_file(tmp_path / name)


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(IdentityError, match="31"):
        Ed25519Signer.from_seed(bytes(31))


def test_a_printed_signer_shows_no_secret() -> None:
    signer = Ed25519Signer.from_seed(bytes(range(32)))
    assert repr(signer) == f"Ed25519Signer({signer.node_id.hex()[:8]})"
