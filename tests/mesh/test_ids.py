from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID, NodeId, did_key, from_did_key, node_id, short

names = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?", fullmatch=True)
domains = st.just("") | st.from_regex(r"[a-z0-9]{1,10}(\.[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?){0,3}", fullmatch=True)


@given(names, domains)
def test_parsing_what_was_printed_gives_the_same_name(name: str, domain: str) -> None:
    aura = AuraID(name, domain)
    assert AuraID.parse(str(aura)) == aura
    assert AuraID.parse(f"  {str(aura).upper()} ") == aura


@given(st.text(max_size=60))
def test_any_text_is_an_aura_id_or_an_identity_error(text: str) -> None:
    try:
        parsed = AuraID.parse(text)
    except IdentityError as error:
        assert str(error).startswith("not a")  # noqa: PT017 - one of two allowed outcomes
    else:
        assert AuraID.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice.aura",
        "@alice",
        "@.aura",
        "@-alice.aura",
        "@alice_.aura",
        "@al ice.aura",
        "@alice.aura:",
        "@alice.aura:-x",
        "@alice.aura:a..b",
        "@alice.aura:a b",
        "@älice.aura",
        f"@{'a' * 33}.aura",
        f"@a.aura:{'a' * 64}",
        f"@a.aura:{'.'.join(['a' * 50] * 6)}",
        "@alice\n.aura",
        "@alice.aura:example.org\n.x",
    ],
)
def test_what_is_no_aura_id_is_refused(text: str) -> None:
    with pytest.raises(IdentityError):
        AuraID.parse(text)


def test_a_name_has_up_to_32_characters() -> None:
    assert AuraID.parse(f"@{'a' * 32}.aura").name == "a" * 32


@given(st.binary(min_size=32, max_size=32))
def test_a_node_id_survives_its_did_key(raw: bytes) -> None:
    assert from_did_key(did_key(node_id(raw))) == raw


def test_a_did_key_is_the_w3c_form() -> None:
    # The first Ed25519 vector of the did:key method: the key of the all-zero seed.
    key = bytes.fromhex("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29")
    assert did_key(NodeId(key)) == "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"


@given(st.text(max_size=60))
def test_no_other_text_is_a_did_key(text: str) -> None:
    with pytest.raises(IdentityError):
        from_did_key("did:key:z" + text)


@pytest.mark.parametrize("text", ["", "did:key:", "did:key:z", "did:web:x", "did:key:z0", "did:key:z6Mk", "did:key:z1"])
def test_a_malformed_did_key_is_refused(text: str) -> None:
    with pytest.raises(IdentityError):
        from_did_key(text)


@pytest.mark.parametrize("noise", ["1", "111", "z" * 100_000])
def test_a_node_id_has_one_text(noise: str) -> None:
    text = did_key(NodeId(bytes(32)))
    with pytest.raises(IdentityError):
        from_did_key(text.replace(":z", f":z{noise}"))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_node_id_has_32_bytes(size: int) -> None:
    with pytest.raises(IdentityError, match=str(size)):
        node_id(bytes(size))


def test_a_short_id_is_for_people() -> None:
    assert short(NodeId(bytes.fromhex("deadbeef") + bytes(28))) == "deadbeef"
