"""From links and flows as said in `network` to rows of the kernel's state; also while it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.links.rate import carried_bits
from meshsim.links.schedulers import drr_quanta
from meshsim.mesh.seeds import SeedTree
from meshsim.sim.kernel.draws import streams
from meshsim.sim.kernel.heap import SPARE, heap
from meshsim.sim.kernel.state import (
    ARRIVALS,
    CONTROL,
    CREDIT,
    FLOW,
    JITTERS,
    LINK,
    LOG,
    LOSSES,
    MARKS,
    NONE,
    PACKET,
    PORT,
    QUEUES,
    RUN,
    SHARE,
    SIZES,
    STATUS,
    Queues,
    State,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import Stream
    from meshsim.sim.kernel.network import Jitter, Loss, PacketFlow, PacketLink, Queue, Sizes
    from meshsim.sim.kernel.state import Records

ENDLESS = 2**62
"""Room for a log that is not kept."""

_SLOTS = 256
_COUNTS, _AMOUNTS = STATUS + 1, CREDIT + 1


def empty(*, measure_from: float, log: bool) -> State:
    """A state without links, flows and packets."""
    run = np.zeros(1, dtype=RUN)
    run["measure_from"], run["free"] = measure_from, NONE
    run["room"] = _SLOTS if log else ENDLESS
    none = np.zeros(0)
    queues = Queues(np.zeros((_COUNTS, 0), dtype=np.int64), np.zeros((_AMOUNTS, 0)), none, none.astype(np.int64))
    state = State(
        run=run,
        ports=np.zeros(0, dtype=PORT),
        links=np.zeros(0, dtype=LINK),
        flows=np.zeros(0, dtype=FLOW),
        packets=np.zeros(0, dtype=PACKET),
        agenda=heap(0),
        outs=heap(0),
        routes=none.astype(np.int32),
        pool=none,
        streams=streams(()),
        queues=queues,
        log=np.zeros(_SLOTS if log else 0, dtype=LOG),
    )
    return with_slots(state, _SLOTS)


def with_slots(state: State, more: int) -> State:
    """The state with `more` packet slots, all free."""
    old, run = len(state.packets), state.run[0]
    packets = longer(state.packets, old, np.zeros(more, dtype=PACKET), spare=False)
    packets["next"][old:] = np.arange(old + 1, old + more + 1)
    packets["next"][-1] = run["free"]
    run["free"], run["slots"] = old, run["slots"] + more
    return state._replace(packets=packets, agenda=larger_heap(state.agenda, int(run["agenda"]), old + more))


def larger_heap(entries: Records, used: int, capacity: int) -> Records:
    """A heap with the same `used` entries and room for `capacity`."""
    larger = heap(capacity)
    larger[:used] = entries[:used]
    return larger


def longer(array: NDArray[Any], used: int, rows: NDArray[Any], *, spare: bool = True) -> NDArray[Any]:
    """`array` with `rows` behind its first `used` ones; doubled when it is full, so that one more row costs little."""
    needed = used + len(rows)
    if needed > len(array):
        # The first rows get no spare ones: most networks never change.
        capacity = max(needed, 2 * len(array)) if spare else needed
        grown = np.zeros((capacity, *array.shape[1:]), dtype=array.dtype)
        grown[:used] = array[:used]
        array = grown
    array[used:needed] = rows
    return array


class Additions:
    """What new links and flows add to a state's arrays, collected row by row.

    Args:
        state: The state that they will be added to.
        seed: Of all streams.
    """

    def __init__(self, state: State, seed: int) -> None:
        run = state.run[0]
        self._state, self._tree = state, SeedTree(seed)
        self._pool: list[NDArray[np.float64]] = []
        self._routes: list[int] = []
        self._streams: list[Stream] = []
        self._shares: list[float] = []
        self._links: list[dict[str, Any]] = []
        self._flows: list[dict[str, Any]] = []
        self._first = {name: int(run[name]) for name in ("pool", "routes", "streams", "queues", "links", "flows")}
        self._pooled = self._first["pool"]

    def _pool_slice(self, *arrays: Sequence[float] | NDArray[np.float64]) -> int:
        first = self._pooled
        for values in arrays:
            array = np.asarray(values, dtype=np.float64)
            self._pool.append(array)
            self._pooled += len(array)
        return first

    def _route_slice(self, values: Sequence[int]) -> int:
        first = self._first["routes"] + len(self._routes)
        self._routes.extend(values)
        return first

    def _stream(self, name: str, key: int, *, wanted: bool) -> int:
        if not wanted:
            return NONE
        self._streams.append(self._tree.stream(name, key))
        return self._first["streams"] + len(self._streams) - 1

    def link(self, link: PacketLink) -> int:
        """Add a link; its index."""
        index = self._first["links"] + len(self._links)
        key = index if link.key < 0 else link.key
        row = {"free_at": -math.inf, "last_arrival": -math.inf, "head": NONE, "tail": NONE}
        row |= {"propagation": link.propagation, "servers": link.servers, "redraw": link.redraw}
        row |= {"duplicate": link.duplicate, "changed": float(self._state.run["now"][0])}
        row["duplicate_stream"] = self._stream("link.duplicate", key, wanted=link.duplicate > 0.0)
        row["service_stream"] = self._stream("link.service", key, wanted=link.redraw > 0.0)
        row |= self._loss(link.loss, key) | self._jitter(link.jitter, key) | self._rates(link)
        row |= self._queue(link.queue, key) | _treatment(link)
        self._links.append(row)
        return index

    def _loss(self, loss: Loss, key: int) -> dict[str, Any]:
        drawn = loss.kind in ("bernoulli", "gilbert_elliott")
        return {
            "loss": LOSSES[loss.kind],
            "p": loss.probability if loss.kind == "bernoulli" else loss.p,
            "r": loss.r,
            "good_loss": loss.good_loss,
            "bad_loss": loss.bad_loss,
            "loss_first": self._pool_slice(loss.trace),
            "loss_count": len(loss.trace),
            "loss_stream": self._stream("link.loss", key, wanted=drawn),
        }

    def _jitter(self, jitter: Jitter, key: int) -> dict[str, Any]:
        return {
            "jitter": JITTERS[jitter.kind],
            "reorders": jitter.reorders,
            "scale": jitter.scale,
            "shape": jitter.shape,
            "jitter_first": self._pool_slice(jitter.trace),
            "jitter_count": len(jitter.trace),
            "jitter_stream": self._stream("link.jitter", key, wanted=jitter.kind not in ("none", "trace")),
        }

    def _rates(self, link: PacketLink) -> dict[str, Any]:
        if not link.rate_trace:
            return {"rate_first": 0, "rate_count": 0, "rate": link.rate_bps}
        carried = carried_bits(list(link.rate_trace), list(link.rate_values))
        first = self._pool_slice(link.rate_trace, link.rate_values, carried)
        # Where an estimate needs one rate (RED's idle time, a class queue's wait) it is the mean.
        return {"rate_first": first, "rate_count": len(carried), "rate": float(carried[-1] / link.rate_trace[-1])}

    def _queue(self, queue: Queue, key: int) -> dict[str, Any]:
        least, most, largest, weight = queue.red
        row: dict[str, Any] = {
            "kind": QUEUES[queue.kind],
            "queues": queue.queues,
            "queue_mapped": len(queue.queue_of_class),
        }
        row |= {"queue_first": self._first["queues"] + len(self._shares)}
        row |= {"queue_map": self._route_slice(queue.queue_of_class)}
        row |= {"limit_packets": queue.limit_packets, "limit_bytes": queue.limit_bytes}
        row |= {"limit_seconds": queue.limit_seconds, "target": queue.target, "interval": queue.interval}
        row |= {"red_least": least, "red_most": most, "red_largest": largest, "red_weight": weight}
        row |= {"quantum": queue.quantum, "red_stream": self._stream("link.red", key, wanted=queue.kind == "red")}
        self._shares.extend(_shares(queue))
        return row

    def flow(self, flow: PacketFlow, now: float) -> int:
        """Add a flow that starts at `now` at the earliest; its index."""
        index = self._first["flows"] + len(self._flows)
        key, arrivals = index if flow.key < 0 else flow.key, flow.arrivals
        times = np.asarray(arrivals.times if arrivals.kind == "times" else (), dtype=np.float64)
        start = max(flow.start, now)
        times = times[np.searchsorted(times, start) :]
        first = self._pool_slice(times)
        row = {
            "start": start,
            "stop": flow.stop,
            "rate": arrivals.rate,
            "cap": arrivals.cap,
            "on": arrivals.on,
            "off": arrivals.off,
        }
        row |= {
            "arrivals": ARRIVALS[arrivals.kind],
            "steady": arrivals.steady,
            "times_first": first,
            "times_stop": first + len(times),
        }
        row |= {"route": self._route_slice((*flow.route, NONE)), "klass": flow.klass, "key": key, "next": start}
        row["gap_stream"] = self._stream("flow.gap", key, wanted=arrivals.kind != "times")
        row["on_stream"] = self._stream("flow.on", key, wanted=arrivals.kind == "on_off")
        row["off_stream"] = self._stream("flow.off", key, wanted=arrivals.kind == "on_off")
        row |= self._sizes(flow.sizes, key)
        self._flows.append(row)
        return index

    def _sizes(self, sizes: Sizes, key: int) -> dict[str, Any]:
        shares = np.cumsum(sizes.shares) if sizes.kind == "listed" else ()
        return {
            "sizes": SIZES[sizes.kind],
            "size": sizes.mean,
            "sizes_first": self._pool_slice(sizes.values, shares),
            "sizes_count": len(sizes.values),
            "size_stream": self._stream("flow.size", key, wanted=sizes.kind in ("exponential", "listed")),
        }

    def state(self) -> State:
        """The state with all that was added; the heap of set-outs has room for the new flows."""
        old, run, first = self._state, self._state.run[0], self._first
        pool = np.concatenate([np.zeros(0), *self._pool])
        run["pool"], run["routes"] = self._pooled, first["routes"] + len(self._routes)
        run["streams"], run["queues"] = first["streams"] + len(self._streams), first["queues"] + len(self._shares)
        run["links"], run["flows"] = first["links"] + len(self._links), first["flows"] + len(self._flows)
        return old._replace(
            ports=longer(old.ports, first["links"], _rows(PORT, self._links)),
            links=longer(old.links, first["links"], _rows(LINK, self._links)),
            flows=longer(old.flows, first["flows"], _rows(FLOW, self._flows)),
            routes=longer(old.routes, first["routes"], np.array(self._routes, dtype=np.int32)),
            pool=longer(old.pool, first["pool"], pool),
            streams=longer(old.streams, first["streams"], streams(self._streams)),
            queues=_more_queues(old.queues, first["queues"], self._shares),
            outs=_roomy(old.outs, int(run["outs"]), len(self._flows)),
        )


def _roomy(outs: Records, used: int, more: int) -> Records:
    return outs if used + more <= len(outs) - SPARE else larger_heap(outs, used, max(used + more, 2 * used))


def without_void(state: State) -> Records:
    """The heap of set-outs without the entries that no flow stands by any more, and with room for more."""
    run = state.run[0]
    entries = state.outs[: run["outs"]]
    valid = np.sort(entries[entries["time"] == state.flows["next"][entries["code"]]], order=("time", "code"))
    run["outs"] = len(valid)
    return larger_heap(valid, len(valid), 2 * len(valid) + SPARE)


def _treatment(link: PacketLink) -> dict[str, Any]:
    """Which of the kernel's ways a link takes."""
    queue = link.queue
    queued = link.servers > 1 or queue.kind not in ("fifo", "red")
    limited = queue.limit_packets > 0 or queue.limit_bytes < math.inf
    counted = not queued and (limited or queue.kind == "red")
    drawn = link.loss.kind != "none" or link.jitter.kind != "none" or link.duplicate > 0.0 or link.redraw > 0.0
    special = drawn or bool(link.rate_trace) or queue.limit_seconds < math.inf
    return {"queued": queued, "counted": counted, "plain": not (queued or counted or special)}


