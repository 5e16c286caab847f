"""The kernel's state: flat arrays of records that a compiler reads, NumPy copies and pickle writes. No behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.links import delay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Records = NDArray[np.void]

NONE = -1
"""No packet, no stream, the end of a route or of a list."""

SLOT_BITS = 24
"""An event's code is sequence number, packet slot and kind (1 bit); a run holds at most 2**24 packets at once."""

DELIVERED, DROPPED, LOST, DUPLICATE = range(4)
"""Fates of a packet, as in `PacketLog`."""

FREE, PASSING, WAITING, SERVED, FLYING = range(5)
"""Where a packet is: nowhere; through a FIFO link (departure known); in a class queue; in service; on its way."""

ARRIVALS = {"poisson": 0, "cbr": 1, "on_off": 2, "times": 3}
SIZES = {"fixed": 0, "exponential": 1, "listed": 2, "each": 3}
LOSSES = {"none": 0, "bernoulli": 1, "gilbert_elliott": 2, "trace": 3}
JITTERS = {kind: place for place, kind in enumerate(delay.JITTERS)}
QUEUES = {"fifo": 0, "red": 1, "codel": 2, "fq_codel": 3, "priority": 4, "wfq": 5, "drr": 6, "stride": 7, "polling": 8}

_F, _I, _S = "f8", "i8", "i4"

RUN = np.dtype(
    [
        ("now", _F),  # of the last event taken, or of the end of the last run, seconds
        ("measure_from", _F),
        ("sequence", _I),  # events scheduled
        ("hops", _I),
        ("inside", _I),  # packets in the network, duplicates left out
        ("agenda", _I),  # sizes of the two heaps
        ("outs", _I),
        ("free", _I),  # first free packet slot
        ("slots", _I),  # free packet slots
        ("rows", _I),  # rows of the log in use
        ("room", _I),  # rows left in the log; endless without a log
        ("flows", _I),  # rows in use of the growing arrays
        ("links", _I),
        ("routes", _I),
        ("pool", _I),
        ("streams", _I),
        ("queues", _I),
    ],
    align=True,
)
"""One row: what the run as a whole is at."""

PACKET = np.dtype(
    [
        ("sent", _F),
        ("size", _F),
        ("joined", _F),  # the link it is on
        ("started", _F),  # its service
        ("left", _F),  # the link; its departure
        ("flow", _S),
        ("number", _S),  # in its flow
        ("offer", _S),  # its number among the packets offered to the link
        ("cursor", _S),  # place in `routes` of the next link
        ("next", _S),  # slot after this in a queue or in the list of free slots
        ("place", "i1"),
        ("counted", "i1"),  # whether it stands in its link's list of packets that have not left
        ("copy", "i1"),  # whether it is a duplicate
    ],
    align=True,
)
"""One row a slot."""

PORT = np.dtype(
    [
        ("free_at", _F),
        ("rate", _F),
        ("propagation", _F),
        ("bytes", _F),  # sums over packets that got a departure
        ("waiting", _F),
        ("service", _F),
        ("offered", _I),
        ("plain", _S),  # a FIFO that is nothing but a rate and a propagation
        ("counted", _S),  # keeps a list of the packets that have not left
    ],
    align=True,
)
"""One row a link: what a plain FIFO needs, in one cache line; the rest is `LINK`."""

LINK = np.dtype(
    [
        # The channel.
        ("lost", _I),
        ("dropped", _I),
        ("last_arrival", _F),
        ("loss", _S),
        ("bad", _S),
        ("p", _F),
        ("r", _F),
        ("good_loss", _F),
        ("bad_loss", _F),
        ("loss_first", _I),
        ("loss_count", _I),
        ("loss_stream", _S),
        ("jitter", _S),
        ("reorders", _S),
        ("jitter_stream", _S),
        ("scale", _F),
        ("shape", _F),
        ("jitter_first", _I),
        ("jitter_count", _I),
        ("duplicate", _F),
        ("duplicate_stream", _S),
        # Service.
        ("service_stream", _S),
        ("redraw", _F),
        ("rate_first", _I),
        ("rate_count", _I),
        ("servers", _S),
        ("busy", _S),  # servers at work (links with class queues)
        # The queue.
        ("kind", _S),
        ("queued", _S),  # keeps class queues and chooses at each end of a service
        ("limit_packets", _I),
        ("limit_bytes", _F),
        ("limit_seconds", _F),
        ("held", _I),  # packets that have not left, those in service included
        ("held_bytes", _F),
        ("head", _S),  # of the list of them (FIFO)
        ("tail", _S),
        ("area", _F),  # integral of `held` over time, up to `changed` (links with class queues)
        ("changed", _F),
        ("queues", _S),
        ("queue_first", _S),  # class queues: a slice of the arrays of `Queues`
        ("queue_map", _S),  # classes' queues: a slice of `routes`, as long as `queue_mapped`
        ("queue_mapped", _S),
        ("target", _F),
        ("interval", _F),
        ("quantum", _F),
        ("red_stream", _S),
        ("red_least", _F),
        ("red_most", _F),
        ("red_largest", _F),
        ("red_weight", _F),
    ],
    align=True,
)
"""One row a link."""

