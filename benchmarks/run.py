"""Times one engine on workload W1 and prints what it did as one JSON object."""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import time

import workload

ENGINES = {
    "process": "process:prepare",
    "callbacks": "callbacks:prepare",
    "heap": "heap:prepare",
    "core": "ours:prepare_core",
    "kernel": "ours:prepare_kernel",
}


def measure(engine: str, made: workload.Workload) -> dict[str, object]:
    """CPU and wall seconds of one run, the packets delivered, their mean delay, and the largest memory."""
    module, function = ENGINES[engine].split(":")
    run, answer = getattr(importlib.import_module(module), function)(made)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    delivered, delays = answer()
    return {
        "engine": engine,
        "packets": made.packets,
        "hops": made.hops,
        "delivered": delivered,
        "delay_mean_ms": delays / delivered * 1e3,
        "cpu_seconds": cpu,
        "wall_seconds": wall,
        "hops_per_cpu_second": made.hops / cpu,
        "rss_before_mb": before / 1024,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Reads the engine and the workload's size from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=sorted(ENGINES))
    parser.add_argument("--side", type=int, default=20, help="nodes along each side of the grid")
    parser.add_argument("--rate", type=float, default=50.0, help="packets per second of each flow")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long flows send")
    asked = parser.parse_args()
    print(json.dumps(measure(asked.engine, workload.make(asked.side, asked.rate, asked.seconds))))


if __name__ == "__main__":
    main()
