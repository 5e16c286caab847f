"""What the packet engine runs: links, flows and routes, said once for both engines. No state, no events.

The compiled kernel (`kernel.kernel`) and the readable Python core (`packets`) take the same `Network` and return the
same `Results`. How a link treats a packet stands in `meshsim.links`; here stands only which treatment it gets.

Rules of both engines, so that they agree packet by packet:

- A run to `until` takes the events before `until`; what happens at `until` belongs to the next run.
- Events at one instant: packets that arrive and links that end a service come first, in the order in which they were
  scheduled; then packets set out, in order of their flows' indices. At the end of a service the packet's own arrival is
  scheduled first, its duplicate's second, the end of the next packet's service third.
- A FIFO link with one server (kinds `fifo` and `red`) decides all at the offer: departure is the later of now and
  the last departure, plus the service time; a packet has left when its departure is no later than now. Limits count
  whole packets: those that have not left, the one being sent included, and the new one. All other links keep class
  queues and choose at each end of a service. There a packet's wait, for `limit_seconds`, is taken as the bytes
  of its own class queue over the link's rate (the mean rate of a rate trace).
- RED hears of every packet, before the limits do; it takes an idle link as sending packets as large as the new one.
- Arrival is departure + propagation + jitter, in this order, and no earlier than the link's previous arrival unless it
  reorders.
- Draw n of a stream is `SeedTree(seed).stream(name, key).at(n)`. Per link, n counts the packets offered to it, lost and
  refused ones too: `link.loss` (Gilbert-Elliott: draw 2n moves the state, 2n + 1 decides), `link.service`,
  `link.jitter`, `link.duplicate`, `link.red`.
- Per flow, n counts the packets set out: `flow.size`, `flow.gap`. An exponential value is `-log1p(-u) * mean`, cut at
  `cap * mean` where cap > 0. Poisson: packet 0 sets out at start + gap 0, packet n one gap n after packet n - 1. CBR:
  packet n at (start + u(0) / rate) + n / rate. On-off: an on period starts at `start`; period n lasts `flow.on` n, then
  `flow.off` n seconds; its first packet sets out at its start, each next one a gap later, where the n-th gap asked for
  is draw n of `flow.gap`; the gap that would not end before the period does is thrown away.
- A duplicate arrives at the same instant as its original, travels on by itself, counts at links as any packet and in
  its flow only if it arrives (`duplicated`); only then it is logged, with its original's number.
- `LinkResults` count what happened at or after `measure_from`: a packet is sent when its last bit has left.
  `Results.in_flight` leaves duplicates out; `Results.hops` counts every end of a link reached.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from meshsim.mesh.errors import ConfigError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

QueueKind = Literal["fifo", "codel", "fq_codel", "red", "priority", "wfq", "drr", "stride", "polling"]
LossKind = Literal["none", "bernoulli", "gilbert_elliott", "trace"]
DelayKind = Literal["none", "exponential", "normal", "uniform", "pareto", "gamma", "trace"]
ArrivalKind = Literal["poisson", "cbr", "on_off", "times"]
SizeKind = Literal["fixed", "listed", "exponential", "each"]

_LARGEST_KEY = 2**63 - 1
_CLASSFUL = ("priority", "wfq", "drr", "stride", "polling")


def _known(key: str, value: str, kinds: tuple[str, ...]) -> None:
    if value not in kinds:
        raise ConfigError(f"no {key} {value!r}", key=key, allowed=list(kinds), nearest=nearest(value, kinds))


def _within(key: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{value!r} is out of range", key=key, allowed=[f"{low:g} to {high:g}"])


def check_measuring(measure_from: float) -> None:
    """Refuse an instant at which no run can begin to measure.

    Raises:
        ConfigError: If it is negative or not a number.
    """
    _within("measure_from", measure_from, 0.0)


def _check_instants(times: tuple[float, ...]) -> None:
    ascending = all(early <= late for early, late in itertools.pairwise(times))
    if not (ascending and times[0] == 0.0 < times[-1] < math.inf):
        raise ConfigError("a rate trace has at least two instants, ascending from 0", key="rate_trace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What waits before a link, and who is sent next. The packet in service counts against every limit.

    Attributes:
        kind: Discipline.
        limit_packets: Most packets per class queue; 0 sets no limit.
        limit_bytes: Most bytes per class queue.
        limit_seconds: Longest wait that a packet may join for (drop-tail by time).
        queue_of_class: Class queue of each flow class; classes beyond the end use the last. Empty: all use queue 0.
        weights: Share of each class queue (`wfq`, `drr`, `stride`, `polling`); `priority` serves queue 0 first and
            needs only their number.
        target: CoDel's acceptable standing wait, seconds (RFC 8289: 5 ms).
        interval: CoDel's interval, seconds (RFC 8289: 100 ms).
        buckets: Flow queues of FQ-CoDel (RFC 8290: 1,024); a flow's bucket is its key modulo this.
        quantum: Bytes that a round of DRR or FQ-CoDel serves (times weight over smallest weight, for DRR and
            polling).
        red: Least and largest average queue (packets), largest probability, and weight of the newest sample (RED,
            S. Floyd and V. Jacobson, 1993); links with one server only.
    """

    kind: QueueKind = "fifo"
    limit_packets: int = 0
    limit_bytes: float = math.inf
    limit_seconds: float = math.inf
    queue_of_class: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    target: float = 0.005
    interval: float = 0.100
    buckets: int = 64
    quantum: float = 1514.0
    red: tuple[float, float, float, float] = (5.0, 15.0, 0.1, 0.002)

    def __post_init__(self) -> None:
        _known("queue.kind", self.kind, get_args(QueueKind))
        for name in ("limit_packets", "limit_bytes", "limit_seconds", "target"):
            _within(f"queue.{name}", getattr(self, name), 0.0)
        for name, least in (("interval", 1e-9), ("buckets", 1), ("quantum", 1.0)):
            _within(f"queue.{name}", getattr(self, name), least)
        least, most, probability, newest = self.red
        _within("queue.red", least, 0.0, most)
        _within("queue.red", probability, 0.0, 1.0)
        _within("queue.red", newest, 0.0, 1.0)
        for weight in self.weights:
            _within("queue.weights", weight, 1e-9)
        for queue in self.queue_of_class:
            _within("queue.queue_of_class", queue, 0, max(self.queues - 1, 0))

    @property
    def queues(self) -> int:
        """How many class queues (or flow buckets) there are."""
        if self.kind == "fq_codel":
            return self.buckets
        if self.kind in _CLASSFUL:
            return max(len(self.weights), 1)
        return 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Which packets the channel loses, before they queue.

    Attributes:
        kind: Model.
        probability: Of `bernoulli`.
        p, r: Good to bad and back, per packet (`gilbert_elliott`).
        good_loss, bad_loss: Loss in either state.
        trace: Of `trace`: for packet n whether it is lost, repeated from the start when used up; values 0 or 1.
    """

    kind: LossKind = "none"
    probability: float = 0.0
    p: float = 0.0
    r: float = 1.0
    good_loss: float = 0.0
    bad_loss: float = 1.0
    trace: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _known("loss.kind", self.kind, get_args(LossKind))
        for name in ("probability", "p", "r", "good_loss", "bad_loss"):
            _within(f"loss.{name}", getattr(self, name), 0.0, 1.0)
        if self.kind == "trace" and not self.trace:
            raise ConfigError("a loss trace needs values", key="loss.trace")
        for value in self.trace:
            _within("loss.trace", value, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """Delay on top of propagation, drawn for every packet; never negative.

    Attributes:
        kind: Distribution.
        scale: Mean of `exponential`, standard deviation of `normal` (cut at 0), width of `uniform`, scale of `pareto`
            (Lomax) and `gamma`; seconds.
        shape: Of `pareto` and `gamma`.
        trace: Of `trace`: delay of packet n, seconds, repeated from the start when used up.
        reorders: Whether packets may overtake each other.
    """

    kind: DelayKind = "none"
    scale: float = 0.0
    shape: float = 2.0
    trace: tuple[float, ...] = ()
    reorders: bool = False

    def __post_init__(self) -> None:
        _known("jitter.kind", self.kind, get_args(DelayKind))
        _within("jitter.scale", self.scale, 0.0, 1e9)
        _within("jitter.shape", self.shape, 1e-3, 1e4)
        if self.kind == "trace" and not self.trace:
            raise ConfigError("a delay trace needs values", key="jitter.trace")
        for value in self.trace:
            _within("jitter.trace", value, 0.0, 1e9)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketLink:
    """A directed link: loss, queue, server, propagation, jitter, in this order.

    Attributes:
        rate_bps: Bits per second of one server, above 0; ignored where `rate_trace` is given.
        propagation: Seconds.
        queue: What waits.
        servers: How many packets are sent at once (M/M/c); 1 for a real link, and for RED.
        redraw: Service times are exponential with mean `redraw` seconds, drawn anew at this link whatever the size
            (Kleinrock's independence assumption); 0 takes size over rate.
        loss: Of the channel.
        jitter: Beyond propagation.
        duplicate: Probability that a delivered packet arrives twice.
        rate_trace: Instants (seconds, ascending, from 0) from which each of `rate_values` (bits per second) holds;
            repeated after the last instant, whose value is not looked at (it only marks the period). Empty: constant.
        rate_values: See `rate_trace`.
        key: Names the link's streams of draws; -1 takes its index.
    """

    rate_bps: float
    propagation: float = 0.0
    queue: Queue = field(default_factory=Queue)
    servers: int = 1
    redraw: float = 0.0
    loss: Loss = field(default_factory=Loss)
    jitter: Jitter = field(default_factory=Jitter)
    duplicate: float = 0.0
    rate_trace: tuple[float, ...] = ()
    rate_values: tuple[float, ...] = ()
    key: int = -1

    def __post_init__(self) -> None:
        _within("rate_bps", self.rate_bps, 1e-3, 1e15)
        _within("propagation", self.propagation, 0.0, 1e9)
        _within("servers", self.servers, 1, 1 if self.queue.kind == "red" else 4096)
        _within("key", self.key, -1, _LARGEST_KEY)
        _within("redraw", self.redraw, 0.0, 1e9)
        _within("duplicate", self.duplicate, 0.0, 1.0)
        if len(self.rate_trace) != len(self.rate_values):
            raise ConfigError("rate_trace and rate_values differ in length", key="rate_trace")
        if self.rate_trace:
            _check_instants(self.rate_trace)
        for value in self.rate_values:
            _within("rate_values", value, 0.0, 1e15)
        if self.rate_trace and not np.diff(self.rate_trace) @ np.asarray(self.rate_values[:-1]) > 0.0:
            raise ConfigError("a rate trace that is always 0 carries nothing", key="rate_values")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """When a flow's packets set out.

    Attributes:
        kind: `poisson` (rate, gaps cut at `cap` times the mean where cap > 0), `cbr` (first packet at a drawn phase),
            `on_off` (at `rate` while on; exponential on and off times; an on time begins with a packet) or `times`.
        rate: Packets per second (while on).
        on, off: Mean seconds on and off.
        cap: Longest exponential gap, in means; 0 sets none.
        steady: Of `on_off`: gaps are constant, 1 / rate, and go on where the last on time left them (the first at a
            drawn phase); otherwise exponential, cut as above, and begun anew.
        times: Of `times`: instants, seconds, ascending.
    """

    kind: ArrivalKind = "poisson"
    rate: float = 0.0
    on: float = 0.0
    off: float = 0.0
    cap: float = 0.0
    steady: bool = False
    times: tuple[float, ...] | NDArray[np.float64] = ()

    def __post_init__(self) -> None:
        _known("arrivals.kind", self.kind, get_args(ArrivalKind))
        for name in ("rate", "on", "off", "cap"):
            _within(f"arrivals.{name}", getattr(self, name), 0.0, 1e12)
        if self.kind == "on_off" and self.on + self.off <= 0.0:
            raise ConfigError("periods must take time", key="arrivals.on")
        times = np.asarray(self.times, dtype=np.float64)
        if times.ndim != 1:
            raise ConfigError(f"instants are a list, not an array of shape {times.shape}", key="arrivals.times")
        if len(times) and not (times[0] >= 0.0 and (np.diff(times) >= 0.0).all() and times[-1] < math.inf):
            raise ConfigError("instants must ascend, none negative or infinite", key="arrivals.times")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How big a flow's packets are, bytes on the wire.

    Attributes:
        kind: `fixed` and `exponential` (`mean`), `listed` (`values` with `shares`), or `each` (`values`, packet by
            packet, repeated from the start when used up).
        mean: Bytes.
        values: Bytes.
        shares: Probability of each value; they sum to 1.
    """

    kind: SizeKind = "fixed"
    mean: float = 1250.0
    values: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _known("sizes.kind", self.kind, get_args(SizeKind))
        _within("sizes.mean", self.mean, 1e-9, 1e12)
        if self.kind in ("listed", "each") and not self.values:
            raise ConfigError("sizes need values", key="sizes.values")
        for value in self.values:
            _within("sizes.values", value, 1e-9, 1e12)
        if self.kind == "listed" and len(self.shares) != len(self.values):
            raise ConfigError("sizes.values and sizes.shares differ in length", key="sizes.shares")
        if self.kind == "listed" and not (
            min(self.shares) >= 0.0 and math.isclose(sum(self.shares), 1.0, abs_tol=1e-6)
        ):
            raise ConfigError(f"shares sum to {sum(self.shares):g}, not 1", key="sizes.shares")


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketFlow:
    """A one-way flow of packets.

    Attributes:
        route: Indices of links, in order; at least one.
        arrivals: When packets set out.
        sizes: How big they are.
        klass: Class (ToS), for the queues that tell classes apart.
        start, stop: Packets set out in [start, stop), seconds.
        key: Names the flow's streams of draws; -1 takes its index.
    """

    route: tuple[int, ...]
    arrivals: Arrivals
    sizes: Sizes = field(default_factory=Sizes)
    klass: int = 0
    start: float = 0.0
    stop: float = math.inf
    key: int = -1

    def __post_init__(self) -> None:
        if not self.route:
            raise ConfigError("a flow needs a route of at least one link", key="route")
        _within("klass", self.klass, 0, 255)
        _within("start", self.start, 0.0)
        _within("stop", self.stop, 0.0)
        _within("key", self.key, -1, _LARGEST_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Links and the flows over them.

    Attributes:
        links: E links.
        flows: Flows; their routes name links by index.

    Raises:
        ConfigError: If a route names a link that is not there.
    """

    links: tuple[PacketLink, ...]
    flows: tuple[PacketFlow, ...]

    def __post_init__(self) -> None:
        for number, flow in enumerate(self.flows):
            if not 0 <= min(flow.route) <= max(flow.route) < len(self.links):
                raise ConfigError(f"flow {number} crosses a link that is not there: {flow.route}", key="flows.route")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowResults:
    """What became of the packets of F flows; arrays have shape (F,), delays in seconds.

    Only packets that set out at or after the run's `measure_from` count. Duplicates count as delivered once.

    Attributes:
        sent, delivered, dropped, lost, duplicated: Packets; dropped by queues, lost by channels.
        sent_bytes, delivered_bytes: Bytes.
        delay_mean: Of delivered packets; NaN without any.
        delay_variance: Of delivered packets (divided by their number); NaN without any.
        delay_min, delay_max: NaN without any.
        jitter: Interarrival jitter (RFC 3550, A.8) at the end of the run, seconds.
    """

    sent: NDArray[np.int64]
    delivered: NDArray[np.int64]
    dropped: NDArray[np.int64]
    lost: NDArray[np.int64]
    duplicated: NDArray[np.int64]
    sent_bytes: NDArray[np.float64]
    delivered_bytes: NDArray[np.float64]
    delay_mean: NDArray[np.float64]
    delay_variance: NDArray[np.float64]
    delay_min: NDArray[np.float64]
    delay_max: NDArray[np.float64]
    jitter: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkResults:
    """What E links did from `measure_from` on; arrays have shape (E,).

    Attributes:
        offered, sent, dropped, lost: Packets that came, left, were refused by the queue, were lost by the channel.
        sent_bytes: Bytes.
        busy: Share of time in service (of all servers).
        waiting_mean: Mean wait before service of the packets sent, seconds.
        sojourn_mean: Mean wait and service, seconds.
        number_mean: Time average of the packets waiting or in service (for Little's law).
    """

    offered: NDArray[np.int64]
    sent: NDArray[np.int64]
    dropped: NDArray[np.int64]
    lost: NDArray[np.int64]
    sent_bytes: NDArray[np.float64]
    busy: NDArray[np.float64]
    waiting_mean: NDArray[np.float64]
    sojourn_mean: NDArray[np.float64]
    number_mean: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketLog:
    """Every packet that left the network, in order of leaving (ties: of setting out); arrays of one length.

    Attributes:
        flow: int32.
        number: int64, of the packet in its flow, from 0.
        sent: When it set out, seconds.
        left: When it arrived, was dropped or lost, seconds.
        fate: int8, 0 delivered, 1 dropped by a queue, 2 lost by a channel, 3 a duplicate that arrived.
    """

    flow: NDArray[np.int32]
    number: NDArray[np.int64]
    sent: NDArray[np.float64]
    left: NDArray[np.float64]
    fate: NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a run of the packet engine measured.

    Attributes:
        flows: By flow.
        links: By link.
        in_flight: Packets still in the network.
        hops: Packet-hops made in all.
        log: Every packet, where asked for.
    """

    flows: FlowResults
    links: LinkResults
    in_flight: int
    hops: int
    log: PacketLog | None = None
