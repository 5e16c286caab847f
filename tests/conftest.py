from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# The same examples on every machine and on every run; `HYPOTHESIS_PROFILE=search` looks for new ones.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", parent=settings.get_profile("ci"), derandomize=False, max_examples=1000)
# For mutation testing, which asks thousands of times, and only whether a test fails: nobody reads its smallest example.
settings.register_profile(
    "few", parent=settings.get_profile("ci"), max_examples=20, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Workers of xdist share the cores: one thread each. Set before numpy, torch or onnxruntime start theirs.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT


# A sample in the GNNet challenge's format, of our own making: three nodes in a row, one flow from end to end.
_GNNET_NODES = {
    "2021": 'queueSizes "32"\n schedulingPolicy "FIFO"\n levelsQoS 1',
    "2022": (
        'bufferSizes "8000,8000,8000"\n schedulingPolicy "WFQ"\n levelsQoS "3"\n'
        ' schedulingWeights "60,30,10"\n tosToQoSqueue "0;1;2"'
    ),
}
_GNNET_TRAFFIC = {"2021": "0,5000,5,10,2,1000,300,1700,0", "2022": "4,2500,5,5,5,10,3,1000,2,500,0.5,1500,0.5,1"}
_GNNET_USAGE = {"2021": "0.5,0,1000,0.5,0,1.8,9,1000", "2022": "0.5,0,1000" + 3 * ":0.2,0,1800,4000,1000"}
_GNNET_ROUTING = {
    "2021": "0;1;2\n0;1\n1;0\n1;2\n2;1\n2;1;0\n",
    "2022": "-1,0,0,\n0,-1,1,\n0,0,-1,\n",
}
_GNNET_PORTS = {(0, 1): 0, (1, 0): 0, (1, 2): 1, (2, 1): 0}


def _gnnet_graph(year: str) -> str:
    nodes = [f'node [\n id {node}\n label "{node}"\n {_GNNET_NODES[year]}\n]' for node in range(3)]
    edges = [
        f"edge [\n source {a}\n target {b}\n bandwidth 10000\n port {port}\n]" for (a, b), port in _GNNET_PORTS.items()
    ]
    return "graph [\n" + "\n".join(nodes + edges) + "\n]\n"


def _gnnet_results(year: str) -> dict[str, str]:
    cells = [f"{a},{b}" for a in range(3) for b in range(3)]
    traffic = ["-1,0,-1,0,0"] * 9
    results = ["0,0,0" + ",-1" * 8] * 9
    traffic[2], results[2] = _GNNET_TRAFFIC[year], "5,5,0,0.29,-1.4,0.1,0.12,0.25,0.4,0.6,0.03"
    links = [f"{a},{b}" for a, b in _GNNET_PORTS]
    usage = [_GNNET_USAGE[year] if cell in links else "-1" for cell in cells]
    return {
        "input_files.txt": "0;graph.txt;routing.txt\n",
        "stability.txt": "400;0.0009;OK;Mem(KB):1;Time(s):1\n",
        "traffic.txt": f"5000|{';'.join(traffic)};\n",
        "simulationResults.txt": f"5,0,0.29|{';'.join(results)};\n",
        "linkUsage.txt": f"{';'.join(usage)};\n",
    }


def write_gnnet(folder: Path, year: str, **changed: str) -> Path:
    """One sample of `year` in `folder`; `changed` replaces files of the archive by stem, and `graph`, `routing`."""
    for name, text in (("graph", _gnnet_graph(year)), ("routing", _GNNET_ROUTING[year])):
        (folder / f"{name}s").mkdir(parents=True, exist_ok=True)
        (folder / f"{name}s" / f"{name}.txt").write_text(changed.get(name, text))
    with tarfile.open(folder / "results_1_0.tar.gz", "w:gz") as archive:
        for name, text in _gnnet_results(year).items():
            data = changed.get(name.removesuffix(".txt"), text).encode()
            entry = tarfile.TarInfo(f"results_1_0/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return folder


@pytest.fixture
def gnnet() -> Callable[..., Path]:
    """Writes a sample in the GNNet challenge's format: folder, year, texts to put in place of sound ones."""
    return write_gnnet