def _shares(queue: Queue) -> list[float]:
    """Weight or quantum of each class queue, 0 where the discipline asks for neither."""
    if queue.kind in ("drr", "polling"):
        return list(drr_quanta(queue.weights or (1.0,), queue.quantum))
    if queue.kind in ("wfq", "stride"):
        return list(queue.weights or (1.0,))
    return [0.0] * queue.queues


def _rows(dtype: np.dtype[Any], rows: list[dict[str, Any]]) -> Records:
    """Records of rows that name the fields which are not 0."""
    records = np.zeros(len(rows), dtype=dtype)
    for name in dtype.names or ():
        if rows and name in rows[0]:
            records[name] = [row[name] for row in rows]
    return records


def _more_queues(old: Queues, used: int, shares: list[float]) -> Queues:
    more = len(shares)
    amounts = np.zeros((_AMOUNTS, more))
    amounts[SHARE] = shares
    return Queues(
        _wider(old.counts, used, np.zeros((_COUNTS, more), dtype=np.int64)),
        _wider(old.amounts, used, amounts),
        longer(old.control, CONTROL * used, np.zeros(CONTROL * more)),
        longer(old.marks, MARKS * used, np.zeros(MARKS * more, dtype=np.int64)),
    )


def _wider(array: NDArray[Any], used: int, columns: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(longer(array.T, used, columns.T).T)
