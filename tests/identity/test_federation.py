from __future__ import annotations

import pytest

from meshsim.identity import Decision, FederationServer, Inquiry, PrivacyLevel, TrustLevel, decide
from meshsim.identity.federation import ALL_FIELDS
from meshsim.identity.records import NodeRecord
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID

BOB = AuraID("bob", "a.org")
KEY = b"k" * 32

BASIC, REACH, ALL = 6, 10, 13  # how many fields are told

# (trust level, privacy level) -> fields told; 0 is a refusal
TABLE = {
    ("blocked", "public"): 0,
    ("blocked", "federated"): 0,
    ("blocked", "private"): 0,
    ("unverified", "public"): BASIC,
    ("unverified", "federated"): 0,
    ("unverified", "private"): 0,
    ("verified", "public"): REACH,
    ("verified", "federated"): REACH,
    ("verified", "private"): 0,
    ("trusted", "public"): ALL,
    ("trusted", "federated"): ALL,
    ("trusted", "private"): 0,
}


def ask(*, trust: str = "verified", privacy: str = "public", **given: object) -> Decision:
    server_fields = {key: given.pop(key) for key in ("allow", "signing_key") if key in given}
    server = FederationServer(domain="b.org", trust_level=trust, **server_fields)  # type: ignore[arg-type]
    inquiry = Inquiry(**({"asking": "b.org", "aura": BOB} | given))  # type: ignore[arg-type]
    return decide(inquiry, {"b.org": server}, privacy)


@pytest.mark.parametrize(("trust", "privacy"), TABLE)
def test_trust_and_privacy_decide_how_much_is_told(trust: str, privacy: str) -> None:
    decision = ask(trust=trust, privacy=privacy)
    assert len(decision.fields) == TABLE[trust, privacy]
    assert decision.allowed == bool(decision.fields)
    assert len(decision.reasons) == 1


def test_the_table_is_complete() -> None:
    assert set(TABLE) == {(trust.value, privacy.value) for trust in TrustLevel for privacy in PrivacyLevel}


def test_more_trust_never_tells_less_and_only_fields_of_a_record_are_told() -> None:
    told = [set(ask(trust=trust).fields) for trust in ("blocked", "unverified", "verified", "trusted")]
    assert told[0] <= told[1] <= told[2] <= told[3] == set(ALL_FIELDS) == set(NodeRecord.__struct_fields__)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"asking": "c.org"}, "not federated"),
        ({"signing_key": KEY}, "not signed by the key"),
        ({"signing_key": KEY, "key": b"other"}, "not signed by the key"),
        ({"purpose": "advertise"}, "unknown purpose"),
        ({"allow": ("c.org",)}, "may not ask for names of 'a.org'"),
        ({"allow": ()}, "may not ask"),
    ],
)
def test_each_check_of_the_flow_refuses_with_its_reason(changes: dict[str, object], reason: str) -> None:
    decision = ask(**changes)  # type: ignore[arg-type]
    assert not decision.allowed
    assert reason in decision.reasons[0]


@pytest.mark.parametrize("changes", [{"signing_key": KEY, "key": KEY}, {"allow": ("a.org",)}])
def test_the_right_key_and_an_allowed_domain_pass(changes: dict[str, object]) -> None:
    assert ask(**changes).allowed  # type: ignore[arg-type]


def test_the_order_of_the_checks_is_the_flows() -> None:
    assert "blocked" in ask(trust="blocked", signing_key=KEY, allow=()).reasons[0]
    assert "key" in ask(signing_key=KEY, allow=(), privacy="private").reasons[0]
    assert "names of" in ask(allow=(), privacy="private").reasons[0]


def test_presence_tells_a_trusted_server_no_more_than_who() -> None:
    assert ask(trust="trusted", purpose="presence").fields == ask(trust="unverified").fields


def test_unknown_levels_are_refused_with_the_nearest_known() -> None:
    with pytest.raises(IdentityError, match="did you mean trusted"):
        FederationServer(domain="b.org", trust_level="trustd")
    with pytest.raises(IdentityError, match="allowed: public, federated, private"):
        ask(privacy="x")
