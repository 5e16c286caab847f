"""Any generator of networkx by name, laid out on a plane.

What networkx draws is a graph without lengths. Places lie where the generator itself put them (attribute `pos`), or
else by one of three rules; the length of a link is the distance between its ends.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.errors import ConfigError, MissingExtra, nearest
from meshsim.mesh.seeds import SeedTree
from meshsim.scenario.topologies.generators import GENERATORS, Parameter, lay_out

if TYPE_CHECKING:
    import networkx as nx
    from numpy.typing import NDArray

    from meshsim.mesh.topology import Topology

__all__ = ["FEWEST_DRAWN", "GENERATORS", "LAYOUTS", "MOST_DRAWN", "draw_graph", "networkx", "offered", "takes"]

LAYOUTS = ("spring", "spectral", "random")
"""How places are laid out that have no position: joined ones near each other (Fruchterman and Reingold 1991), by
eigenvectors of the Laplacian, or anywhere in the square."""

FEWEST_DRAWN, MOST_DRAWN = 2, 1500
"""Places of a drawn graph; no generator is given a larger number than the most."""

_MOST_EDGES = 200_000

_NO_NUMBERS = frozenset(
    """G N_ constructor deg_sequence degree_sequence in_deg_sequence out_deg_sequence in_degree_sequence
    out_degree_sequence in_degrees out_degrees nkk intervals joint_degree_sequence joint_degrees kernel_integral
    offsets order paths sequence series shift_list sizes w""".split()  # noqa: SIM905 - as many words as names
)
"""Parameters that take lists, functions and graphs; what needs one has no place in a scenario."""

_NOT_OFFERED = frozenset({"seed", "backend", "create_using", "default", "initial_graph", "kappas", "kernel", "domain"})
_NOT_OFFERED |= {
    "kernel_root",
    "metric",
    "nodelist",
    "number_of_forests",
    "number_of_trees",
    "p_dist",
    "pos",
    "pos_name",
}
_NOT_OFFERED |= {"weight", "weight_name", "with_positions"}

_NO_GRAPH = frozenset(
    {"graph_atlas_g", "general_random_intersection_graph", "grid_graph", "random_powerlaw_tree_sequence"}
)

_EDGES = frozenset({"gnm_random_graph", "dense_gnm_random_graph", "hnm_harary_graph"})
"""Their `m` is a number of edges."""


def _power(base: float, exponent: float) -> float:
    return float(base ** min(exponent, 64))  # larger ones are past all bounds, and past floats


_PRODUCT = ("caveman_graph", "connected_caveman_graph", "relaxed_caveman_graph", "planted_partition_graph")

_PLACES: dict[str, Callable[..., float]] = {
    "balanced_tree": lambda r, h: _power(max(r, 1), h + 1),
    "binomial_tree": lambda n: _power(2, n),
    "dorogovtsev_goltsev_mendes_graph": lambda n: _power(3, n),
    "grid_2d_graph": lambda m, n, **_: m * n,
    "hexagonal_lattice_graph": lambda m, n, **_: m * n,
    "hypercube_graph": lambda n: _power(2, n),
    "kneser_graph": lambda n, k: comb(max(int(n), 0), max(int(k), 0)),
    "margulis_gabber_galil_graph": lambda n: n * n,
    "mycielski_graph": lambda n: _power(2, n),
    "navigable_small_world_graph": lambda n, dim=2, **_: _power(n, dim),
    "random_cograph": lambda n: _power(2, n),
    "ring_of_cliques": lambda num_cliques, clique_size: num_cliques * clique_size,
    "sudoku_graph": lambda n=3: n**4,
    "triangular_lattice_graph": lambda m, n, **_: m * n / 2,
    "windmill_graph": lambda n, k: n * k,
    **dict.fromkeys(_PRODUCT, lambda l, k, **_: l * k),  # noqa: E741 - networkx's name
}
"""Places that a generator makes of small numbers, where they are more than the numbers themselves."""

_BOUNDS = {
    ("duplication_divergence_graph", "p"): (0.01, 1.0),
    ("random_lobster_graph", "p1"): (0.0, 0.99),
    ("random_lobster_graph", "p2"): (0.0, 0.99),
}
"""Probabilities outside of which a generator may never end."""


@cache
def offered() -> dict[str, Callable[..., Any]]:
    """The generators of networkx that numbers and words suffice for, by name, sorted."""
    try:
        from networkx import generators  # noqa: PLC0415 - an extra; only needed where one is asked for
    except ImportError as error:
        raise MissingExtra("networkx", "sim") from error
    modules = [name for _, name, is_folder in pkgutil.iter_modules(generators.__path__) if not is_folder]
    found: dict[str, Callable[..., Any]] = {}
    for name in modules:
        module = importlib.import_module(f"networkx.generators.{name}")
        found.update({public: getattr(module, public) for public in getattr(module, "__all__", ())})
    return {name: found[name] for name in sorted(found) if name not in _NO_GRAPH and _numbers_suffice(found[name])}


def _numbers_suffice(draw: Callable[..., Any]) -> bool:
    own = [p for p in inspect.signature(draw).parameters.values() if p.kind is not p.VAR_KEYWORD]
    needed = {p.name for p in own if p.default is p.empty}
    outdated = ".. deprecated::" in (draw.__doc__ or "")
    return not outdated and not needed & _NO_NUMBERS and all(p.kind is not p.VAR_POSITIONAL for p in own)


def takes(name: str) -> dict[str, bool]:
    """The parameters of the generator `name`, and whether each must be given."""
    own = inspect.signature(offered()[name]).parameters.values()
    known = [p for p in own if p.kind is not p.VAR_KEYWORD and p.name not in _NOT_OFFERED | _NO_NUMBERS]
    return {p.name: p.default is p.empty for p in known}


def check(name: str, parameters: Mapping[str, object]) -> None:
    """Refuses what no generator of networkx takes.

    Raises:
        ConfigError: With the parameter as its key, if there is one to blame.
    """
    if name not in offered():
        names = [*offered()]
        problem = f"networkx has no generator {name!r} that numbers suffice for"
        raise ConfigError(problem, key="name", allowed=[f"<one of {len(names)}>"], nearest=nearest(name, names))
    known = takes(name)
    for key, value in parameters.items():
        if key not in known:
            raise ConfigError(
                f"{name} has no parameter {key!r}", key=key, allowed=[*known], nearest=nearest(key, known)
            )
        _check_value(name, key, value)
    missing = [key for key, needed in known.items() if needed and key not in parameters]
    if missing:
        raise ConfigError(f"{name} needs {', '.join(missing)}", allowed=[*known])
    _check_size(name, parameters)


def _check_value(name: str, key: str, value: object) -> None:
    if not isinstance(value, int | float | str) or not _finite(value):
        raise ConfigError(f"{key} is {value!r}", key=key, allowed=["a number", "a word", "true or false"])
    if isinstance(value, str):
        return
    most = _MOST_EDGES if name in _EDGES and key == "m" else MOST_DRAWN
    low, high = _BOUNDS.get((name, key), (-most, most))
    if not low <= value <= high:
        raise ConfigError(f"{key} is {value!r}", key=key, allowed=[f"{low:g} to {high:g}"])


def _finite(value: float | str) -> bool:
    return isinstance(value, str) or bool(np.isfinite(value))


def _check_size(name: str, parameters: Mapping[str, object]) -> None:
    numbers = {key: value for key, value in parameters.items() if isinstance(value, int | float)}
    if name not in _PLACES or len(numbers) < len(parameters):  # a word for a number is refused by the generator itself
        return
    places = _PLACES[name](**numbers)
    if places > MOST_DRAWN:
        raise ConfigError(f"{name} would make {places:.3g} places", allowed=[f"<= {MOST_DRAWN} places"])


def draw_graph(name: str, parameters: Mapping[str, Parameter], seed: int) -> nx.Graph[Any]:
    """What networkx draws, as an undirected graph without parallel links.

    Args:
        name: Of a generator that is `offered`.
        parameters: What it takes, by its own names.
        seed: Any integer; generators without draws take none.

    Raises:
        ConfigError: If the generator or a parameter is unknown, the generator refuses, or makes too few or many places.
    """
    check(name, parameters)
    import networkx as nx  # noqa: PLC0415 - an extra; `check` has told if it is missing

    draw = offered()[name]
    drawn = {"seed": _whole(seed)} if "seed" in inspect.signature(draw).parameters else {}
    try:
        graph = draw(**parameters, **drawn)
    except (nx.NetworkXException, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"networkx refuses {name}: {error}", allowed=[*takes(name)]) from error
    if not isinstance(graph, nx.Graph):
        raise ConfigError(f"{name} makes no graph but {type(graph).__name__}", key="name")
    if not FEWEST_DRAWN <= len(graph) <= MOST_DRAWN:
        raise ConfigError(f"{name} makes {len(graph)} places", allowed=[f"{FEWEST_DRAWN} to {MOST_DRAWN}"])
    return nx.Graph(graph)


def _whole(seed: int) -> int:
    return int(SeedTree(seed).stream("topology/networkx").at(0) * 2**32)


@GENERATORS.register("networkx")
def networkx(
    seed: int,
    *,
    name: str = "petersen_graph",
    layout: str = LAYOUTS[0],
    extent: float = 4e6,
    **own: Parameter,
) -> Topology:
    """The generator `name` of networkx with its own parameters, in a square of side `extent` metres.

    Args:
        seed: Of all draws.
        name: As in `networkx.generators`.
        layout: One of `LAYOUTS`.
        extent: Metres.
        own: The generator's own parameters.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"no layout {layout!r}", key="layout", allowed=LAYOUTS, nearest=nearest(layout, LAYOUTS))
    graph = draw_graph(name, own, seed)
    place = {label: i for i, label in enumerate(graph.nodes)}
    pairs = [(place[a], place[b]) for a, b in graph.edges if a != b]
    return lay_out(f"networkx/{name}", _positions(graph, layout, seed) * float(extent), pairs)


def _positions(graph: nx.Graph[Any], layout: str, seed: int) -> NDArray[np.float64]:
    """(2, N) in a square of side 1, the longer side filled."""
    given = [data.get("pos") for _, data in graph.nodes(data=True)]
    has_all = all(at is not None and np.shape(at) == (2,) for at in given)
    at = np.array(given, dtype=np.float64) if has_all else _lay(graph, layout, seed)
    at = at - at.min(axis=0)
    return np.asarray(at.T / (at.max() or 1.0))


def _lay(graph: nx.Graph[Any], layout: str, seed: int) -> NDArray[np.float64]:
    import networkx as nx  # noqa: PLC0415 - as above

    anywhere = SeedTree(seed).generator("topology/networkx/places").random((len(graph), 2))
    if layout == "random" or len(graph) == FEWEST_DRAWN:  # two places span no plane
        return anywhere
    start = dict(zip(graph.nodes, anywhere, strict=True))
    laid = nx.spectral_layout(graph) if layout == "spectral" else nx.spring_layout(graph, pos=start, seed=_whole(seed))
    return np.array([laid[label] for label in graph.nodes], dtype=np.float64)
