"""Which extra brings which package: for `meshsim doctor` and for the error on a missing one.

The table repeats pyproject's optional dependencies by import name, because an installed package does not know them;
a test holds the two equal.
"""

from __future__ import annotations

from importlib.util import find_spec

from meshsim.mesh.errors import MissingExtra

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
    "learn": {"onnx": "onnx", "torch": "torch"},
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
    "tune": {"optuna": "optuna"},
}


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
