"""Which nodes serve an AuraID: one domain's records, and the way to other domains' directories.

In memory and without IO. Records are taken as they are: whoever receives one from outside verifies it first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from meshsim.identity.audit import AuditChain
from meshsim.identity.federation import Decision, FederationServer, Inquiry, PrivacyLevel, TrustLevel, decide
from meshsim.identity.records import NodeRecord
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID, NodeId, short

Policy = Callable[[Inquiry, Mapping[str, FederationServer], str], Decision]


class Resolver(Protocol):
    """What a directory asks of another domain's."""

    def resolve(
        self,
        aura: AuraID,
        asking_domain: str = "",
        policy: Policy = decide,
        *,
        purpose: str = "resolve",
        asking_key: bytes = b"",
    ) -> tuple[NodeRecord, ...]:
        """The records of `aura`'s nodes, as far as the asking domain may know them."""


class Directory:
    """The names of one domain.

    Args:
        domain: The home domain; an unqualified AuraID is looked for here first.
        key: The public key under which this directory asks others.

    >>> home = Directory("a.org")
    >>> home.register(NodeRecord(node=bytes(32), aura="@bob.aura"))
    >>> [record.aura for record in home.resolve(AuraID("bob"))]
    ['@bob.aura']
    """

    def __init__(self, domain: str, key: bytes = b"") -> None:
        self.domain = domain
        self.key = key
        self.audit = AuditChain()
        self._nodes: dict[str, dict[NodeId, NodeRecord]] = {}
        self._names: dict[NodeId, str] = {}
        self._privacy: dict[str, str] = {}
        self._servers: dict[str, FederationServer] = {}
        self._resolvers: dict[str, Resolver] = {}

    def register(self, record: NodeRecord) -> None:
        """Adds a node, or replaces what was known of it.

        Raises:
            IdentityError: If the record belongs to another domain.
        """
        named = AuraID.parse(record.aura)
        if {record.domain, named.domain} - {"", self.domain}:
            raise IdentityError(f"{record.aura} of {record.domain!r} is not of this domain, {self.domain!r}")
        self.remove(record.node_id)
        self._nodes.setdefault(named.name, {})[record.node_id] = record
        self._names[record.node_id] = named.name

    def remove(self, node: NodeId) -> None:
        """Forgets a node; one that is not known is no error."""
        name = self._names.pop(node, None)
        if name is not None:
            del self._nodes[name][node]
            if not self._nodes[name]:
                del self._nodes[name]  # or a node that changes its name for ever would fill the memory

    def set_privacy(self, aura: AuraID, level: str) -> None:
        """Sets who may resolve a name of this domain; `public` unless set.

        Raises:
            IdentityError: If the level is unknown.
        """
        if level not in list(PrivacyLevel):
            raise IdentityError(f"unknown privacy level {level!r}; allowed: {', '.join(PrivacyLevel)}")
        self._privacy[aura.name] = level

    def federate(self, server: FederationServer, resolver: Resolver | None = None) -> None:
        """Makes another domain known: what it may ask here, and through what it is asked."""
        self._servers[server.domain] = server
        if resolver is not None:
            self._resolvers[server.domain] = resolver

    def resolve(
        self,
        aura: AuraID,
        asking_domain: str = "",
        policy: Policy = decide,
        *,
        purpose: str = "resolve",
        asking_key: bytes = b"",
    ) -> tuple[NodeRecord, ...]:
        """The records of `aura`'s nodes, by node id.

        A question from home is answered from home's records, or else from the federated directories in order of
        domain. A question from another domain is put to `policy`, logged in `audit`, and answered from home's records
        only.

        Args:
            aura: The name; unqualified means at home first.
            asking_domain: Who asks; "" or the home domain for home.
            policy: What decides about other domains' questions.
            purpose: One of `federation.PURPOSES`.
            asking_key: The key that signed the question.

        Raises:
            IdentityError: If nobody knows the name, or the one who asks may not know it: the text is the same.
        """
        if asking_domain in {"", self.domain}:
            found = self._at_home(aura) or self._abroad(aura, policy, purpose)
        else:
            found = self._for_others(
                Inquiry(
                    asking=asking_domain,
                    aura=AuraID(aura.name, aura.domain or self.domain),
                    purpose=purpose,
                    key=asking_key,
                ),
                policy,
            )
        if not found:
            raise IdentityError(f"no node serves {aura}")
        return found

    def records(self) -> tuple[NodeRecord, ...]:
        """All records of this domain, by node id."""
        return tuple(self._nodes[self._names[node]][node] for node in sorted(self._names))

    def _at_home(self, aura: AuraID) -> tuple[NodeRecord, ...]:
        if aura.domain not in {"", self.domain}:
            return ()
        nodes = self._nodes.get(aura.name, {})
        return tuple(nodes[node] for node in sorted(nodes))

    def _abroad(self, aura: AuraID, policy: Policy, purpose: str) -> tuple[NodeRecord, ...]:
        for domain in sorted(self._resolvers):
            if aura.domain not in {"", domain} or self._servers[domain].trust_level == TrustLevel.BLOCKED:
                continue
            try:
                return self._resolvers[domain].resolve(
                    AuraID(aura.name, domain), self.domain, policy, purpose=purpose, asking_key=self.key
                )
            except IdentityError:
                continue  # not known there, or not told: the next domain may
        return ()

    def _for_others(self, inquiry: Inquiry, policy: Policy) -> tuple[NodeRecord, ...]:
        decision = policy(inquiry, self._servers, self._privacy.get(inquiry.aura.name, PrivacyLevel.PUBLIC))
        self.audit.append(
            {
                "asking": inquiry.asking,
                "aura": str(inquiry.aura),
                "purpose": inquiry.purpose,
                "allowed": decision.allowed,
                "reasons": decision.reasons,
            }
        )
        if not decision.allowed:
            return ()
        return tuple(redact(record, decision.fields) for record in self._at_home(inquiry.aura))

    def __repr__(self) -> str:
        return f"Directory({self.domain!r}, nodes={[short(node) for node in sorted(self._names)]})"


_BLANK = {
    field.name: field.default
    for field in msgspec.structs.fields(NodeRecord)
    if field.default is not msgspec.NODEFAULT and field.name != "role"
}


def redact(record: NodeRecord, fields: tuple[str, ...]) -> NodeRecord:
    """`record` with every field outside `fields` blank.

    Node, name and role always stay. A record from which something was taken has no signature: it could not hold.

    >>> redact(NodeRecord(node=bytes(32), aura="@bob.aura", address="here"), ("node", "aura")).address
    ''
    """
    hidden = {name: blank for name, blank in _BLANK.items() if name not in fields}
    if any(getattr(record, name) != blank for name, blank in hidden.items()):
        hidden["signature"] = b""
    return msgspec.structs.replace(record, **hidden)