FLOW = np.dtype(
    [
        ("next", _F),  # when the next packet sets out
        ("start", _F),
        ("stop", _F),
        ("rate", _F),
        ("cap", _F),
        ("on", _F),
        ("off", _F),
        ("period_end", _F),
        ("left", _F),  # of a gap, steady on-off: on time until the next packet
        ("anchor", _F),  # constant rate: the instant from which packets are counted
        ("anchored", _I),  # and the number of the packet that sets out then
        ("number", _I),  # packets set out
        ("gaps", _I),  # draws taken
        ("periods", _I),
        ("times_first", _I),
        ("times_stop", _I),
        ("size", _F),
        ("sizes_first", _I),
        ("sizes_count", _I),
        ("arrivals", _S),
        ("steady", _S),
        ("sizes", _S),
        ("route", _S),
        ("klass", _S),
        ("key", _I),
        ("gap_stream", _S),
        ("size_stream", _S),
        ("on_stream", _S),
        ("off_stream", _S),
        # Measured.
        ("sent", _I),
        ("delivered", _I),
        ("dropped", _I),
        ("lost", _I),
        ("duplicated", _I),
        ("sent_bytes", _F),
        ("delivered_bytes", _F),
        ("delay_first", _F),  # sums are of what delays exceed the first: exact where all are equal
        ("delay_sum", _F),
        ("delay_squares", _F),
        ("delay_min", _F),
        ("delay_max", _F),
        ("delay_last", _F),
        ("jitter", _F),
    ],
    align=True,
)
"""One row a flow."""

LOG = np.dtype([("flow", _S), ("fate", "i1"), ("number", _I), ("sent", _F), ("left", _F)], align=True)
"""One row a packet that left, in order of leaving."""


HEAD, TAIL, WAIT, HELD, FOLLOWING, STATUS = range(6)
"""Rows of `Queues.counts`."""

WAIT_BYTES, HELD_BYTES, HEAD_BYTES, SHARE, CREDIT = range(5)
"""Rows of `Queues.amounts`."""

CONTROL, MARKS = 6, 4
"""Places per class queue of `Queues.control` and `Queues.marks`."""


class Queues(NamedTuple):
    """Class queues of all links (Q of them), and what the schedulers of `meshsim.links` remember of them.

    They are few arrays because each one costs every function that is handed a state: a third of a second to compile.

    Attributes:
        counts: (6, Q) int64: slots of the first and the last packet that waits, packets that wait, the same with those
            in service, and FQ-CoDel's lists.
        amounts: (5, Q) float64: bytes that wait, the same with those in service, bytes of the head; weights (WFQ,
            stride) or quanta (DRR, polling); finish tags (WFQ, stride) or deficits (DRR, polling, FQ-CoDel).
        control: (6 Q,) float64, a row a queue: CoDel's or RED's state; in a link's first, WFQ's clock.
        marks: (4 Q,) int64, a row a queue: in a link's first, FQ-CoDel's lists, or the turn of DRR and polling.
    """

    counts: NDArray[np.int64]
    amounts: NDArray[np.float64]
    control: NDArray[np.float64]
    marks: NDArray[np.int64]


class State(NamedTuple):
    """All that a run is; the arrays have spare rows at their ends.

    Attributes:
        run: (1,) `RUN`.
        ports: `PORT`, by link.
        links: `LINK`.
        flows: `FLOW`.
        packets: `PACKET`, by slot.
        agenda: Heap of arrivals and ends of service; a code is sequence number, slot, and 1 for an end of service.
        outs: Heap of the flows' next packets; a code is a flow's index. An entry that is not the flow's `next` is void.
        routes: int32, links in order, `NONE` after each route.
        pool: float64: instants, sizes, cumulative shares and traces, each a slice.
        streams: `draws.STREAM`.
        queues: Class queues.
        log: `LOG`.
    """

    run: Records
    ports: Records
    links: Records
    flows: Records
    packets: Records
    agenda: Records
    outs: Records
    routes: NDArray[np.int32]
    pool: NDArray[np.float64]
    streams: Records
    queues: Queues
    log: Records
