from __future__ import annotations

import copy

import pytest

from meshsim.identity import Decision, Directory, FederationServer, NodeRecord, redact
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID, NodeId


def node(number: int) -> NodeId:
    return NodeId(bytes([number] * 32))


def record(number: int, aura: str = "@bob.aura", **fields: object) -> NodeRecord:
    full = {"address": "here", "latitude": 1.0, "signature": b"signed"} | fields
    return NodeRecord(node=node(number), aura=aura, **full)  # type: ignore[arg-type]


def directory(domain: str, *records: NodeRecord, key: bytes = b"") -> Directory:
    made = Directory(domain, key)
    for item in records:
        made.register(item)
    return made


def federated(home: Directory, other: Directory, **server: object) -> None:
    """Each knows the other; `server` is how `other` sees `home`."""
    home.federate(FederationServer(domain=other.domain), other)
    fields = {"domain": home.domain, "trust_level": "trusted"} | server
    other.federate(FederationServer(**fields))  # type: ignore[arg-type]


BOB = AuraID("bob")


def test_one_name_owns_many_nodes_in_the_order_of_their_ids() -> None:
    home = directory("a.org", record(2), record(1), record(3, "@eve.aura"))
    assert home.resolve(BOB) == (record(1), record(2))
    assert home.records() == (record(1), record(2), record(3, "@eve.aura"))


def test_registering_again_replaces_even_under_another_name() -> None:
    home = directory("a.org", record(1), record(1, "@eve.aura"))
    assert home.resolve(AuraID("eve")) == (record(1, "@eve.aura"),)
    with pytest.raises(IdentityError):
        home.resolve(BOB)


def test_a_node_that_changes_its_name_for_ever_takes_no_more_memory() -> None:
    home = directory("a.org", *(record(1, f"@n{i}.aura") for i in range(50)))
    assert len(home._nodes) == len(home.records()) == 1


def test_a_removed_node_is_gone_and_removing_it_again_is_no_error() -> None:
    home = directory("a.org", record(1), record(2))
    for _ in range(2):
        home.remove(node(1))
    assert home.resolve(BOB) == (record(2),)


@pytest.mark.parametrize("asking", ["", "a.org", "b.org"])
def test_an_unknown_name_is_an_error(asking: str) -> None:
    with pytest.raises(IdentityError, match=r"@bob\.aura"):
        directory("a.org").resolve(BOB, asking)


@pytest.mark.parametrize(("aura", "domain"), [("@bob.aura", "b.org"), ("@bob.aura:b.org", "")])
def test_a_record_of_another_domain_is_not_taken(aura: str, domain: str) -> None:
    with pytest.raises(IdentityError, match="not of this domain"):
        directory("a.org", record(1, aura, domain=domain))


def test_home_comes_first() -> None:
    home, other = directory("a.org", record(1)), directory("b.org", record(2))
    federated(home, other)
    assert home.resolve(BOB) == (record(1),)
    assert home.resolve(AuraID("bob", "b.org")) == (record(2),)


def test_a_name_unknown_at_home_is_found_abroad_in_order_of_domain() -> None:
    home = directory("a.org")
    for domain, number in (("d.org", 4), ("c.org", 3)):
        federated(home, directory(domain, record(number)))
    federated(home, directory("b.org"))
    assert home.resolve(BOB) == (record(3),)


def test_a_domain_that_home_blocks_is_not_asked() -> None:
    home, other = directory("a.org"), directory("b.org", record(2))
    federated(home, other)
    home.federate(FederationServer(domain="b.org", trust_level="blocked"))
    with pytest.raises(IdentityError):
        home.resolve(BOB)
    assert len(other.audit) == 0


def test_another_domain_learns_only_what_it_may_and_the_question_is_logged() -> None:
    home, other = directory("a.org"), directory("b.org", record(2, domain="b.org"))
    federated(home, other, trust_level="verified")
    (found,) = home.resolve(BOB)
    assert (found.address, found.latitude, found.signature) == ("here", 0.0, b"")
    (entry,) = [link.entry() for link in other.audit]
    assert entry == {
        "asking": "a.org",
        "aura": "@bob.aura:b.org",
        "purpose": "resolve",
        "allowed": True,
        "reasons": ["verified server, public name"],
    }


def test_a_private_name_looks_unknown_from_outside_and_the_refusal_is_logged() -> None:
    home, other = directory("a.org"), directory("b.org", record(2))
    federated(home, other)
    other.set_privacy(BOB, "private")
    with pytest.raises(IdentityError, match=r"no node serves @bob\.aura"):
        home.resolve(BOB)
    assert other.resolve(BOB) == (record(2),)
    assert [link.entry()["allowed"] for link in other.audit] == [False]  # type: ignore[index]


def test_an_asking_directory_shows_its_key() -> None:
    home, other = directory("a.org", key=b"key of a"), directory("b.org", record(2))
    federated(home, other, signing_key=b"key of a")
    assert home.resolve(BOB) == (record(2),)
    with pytest.raises(IdentityError):
        other.resolve(BOB, "a.org", asking_key=b"another key")


def test_a_directory_never_passes_a_foreign_question_on() -> None:
    home, other = directory("a.org"), directory("b.org", record(2))
    federated(home, other)
    home.federate(FederationServer(domain="c.org", trust_level="trusted"))
    with pytest.raises(IdentityError):
        home.resolve(AuraID("bob", "b.org"), "c.org")


def test_another_policy_can_decide() -> None:
    home = directory("a.org", record(1))
    answer = home.resolve(BOB, "anyone.org", lambda *_: Decision(True, ("open house",), ("address",)))
    assert answer[0].address == "here"


def test_an_unknown_privacy_level_is_refused() -> None:
    with pytest.raises(IdentityError, match="allowed: public, federated, private"):
        directory("a.org").set_privacy(BOB, "secret")


def test_redaction_that_takes_nothing_keeps_the_signature() -> None:
    whole = record(1, latitude=0.0)
    assert redact(whole, ("address", "signature")) == whole
    assert redact(whole, ("signature",)).signature == b""


def test_a_directory_is_plain_data() -> None:
    home = directory("a.org", record(1))
    twin = copy.deepcopy(home)
    twin.remove(node(1))
    assert (repr(home), repr(twin)) == ("Directory('a.org', nodes=['01010101'])", "Directory('a.org', nodes=[])")
