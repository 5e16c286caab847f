"""What nodes tell everybody about abuse: accusations, what moderators say of them, and appeals. Each is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from meshsim.agent.fields import Call, Nanoseconds, Node, Signature
from meshsim.mesh.time import to_seconds
from meshsim.trust.abuse import LONGEST_DETAIL, Category, Ruling

if TYPE_CHECKING:
    from meshsim.mesh.ids import NodeId


class AbuseReport(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=13):
    """An accusation: a signed `trust.abuse.Report`.

    Attributes:
        reporter: Who reports.
        subject: Whom.
        category: What for.
        at_ns: Unix time when it was written.
        call: The call it is about, if any.
        detail: Hash of what was said or sent.
        signature: The reporter's.
    """

    reporter: Node
    subject: Node
    category: Category
    at_ns: Nanoseconds
    call: Call | None = None
    detail: Annotated[bytes, msgspec.Meta(max_length=LONGEST_DETAIL)] = b""
    signature: Signature = b""

    @property
    def author(self) -> NodeId:
        """Who signs."""
        return self.reporter


class AbuseRuling(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=14):
    """What a moderator says of what waits for review: of an appeal if there is one, else of all reports until then.

    Attributes:
        moderator: Who rules.
        subject: On whom.
        ruling: Whether the accusation holds.
        at_ns: Unix time when it was written.
        signature: The moderator's.
    """

    moderator: Node
    subject: Node
    ruling: Ruling
    at_ns: Nanoseconds
    signature: Signature = b""

    @property
    def author(self) -> NodeId:
        """Who signs."""
        return self.moderator


class AbuseAppeal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=15):
    """A banned node asks to be looked at once more.

    Attributes:
        subject: The banned node.
        at_ns: Unix time when it was written.
        signature: The banned node's.
    """

    subject: Node
    at_ns: Nanoseconds
    signature: Signature = b""

    @property
    def author(self) -> NodeId:
        """Who signs."""
        return self.subject


Notice: TypeAlias = AbuseReport | AbuseRuling | AbuseAppeal


def written(notice: Notice) -> float:
    """Unix seconds when `notice` was written."""
    return to_seconds(notice.at_ns)
