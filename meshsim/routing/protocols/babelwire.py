"""What Babel says and keeps: messages (RFC 8966, section 4.6), periods, costs of links, and rows of its tables."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols import sensing
from meshsim.routing.protocols.packet import PACKET_BYTES, is_newer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshsim.routing.protocols.sensing import Heard

HELLO, IHU, UPDATE, REQUEST, DUMP = 1, 2, 3, 4, 5

HELLO_BODY = struct.Struct(">HI")
IHU_ROW = struct.Struct(">IHII")
ROUTE_ROW = struct.Struct(">IHH")
REQUEST_BODY = struct.Struct(">IH")
INFINITE = 0xFFFF
"""The metric of what cannot be reached (section 3.5.2)."""

FAR = 64
"""Hops that a request may go."""

UNIT = 256
"""What a perfect link costs."""

MOST_ROUTES = PACKET_BYTES // ROUTE_ROW.size - 4
"""Routes that one message tells of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BabelConfig:
    """How often, and how patient; seconds unless said (appendix B).

    Attributes:
        hello: Between hellos, which IHUs go with.
        update: Between updates with all routes.
        hold: For which hellos, IHUs and updates hold, in periods.
        quiet: From the start, in which only direct routes are taken.
        sources: After which it is forgotten how near one was.
        resend: Until a request that was not answered is sent again.
        tries: Times that a request is sent.
        pace: Between two triggered updates at least.
        change: Relative change of a metric that is worth an update.
        hysteresis: By which share a route must be better than the chosen one (appendix A.3).
        penalty: Cost of a link whose round trip is `rtt_most` or longer, on top; units of 1/256 ETX (RFC 9616, 4).
        rtt_least: Round trip without a penalty.
        rtt_most: Round trip with all of it.
    """

    hello: float = 4.0
    update: float = 16.0
    hold: float = 3.5
    quiet: float = 20.0
    sources: float = 180.0
    resend: float = 2.0
    tries: int = 3
    pace: float = 0.5
    change: float = 0.25
    hysteresis: float = 0.1
    penalty: int = 150
    rtt_least: float = 0.01
    rtt_most: float = 0.12


class Distance(NamedTuple):
    """How near a node is, or was at its nearest: the feasibility distance (section 3.5.1).

    Attributes:
        sequence: Of the origin.
        metric: Less is nearer.
        at: When it was announced, seconds.
    """

    sequence: int
    metric: int
    at: float

    def admits(self, sequence: int, metric: int) -> bool:
        """Whether a route is strictly nearer than this."""
        return is_newer(sequence, self.sequence) or (sequence == self.sequence and metric < self.metric)


class Route(NamedTuple):
    """What a neighbour has announced of a destination.

    Attributes:
        sequence: Of the origin.
        metric: Of the neighbour; `INFINITE` once it is retracted.
        expires: When it is void, seconds.
    """

    sequence: int
    metric: int
    expires: float


class Chosen(NamedTuple):
    """The route that data take.

    Attributes:
        neighbour: The next hop.
        sequence: Of the origin.
        metric: With the link to the neighbour.
    """

    neighbour: int
    sequence: int
    metric: int


@dataclass(slots=True)
class Sought:
    """A request that waits for an answer.

    Attributes:
        sequence: At least wanted.
        tries: Left.
        askers: Neighbours that want to know.
        at: When it was last sent.
    """

    sequence: int
    tries: int
    askers: list[int]
    at: float


def _rows(layout: struct.Struct, body: bytes, what: str) -> Iterable[tuple[int, ...]]:
    if len(body) % layout.size:
        raise RemoteProtocolError(f"{what} of {len(body)} bytes")
    return layout.iter_unpack(body)


@lru_cache(maxsize=4096)
def read_hello(body: bytes) -> tuple[int, int]:
    """Session and clock of the sender.

    Raises:
        RemoteProtocolError: If the body is no hello's.
    """
    if len(body) != HELLO_BODY.size:
        raise RemoteProtocolError(f"a hello of {len(body)} bytes")
    session, clock = HELLO_BODY.unpack(body)
    return session, clock


@lru_cache(maxsize=4096)
def read_ihu(body: bytes) -> Mapping[int, tuple[int, int, float]]:
    """For each that the sender hears: its cost of receiving, the clock of the last hello, and seconds since.

    Raises:
        RemoteProtocolError: If the body is no IHU's, or hearing costs nothing.
    """
    heard = {node: (cost, then, held * sensing.TICK) for node, cost, then, held in _rows(IHU_ROW, body, "an IHU")}
    if any(cost < UNIT for cost, _, _ in heard.values()):
        raise RemoteProtocolError("an IHU of a link that is better than perfect")
    return heard


@lru_cache(maxsize=4096)
def read_update(body: bytes) -> tuple[tuple[int, ...], ...]:
    """Destination, sequence number and metric of each route.

    Raises:
        RemoteProtocolError: If the body is no update's.
    """
    return tuple(_rows(ROUTE_ROW, body, "an update"))


def read_request(body: bytes) -> tuple[int, int]:
    """The destination and the sequence number that is wanted.

    Raises:
        RemoteProtocolError: If the body is no request's.
    """
    if len(body) != REQUEST_BODY.size:
        raise RemoteProtocolError(f"a request of {len(body)} bytes")
    destination, sequence = REQUEST_BODY.unpack(body)
    return destination, sequence


def reception_cost(heard: Heard, config: BabelConfig, now: float) -> int:
    """The cost of receiving (appendix A.2.2): 256 over the share of hellos."""
    share = heard.forward(config.hello, now)
    return min(math.ceil(UNIT / share), INFINITE) if share > 0.0 else INFINITE


def link_cost(heard: Heard, config: BabelConfig, now: float) -> int:
    """What a link costs: ETX as in appendix A.2.2, and the penalty of its round trip (RFC 9616)."""
    sent = sensing.etx(heard.forward(config.hello, now), heard.reverse)
    if not heard.hears_us(now) or math.isinf(sent):
        return INFINITE
    low, high = config.rtt_least, config.rtt_most
    late = 0.0 if math.isnan(heard.rtt) else min(max((heard.rtt - low) / (high - low), 0.0), 1.0)
    return min(round(UNIT * sent + config.penalty * late), INFINITE)
