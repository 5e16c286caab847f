"""What can go wrong, by blame. Every error of the package is a `MeshSimError`.

The text of an error is for the person who can mend it: what was given, what is allowed, what is nearest.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class MeshSimError(Exception):
    """Base of all errors raised on purpose by meshsim."""


class ConfigError(MeshSimError):
    """A person wrote something that cannot be used: a key, a unit, a range, a name.

    Args:
        message: What is wrong, with the offending value.
        file: The file it stands in.
        line: The line it stands on, counted from 1.
        key: The dotted key, as in `calls.rate_per_second`.
        allowed: What would have been accepted.
        nearest: The accepted value nearest to what was written.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        allowed: Sequence[str] = (),
        nearest: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.key = key
        self.allowed = tuple(allowed)
        self.nearest = nearest
        super().__init__(self._text())

    def _text(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        head = ": ".join(part for part in (place, self.key, self.message) if part)
        lines = [head]
        if self.allowed:
            lines.append(f"  allowed: {', '.join(self.allowed)}")
        if self.nearest is not None:
            lines.append(f"  did you mean: {self.nearest}")
        return "\n".join(lines)


class MissingExtra(MeshSimError):  # noqa: N818 - reads as what it is
    """A part of meshsim was asked for whose packages are not installed."""

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package!r} is not installed; it comes with: pip install 'meshsim[{extra}]'")


class NoRoute(MeshSimError):  # noqa: N818 - the field's word
    """No candidate path satisfies the request; `reasons` says why, for each kind of refusal, with a count."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("no route: " + ("; ".join(self.reasons) or "no candidate path"))


class CallFailed(MeshSimError):  # noqa: N818 - reads as what it is
    """A call that was asked for never stood.

    Args:
        reason: Why, in the words of the node that gave it up.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the call failed: {reason}")


class TraceError(MeshSimError):
    """A trace folder is incomplete, of another version, or not a trace."""


class IdentityError(MeshSimError):
    """A name, key, signature or record does not hold."""


class ProtocolError(MeshSimError):
    """A rule of the mesh protocol was broken."""


class LocalProtocolError(ProtocolError):
    """This side broke the protocol: a bug or a misuse by the caller."""


class RemoteProtocolError(ProtocolError):
    """The other side broke the protocol: its message is counted and dropped."""


class UnknownMessageError(RemoteProtocolError):
    """A message of a later version of the protocol, or of a kind that this one does not know: to be passed over."""


def nearest(value: str, known: Iterable[str]) -> str | None:
    """The member of `known` closest to `value`, or None when nothing is close.

    >>> nearest("sndlib/gean", ["sndlib/geant", "sndlib/polska"])
    'sndlib/geant'
    """
    close = difflib.get_close_matches(value, list(known), n=1, cutoff=0.5)
    return close[0] if close else None
