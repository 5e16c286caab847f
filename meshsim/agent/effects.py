"""What an agent asks of its driver. Effects are plain values; how they come true is the driver's affair."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from meshsim.agent.messages import Message
    from meshsim.agent.samples import Sample
    from meshsim.mesh.ids import AuraID, CallId, NodeId
    from meshsim.mesh.media import MediaType


class Channel(StrEnum):
    """What the way to a neighbour promises: `control` is reliable and ordered, `data` reliable, `realtime` neither."""

    CONTROL = "control"
    DATA = "data"
    REALTIME = "realtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send `message` to the neighbour `to`; lost without a word when there is no link.

    Attributes:
        to: The neighbour.
        message: What to send.
        channel: How.
    """

    to: NodeId
    message: Message
    channel: Channel = Channel.CONTROL


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Make a link to `node`; answered by `link_up` or `link_down`."""

    node: NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Undial:
    """Close the link to `node`, which was made for calls that are over; the other end is told `link_down`."""

    node: NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Ask the directory for the nodes of `aura`; answered by `resolved` with the same token."""

    token: int
    aura: AuraID


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMedia:
    """Let a call's media flow through this node, both ways.

    Attributes:
        call: Which call.
        label: 32 bits, the same at all nodes of one route, another for each route: an RTP SSRC.
        upstream: Neighbour towards the caller; None at the caller.
        downstream: Neighbour towards the callee; None at the callee.
        media: What flows.
        aic: Whether it is asked for, and every node of the route supports it: the ends then compress.
        drop: Share of packets that this node drops on purpose.
    """

    call: CallId
    label: int
    upstream: NodeId | None
    downstream: NodeId | None
    media: MediaType
    aic: bool = False
    drop: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseMedia:
    """Stop the flow of one route of a call; its other routes stay."""

    call: CallId
    label: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """Keep `sample` for the trace."""

    sample: Sample


Effect: TypeAlias = Send | Dial | Undial | Resolve | OpenMedia | CloseMedia | Emit


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaReport:
    """What an end received of a call's media in the last while; the driver reports about once a second.

    Attributes:
        label: Of the route it came by.
        jitter: Seconds, RFC 3550.
        loss: Share of packets that never came.
        rtt: Seconds, NaN when the driver cannot tell.
    """

    label: int
    jitter: float
    loss: float
    rtt: float = float("nan")
