"""A sample from its archive: traffic, results and usage, on the graph and routing that it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from meshsim.measure.external.gnnet.graph import Graph, RouteOf, read_graph, read_routing
from meshsim.measure.external.gnnet.lines import Line, Place, cells_of, line_of, samples_in
from meshsim.measure.external.gnnet.values import Flow, Gaps, Measured, Sample, Usage
from meshsim.mesh.errors import ConfigError

_ARRIVALS: dict[str, tuple[Gaps, int]] = {"0": ("poisson", 4), "1": ("cbr", 3), "4": ("on_off", 6)}
"""Code of a time distribution: its name here, and how many fields it takes."""

_RESULTS = 11
_NO_FLOW = "-1"


def find_samples(folder: Path | str) -> list[Place]:
    """All samples below a folder, archive by archive in order of name.

    Args:
        folder: Such as the folder `gnnet` of the data, or any below it with `results_*.tar.gz`.

    Raises:
        ConfigError: If there is none.
    """
    archives = sorted(Path(folder).rglob("results_*.tar.gz"))
    if not archives:
        raise ConfigError("no archives results_*.tar.gz below this folder", file=str(folder))
    places = [Place(archive, number) for archive in archives for number in range(samples_in(archive))]
    if not places:
        raise ConfigError("the archives below this folder hold no sample", file=str(folder))
    return places


def read_sample(place: Place) -> Sample:
    """The sample that stands at `place`.

    Raises:
        ConfigError: If something is missing or cannot be understood, with file, line and field.
    """
    inputs = line_of(place, "input_files.txt")
    names = inputs.text.split(";")
    if len(names) != len(("id", "graph", "routing")):
        raise inputs.fail("not `id;graph;routing`", "input_files")
    graph = read_graph(place.archive.parent / "graphs" / names[1])
    routes = read_routing(place.archive.parent / "routings" / names[2], graph)
    traffic, results = line_of(place, "traffic.txt"), line_of(place, "simulationResults.txt")
    intensity, flows = _flows(traffic, routes, len(graph.routers))
    return Sample(
        name=place.name,
        intensity=intensity,
        duration=_duration(line_of(place, "stability.txt")),
        routers=graph.routers,
        links=graph.links,
        bandwidth=graph.bandwidth,
        flows=flows,
        measured=_measured(results, flows, len(graph.routers)),
        usage=_usage(line_of(place, "linkUsage.txt"), graph),
    )


def _duration(line: Line) -> float:
    fields = line.text.split(";")
    if fields[2:3] != ["OK"]:
        raise line.fail("the original run was not OK", "field 2")
    return line.number_of(fields[0], "field 0", 1e-9)


def _flows(line: Line, routes: RouteOf, nodes: int) -> tuple[float, tuple[Flow, ...]]:
    head, _, body = line.text.partition("|")
    cells = cells_of(line, body, nodes * nodes, "traffic")
    active = [(*divmod(cell, nodes), text) for cell, text in enumerate(cells) if not text.startswith(_NO_FLOW)]
    return line.number_of(head, "intensity"), tuple(_flow(line, s, t, text, routes(s, t)) for s, t, text in active)


def _flow(line: Line, source: int, target: int, text: str, route: tuple[int, ...]) -> Flow:
    key = f"cell {source}->{target}"
    fields = text.split(",")
    gaps, taken = _ARRIVALS.get(fields[0], (None, 0))
    if gaps is None or len(fields) < taken + 4 or ":" in text:
        raise line.fail(f"not one flow of time distribution 0, 1 or 4: {text!r}", key)
    if not route:
        raise line.fail("no route for this flow", key)
    values = [line.number_of(field, f"{key} field {place}") for place, field in enumerate(fields)]
    on_off = gaps == "on_off"
    sizes, shares = _sizes(line, values[taken:-1], key)
    return Flow(
        source=source,
        target=target,
        route=route,
        gaps=gaps,
        rate=values[2],
        on=values[4] if on_off else 0.0,
        off=values[3] if on_off else 0.0,
        cap=values[taken - 1] if gaps != "cbr" else 0.0,
        sizes=sizes,
        shares=shares,
        tos=int(values[-1]),
    )


def _sizes(line: Line, values: list[float], key: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Code 2: a mean and two sizes, half each; code 3: a mean, a count, and so many pairs of size and probability."""
    kind, sizes = values[0], values[2:]
    if kind == 2 and len(sizes) == 2:  # noqa: PLR2004 - the format's code, and its two sizes
        return tuple(sizes), (0.5, 0.5)
    if kind == 3 and len(sizes) == 1 + 2 * sizes[0]:  # noqa: PLR2004 - the format's code, and its pairs
        total = sum(sizes[2::2])
        return tuple(sizes[1::2]), tuple(share / total for share in sizes[2::2])
    raise line.fail(f"no size distribution 2 or 3: {values}", key)


def _measured(line: Line, flows: Sequence[Flow], nodes: int) -> Measured:
    cells = cells_of(line, line.text.partition("|")[2], nodes * nodes, "simulationResults")
    rows = [_row(line, cells[flow.source * nodes + flow.target], _RESULTS) for flow in flows]
    table = np.array(rows, dtype=np.float64).reshape(len(flows), _RESULTS)
    delay = np.where(table[:, 3] > 0.0, table[:, 3], np.nan)
    return Measured(table[:, 1], table[:, 2], delay, np.where(np.isnan(delay), np.nan, table[:, 10]))


def _row(line: Line, text: str, fields: int) -> list[float]:
    values = text.replace(":", ",").split(",")
    if len(values) != fields:
        raise line.fail(f"{len(values)} fields, not {fields}", f"cell {text[:40]!r}")
    return [line.number_of(value, f"field {place}", -1e9) for place, value in enumerate(values)]


def _usage(line: Line, graph: Graph) -> Usage:
    nodes, queues = len(graph.routers), max(router.queues for router in graph.routers)
    cells = cells_of(line, line.text, nodes * nodes, "linkUsage")
    whole, parts = np.zeros((len(graph.links), 3)), np.zeros((len(graph.links), queues, 5))
    for link, (source, target) in enumerate(graph.links):
        own = graph.routers[source].queues
        row = _row(line, cells[source * nodes + target], 3 + 5 * own)
        whole[link], parts[link, :own] = row[:3], np.reshape(row[3:], (own, 5))
    in_packets = np.array([graph.routers[source].buffer_packets > 0 for source, _ in graph.links])
    bits = parts[:, :, 2] * np.where(in_packets[:, np.newaxis], parts[:, :, 4], 1.0)
    sojourn = bits / graph.bandwidth[:, np.newaxis]
    return Usage(whole[:, 0], whole[:, 1], parts[:, :, 0], parts[:, :, 1], sojourn)
