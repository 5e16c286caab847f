"""Who may learn what about whom: a pure decision over an inquiry, the known servers and a name's privacy.

The order is the brief's federation security flow: trust level, signing key, domain list, privacy level, then only the
allowed fields. Logging the decision is the directory's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from meshsim.mesh.errors import IdentityError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.mesh.ids import AuraID

PURPOSES = ("call", "presence", "resolve")
ANY_DOMAIN = "*"


class TrustLevel(StrEnum):
    """How far a federated server is trusted; each level includes those before it."""

    BLOCKED = "blocked"
    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    TRUSTED = "trusted"


class PrivacyLevel(StrEnum):
    """Who may resolve a name: any unblocked server, verified servers, or its home alone."""

    PUBLIC = "public"
    FEDERATED = "federated"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationServer:
    """A domain's server, as another domain knows it.

    Attributes:
        domain: Its domain.
        name: A name for people.
        signing_key: Its public key; b"" if none was exchanged, and then inquiries need none.
        trust_level: How far it is trusted.
        allow: Domains whose names it may ask for; `*` stands for all.

    Raises:
        IdentityError: If the trust level is unknown.
    """

    domain: str
    name: str = ""
    signing_key: bytes = b""
    trust_level: str = TrustLevel.UNVERIFIED
    allow: tuple[str, ...] = (ANY_DOMAIN,)

    def __post_init__(self) -> None:
        _known("trust level", self.trust_level, TrustLevel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A question from another domain.

    Attributes:
        asking: The asking server's domain.
        aura: The name asked for, qualified by the domain that holds it.
        purpose: One of `PURPOSES`.
        key: The key that signed the question; whoever builds the inquiry has checked that signature.
    """

    asking: str
    aura: AuraID
    purpose: str = "resolve"
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to an inquiry.

    Attributes:
        allowed: Whether it is answered.
        reasons: Why not, or on what ground; never empty.
        fields: The fields of a `NodeRecord` that may be told; empty unless allowed.
    """

    allowed: bool
    reasons: tuple[str, ...]
    fields: tuple[str, ...]


_IDENTITY_FIELDS = ("node", "aura", "role", "domain", "aic", "expires_unix")
_REACH_FIELDS = ("address", "nat", "capacity_bps", "max_calls")
ALL_FIELDS = (*_IDENTITY_FIELDS, *_REACH_FIELDS, "latitude", "longitude", "signature")
_FIELDS = {
    TrustLevel.UNVERIFIED: _IDENTITY_FIELDS,
    TrustLevel.VERIFIED: _IDENTITY_FIELDS + _REACH_FIELDS,
    TrustLevel.TRUSTED: ALL_FIELDS,
}


def _known(what: str, value: str, known: type[StrEnum]) -> None:
    names = [member.value for member in known]
    if value not in names:
        hint = nearest(value, names)
        text = f"unknown {what} {value!r}; allowed: {', '.join(names)}"
        raise IdentityError(text + (f"; did you mean {hint}?" if hint else ""))


def decide(inquiry: Inquiry, servers: Mapping[str, FederationServer], privacy_level: str) -> Decision:
    """Whether and how far an inquiry from another domain is answered.

    Args:
        inquiry: The question.
        servers: The known servers by domain.
        privacy_level: Of the name asked for.

    Returns:
        The first ground of refusal in the order of the flow, or what may be told: who the node is to unverified
        servers, how to reach it to verified ones, its place and signature to trusted ones. `presence` is never told
        more than who.

    Raises:
        IdentityError: If the privacy level is unknown.

    >>> from meshsim.mesh.ids import AuraID
    >>> known = {"b.org": FederationServer(domain="b.org", trust_level="verified")}
    >>> decide(Inquiry(asking="b.org", aura=AuraID("bob", "a.org")), known, "public").allowed
    True
    >>> decide(Inquiry(asking="c.org", aura=AuraID("bob", "a.org")), known, "public").reasons
    ("domain 'c.org' is not federated",)
    """
    _known("privacy level", privacy_level, PrivacyLevel)
    server = servers.get(inquiry.asking)
    if server is None:
        return Decision(False, (f"domain {inquiry.asking!r} is not federated",), ())
    refusal = _refusal(inquiry, server, privacy_level)
    if refusal:
        return Decision(False, (refusal,), ())
    level = TrustLevel.UNVERIFIED if inquiry.purpose == "presence" else TrustLevel(server.trust_level)
    return Decision(True, (f"{server.trust_level} server, {privacy_level} name",), _FIELDS[level])


def _refusal(inquiry: Inquiry, server: FederationServer, privacy_level: str) -> str:
    if server.trust_level == TrustLevel.BLOCKED:
        return f"domain {server.domain!r} is blocked"
    if server.signing_key and inquiry.key != server.signing_key:
        return f"the inquiry is not signed by the key of {server.domain!r}"
    if inquiry.purpose not in PURPOSES:
        return f"unknown purpose {inquiry.purpose!r}"
    if ANY_DOMAIN not in server.allow and inquiry.aura.domain not in server.allow:
        return f"{server.domain!r} may not ask for names of {inquiry.aura.domain!r}"
    return _privacy_refusal(server.trust_level, privacy_level)


def _privacy_refusal(trust_level: str, privacy_level: str) -> str:
    if privacy_level == PrivacyLevel.PRIVATE:
        return "the name is private"
    if privacy_level == PrivacyLevel.FEDERATED and trust_level == TrustLevel.UNVERIFIED:
        return "the name is told to verified servers only"
    return ""
