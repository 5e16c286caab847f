"""The transfers of `meshsim bench elastic` on SimGrid: run by an interpreter that has Debian's python3-simgrid.

    /usr/bin/python3 benchmarks/simgrid_flows.py WORKLOAD ENDS MODEL

WORKLOAD begins with two int64 (hosts N, transfers F) and a float64 (bytes per second of each host's link up and
down), followed by F float64 arrivals (seconds), F float64 sizes (bytes), F int64 senders and F int64 receivers. ENDS
gets F float64: when each transfer was done. Prints one JSON object.

MODEL `plain`: max-min fair shares alone (CM02, no protocol factors, no cross traffic), on links of a microsecond.
MODEL `default`: SimGrid as it comes (LV08), on links of ten milliseconds.
"""

from __future__ import annotations

import array
import json
import sys
import time
from typing import Any

from simgrid import Actor, Comm, Engine, Host, LinkInRoute, NetZone, this_actor

PLAIN = [
    "--cfg=network/model:CM02",
    "--cfg=network/latency-factor:1.0",
    "--cfg=network/bandwidth-factor:1.0",
    "--cfg=network/weight-S:0.0",
    "--cfg=network/TCP-gamma:0",
    "--cfg=network/crosstraffic:0",
]
MODELS = {"plain": (PLAIN, "1us"), "default": ([], "10ms")}
"""Configuration, and latency of links."""


def read(path: str) -> tuple[Any, ...]:
    """The workload: hosts, transfers, bandwidth, arrivals, sizes, senders, receivers."""
    with open(path, "rb") as file:  # noqa: PTH123 - the interpreter of the system
        counts, width = array.array("q"), array.array("d")
        counts.fromfile(file, 2)
        width.fromfile(file, 1)
        columns = [array.array(kind) for kind in "ddqq"]
        for column in columns:
            column.fromfile(file, counts[1])
    return (*counts, width[0], *columns)


def build(hosts: int, bandwidth: float, latency: str) -> list[Host]:
    """A star of hosts, each with a link up and a link down."""
    zone = NetZone.create_star_zone("star")
    made = []
    for number in range(hosts):
        host = zone.create_host(f"h{number}", "1Gf")
        link = zone.create_split_duplex_link(f"l{number}", f"{bandwidth!r}Bps").set_latency(latency)
        zone.add_route(host.netpoint, None, None, None, [LinkInRoute(link, LinkInRoute.UP)], True)
        made.append(host)
    zone.seal()
    return made


def main() -> None:
    """Runs the workload and writes when each transfer ended."""
    options, latency = MODELS[sys.argv[3]]
    engine = Engine([sys.argv[0], "--log=root.thres:error", *options])
    hosts, _, bandwidth, arrivals, sizes, senders, receivers = read(sys.argv[1])
    made, pending = build(hosts, bandwidth, latency), []

    def send() -> None:
        for at, size, sender, receiver in zip(arrivals, sizes, senders, receivers, strict=True):
            this_actor.sleep_until(at)
            pending.append(Comm.sendto_async(made[sender], made[receiver], int(size)))
        for transfer in pending:
            transfer.wait()

    Actor.create("sender", made[0], send)
    wall, cpu = time.perf_counter(), time.process_time()
    engine.run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with open(sys.argv[2], "wb") as file:  # noqa: PTH123 - as above
        array.array("d", [transfer.finish_time for transfer in pending]).tofile(file)
    print(json.dumps({"wall_seconds": wall, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main()
