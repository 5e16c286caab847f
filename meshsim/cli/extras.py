"""Which extra brings which package and what it adds: for `meshsim doctor` and for the error on a missing one.

The table repeats pyproject's optional dependencies by import name, because an installed package does not know them;
a test holds the two equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from meshsim.mesh.errors import MissingExtra

BASE = {
    "click": "click",
    "cryptography": "cryptography",
    "msgspec": "msgspec",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "rich": "rich",
}
"""What every installation has: {import name: distribution name}."""

# extra -> {import name: distribution name}; the extras that a test run needs, then those of special studies
EXTRAS: dict[str, dict[str, str]] = {
    "sim": {
        "networkx": "networkx",
        "numba": "numba",
        "pyarrow": "pyarrow",
        "pydantic": "pydantic",
        "ruamel.yaml": "ruamel.yaml",
        "scipy": "scipy",
        "simpy": "simpy",
        "topohub": "topohub",
    },
    "learn": {"lightgbm": "lightgbm", "onnx": "onnx", "torch": "torch"},
    "node": {
        "aiortc": "aiortc",
        "httpx": "httpx",
        "networkx": "networkx",
        "prometheus_client": "prometheus-client",
        "pyarrow": "pyarrow",
        "pydantic": "pydantic",
        "nacl": "pynacl",
        "ruamel.yaml": "ruamel.yaml",
        "websockets": "websockets",
    },
    "control": {
        "fastapi": "fastapi",
        "httpx": "httpx",
        "prometheus_client": "prometheus-client",
        "uvicorn": "uvicorn",
        "websockets": "websockets",
    },
    "lab": {
        "duckdb": "duckdb",
        "jinja2": "jinja2",
        "jupyterlab": "jupyterlab",
        "matplotlib": "matplotlib",
        "nbclient": "nbclient",
        "nbformat": "nbformat",
        "pandas": "pandas",
    },
    "gym": {"gymnasium": "gymnasium", "pettingzoo": "pettingzoo"},
    "ray": {"ray": "ray"},
    "matrix": {"nio": "matrix-nio"},
    "speech": {"pesq": "pesq", "pystoi": "pystoi", "soundfile": "soundfile"},
    "tracking": {"mlflow": "mlflow-skinny", "tensorboard": "tensorboard"},
    "tune": {"optuna": "optuna"},
}

ADDS = {
    "sim": "simulate scenarios, read traces, know topologies",
    "learn": "train route scorers and export them to ONNX",
    "node": "run real nodes over WebRTC, on emulated links",
    "control": "serve the registry and rendezvous",
    "lab": "runs as tables, experiments, figures, reports, notebooks",
    "gym": "routes chosen by agents of Gymnasium and PettingZoo",
    "ray": "experiments on a Ray cluster (--executor ray)",
    "matrix": "nothing so far, kept for calls between people of Matrix",
    "speech": "nothing so far, kept for speech quality by PESQ and STOI",
    "tracking": "copies of runs in MLflow and TensorBoard (meshsim results export)",
    "tune": "nothing so far, kept for searches of parameters by Optuna",
}
"""What can be done with each extra."""

_CLAUSE = re.compile(r"(>=|<)\s*(\d[\d.]*)")
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^\]]*\])?([^;]*)")


def missing(extra: str) -> list[str]:
    """Distributions of `extra` that cannot be imported here, sorted; nothing is imported to find out."""
    return sorted(distribution for name, distribution in EXTRAS[extra].items() if not _installed(name))


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """The error that names the extra for a failed import, or None when no extra brings that module.

    >>> str(missing_extra(ModuleNotFoundError("no", name="torch.nn")))
    "'torch' is not installed; it comes with: pip install 'meshsim[learn]'"
    """
    wanted = error.name or ""
    for extra, packages in EXTRAS.items():
        for name, distribution in packages.items():
            if wanted == name or wanted.startswith(f"{name}.") or name.startswith(f"{wanted}."):
                return MissingExtra(distribution, extra)
    return None


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the parent of a dotted name is missing
        return False


def installed(names: Iterable[str] | None = None) -> dict[str, str]:
    """Versions by distribution name, of those of `names` (all that the base and the extras need) that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _all() if names is None else names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def unfit(names: Iterable[str]) -> list[str]:
    """Those of `names` that are installed in a version that meshsim does not take, in words.

    >>> unfit(["click"])
    []
    """
    bounds = _bounds()
    versions = installed(names)
    return [
        f"{name} is {version}, needed is {bounds[_plain(name)]}"
        for name, version in versions.items()
        if not fits(version, bounds.get(_plain(name), ""))
    ]


def fits(version: str, bounds: str) -> bool:
    """Whether a version lies within bounds as pyproject has them.

    >>> fits("1.16.2", ">=1.16,<1.17"), fits("1.9", ">=1.16"), fits("2.0rc1", "<2.0")
    (True, False, False)
    """
    limits = [(sign, _numbers(limit)) for sign, limit in _CLAUSE.findall(bounds)]
    return all((_numbers(version) >= limit) == (sign == ">=") for sign, limit in limits)


def _bounds() -> dict[str, str]:
    """What meshsim says of each distribution that it needs; nothing where it is not installed itself."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        told = requires("meshsim") or []
    except PackageNotFoundError:
        return {}
    found = (match for line in told if (match := _REQUIREMENT.match(line)))
    return {_plain(match[1]): match[2].strip() for match in found}


def _all() -> Iterator[str]:
    yield from dict.fromkeys(name for packages in (BASE, *EXTRAS.values()) for name in packages.values())


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> tuple[int, ...]:
    """`2.0` and `2` are the same version."""
    digits = re.split(r"[^\d.]", version, maxsplit=1)[0].strip(".")
    return tuple(int(part) for part in re.sub(r"(\.0+)+$", "", digits).split("."))
