"""Cases without packets: the E-model's anchors, fair shares."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.quality import (
    OPUS_NB_BPL,
    OPUS_NB_IE,
    R_DEFAULT,
    delay_impairment,
    loss_impairment,
    mos_of,
)
from meshsim.mesh.quality.emodel import Connection, narrowband
from meshsim.sim.fluid import max_min
from meshsim.sim.validate.case import Case, Computed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

G107 = "ITU-T G.107"
LOSSES = (1, 3, 5, 10)
"""Per cent."""


def _anchor(slug: str, formula: str, source: str, value: Mapping[str, float], tolerance: float,
            calculate: Callable[[], Mapping[str, float]]) -> Case:  # fmt: skip
    return Case(
        slug=slug,
        formula=formula,
        source=source,
        theory=lambda: value,
        experiment=Computed(calculate),
        relation="exact",
        tolerance=tolerance,
        replications=1,
    )


def _mos_at_losses(ie: float, bpl: float) -> dict[str, float]:
    return {
        f"MOS at {loss} %": float(mos_of(R_DEFAULT - loss_impairment(loss / 100.0, ie=ie, bpl=bpl))) for loss in LOSSES
    }


def _losses(*values: float) -> dict[str, float]:
    return {f"MOS at {loss} %": value for loss, value in zip(LOSSES, values, strict=True)}


def longest_delay(ie: float, rating: float = 70.0) -> float:
    """Largest one-way delay with 94 - Ie - Idd >= `rating`, milliseconds (to the nearest)."""
    delays = np.arange(100.0, 1000.0, 0.1)
    return float(np.round(delays[94.0 - ie - delay_impairment(delays / 1e3) >= rating].max()))


def _longest() -> dict[str, float]:
    return {f"longest delay, ms, Ie {ie}": longest_delay(ie) for ie in (0, 5, 10, 15)}


def _impairments() -> dict[str, float]:
    return {f"Idd({delay} ms)": float(delay_impairment(delay / 1e3)) for delay in (100, 150, 200, 300, 400)}


def _emodel() -> list[Case]:
    return [
        _anchor(
            "emodel_default",
            "R = 93.2 -> MOS 4.409; MOS = 1 + .035 R + 7e-6 R (R-60) (100-R)",
            f"{G107}, sections 7.1 and Annex B",
            {"MOS": 4.409, "MOS(90)": 4.339, "MOS(50)": 2.575, "MOS(0)": 1.0, "MOS(100)": 4.5},
            6e-4,
            lambda: {
                "MOS": float(mos_of(R_DEFAULT)),
                **{f"MOS({rating})": float(mos_of(rating)) for rating in (90, 50, 0, 100)},
            },
        ),
        _anchor(
            "emodel_delay",
            "Idd = 25 {(1+X^6)^(1/6) - 3 (1+(X/3)^6)^(1/6) + 2}, X = log2(Ta / 100 ms)",
            f"{G107} (7-27)",
            {f"Idd({delay} ms)": value for delay, value in zip((100, 150, 200, 300, 400), IDD, strict=True)},
            6e-4,
            _impairments,
        ),
        _anchor(
            "emodel_g711_plc",
            "Ie,eff = Ie + (95-Ie) Ppl / (Ppl/BurstR + Bpl), G.711 with PLC (0, 25.1)",
            f"{G107} (7-29), ITU-T G.113 App. I",
            _losses(4.328, 4.134, 3.923, 3.411),
            6e-4,
            lambda: _mos_at_losses(0.0, 25.1),
        ),
        _anchor(
            "emodel_g729a",
            "the same, G.729A with VAD (11, 19)",
            f"{G107} (7-29), ITU-T G.113 App. I",
            _losses(3.946, 3.632, 3.340, 2.745),
            6e-4,
            lambda: _mos_at_losses(11.0, 19.0),
        ),
        _anchor(
            "emodel_longest_delay",
            "largest Ta with 94 - Ie - Idd >= 70, Ie 0, 5, 10, 15: 400, 342, 294, 251 ms",
            "J. Janssen et al., Telektronikk, table 3",
            {f"longest delay, ms, Ie {ie}": value for ie, value in zip((0, 5, 10, 15), LONGEST, strict=True)},
            1.0,
            _longest,
        ),
    ]


IDD = (0.0, 0.164, 3.044, 14.761, 24.07)
LONGEST = (400.0, 342.0, 294.0, 251.0)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _published(folder: Path) -> Case:
    rows = [row for row in _rows(folder / "anchors_published.csv") if row["quantity"].startswith("MOS")]
    ratings = [float(row["input"].removeprefix("R=")) for row in rows]
    return _anchor(
        "emodel_published",
        "MOS of R as published, to the two digits printed there",
        "; ".join(sorted({row["source"] for row in rows})),
        {f"MOS({rating:g})": float(row["expected"]) for rating, row in zip(ratings, rows, strict=True)},
        0.0065,  # two digits, and the table's own 4.03 for 4.024
        lambda: {f"MOS({rating:g})": float(mos_of(rating)) for rating in ratings},
    )


def _vectors(folder: Path) -> Case:
    """All vectors, echo-free and symmetric paths with echo, through the whole model."""
    rows = _rows(folder / "vectors.csv")
    return _anchor(
        "emodel_vectors",
        f"{len(rows)} vectors of delay, echo, loss and burst ratio: every part of R, R and its MOS as tabled",
        "emodel_g107/vectors.csv, from the full formulas of G.107",
        {f"largest error of {name}": 0.0 for name in ("R", "Idd", "Idte", "Idle", "Ie_eff", "MOS")},
        6e-4,
        lambda: _largest_errors(rows),
    )


def _largest_errors(rows: list[dict[str, str]]) -> dict[str, float]:
    tabled = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name not in {"codec", "mode"}}
    delay, echo = tabled["Ta_ms"], np.array([row["mode"] == "symmetric_path" for row in rows])
    said = narrowband(
        Connection(
            ta=delay,
            t=np.where(echo, delay, 0.0),
            tr=np.where(echo, 2.0 * delay, 0.0),
            ie=tabled["Ie"],
            bpl=tabled["Bpl"],
            ppl=tabled["Ppl_pct"],
            burst_ratio=tabled["BurstR"],
        )
    )
    tabled["MOS"] = np.maximum(tabled["MOS"], 1.0)  # the cubic dips below the scale where R < 6.5
    parts = {"Idd": said.delay, "Idte": said.talker_echo, "Idle": said.listener_echo, "Ie_eff": said.equipment}
    computed = parts | {"R": said.rating.value, "MOS": said.rating.mos}
    return {f"largest error of {name}": float(np.abs(value - tabled[name]).max()) for name, value in computed.items()}


def _opus(folder: Path) -> Case:
    rows = [row for row in _rows(folder / "opus_ie_bpl.csv") if (row["bandwidth"], row["mode"]) == ("nb", "cbr")]
    used = next(row for row in rows if row["bitrate_kbps"] == "11")
    return _anchor(
        "emodel_opus",
        "Opus, narrow band, 11 kbit/s constant: the Ie and Bpl in use",
        "Alahmadi, Pocta, Melvin, ACM TOMM 17(4) 2021",
        {"Ie": float(used["Ie"]), "Bpl": float(used["Bpl_random"])},
        0.005,
        lambda: {"Ie": OPUS_NB_IE, "Bpl": OPUS_NB_BPL},
    )


def published(data: Path) -> list[Case]:
    """Cases whose theory stands in the folder of measured data.

    Args:
        data: The folder that `MESHSIM_DATA_DIR` names.
    """
    folder = data / "emodel_g107"
    return [_published(folder), _vectors(folder), _opus(folder)] if folder.is_dir() else []


PARKING = 5


def _parking_lot() -> dict[str, float]:
    """One flow over all links and one over each."""
    routes = [list(range(PARKING)), *([link] for link in range(PARKING))]
    indptr = np.concatenate([[0], np.cumsum([len(route) for route in routes])])
    rates = max_min(indptr, np.concatenate(routes), np.full(PARKING, 10.0))
    return {f"rate of flow {flow}": float(rate) for flow, rate in enumerate(rates)}


def _bottlenecks() -> dict[str, float]:
    """How far a random network is from every flow having a full link on which none is faster."""
    draw = np.random.default_rng(5)
    routes = [draw.permutation(30)[: draw.integers(1, 6)] for _ in range(200)]
    capacity = draw.uniform(1.0, 10.0, 30)
    indptr = np.concatenate([[0], np.cumsum([len(route) for route in routes])])
    rates = max_min(indptr, np.concatenate(routes), capacity)
    fastest, load = np.zeros(30), np.zeros(30)
    for route, rate in zip(routes, rates, strict=True):
        load[route] += rate
        fastest[route] = np.maximum(fastest[route], rate)
    full = np.abs(load - capacity) <= 1e-9 * capacity
    owed = [min((fastest[link] - rate for link in route if full[link]), default=np.inf)
            for route, rate in zip(routes, rates, strict=True)]  # fmt: skip
    return {"largest lack of a bottleneck": float(max(owed)), "overload": float(max(0.0, np.max(load - capacity)))}


CASES = (
    *_emodel(),
    _anchor(
        "max_min_parking_lot",
        f"max-min fairness, {PARKING} links of capacity C, one flow over all and one over each: all C/2",
        "D. Bertsekas, R. Gallager, Data Networks, section 6.5.2",
        {f"rate of flow {flow}": 5.0 for flow in range(PARKING + 1)},
        1e-9,
        _parking_lot,
    ),
    _anchor(
        "max_min_bottlenecks",
        "max-min fairness, 200 random flows: each has a saturated link where no flow is faster",
        "D. Bertsekas, R. Gallager, Data Networks, section 6.5.2",
        {"largest lack of a bottleneck": 0.0, "overload": 0.0},
        1e-9,
        _bottlenecks,
    ),
)
