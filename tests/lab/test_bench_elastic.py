from __future__ import annotations

import math

import numpy as np
import pytest

from meshsim.lab.bench import elastic


@pytest.mark.full
def test_the_smoke_case_agrees_with_simgrid_or_names_the_goal_it_skips():
    told = elastic.run(quick=True)
    if elastic.find_simgrid() is None:
        assert [row["goal"] for row in told["tables"]["skipped"]] == ["elastic_apart_seconds"]
        assert told["goals"] == []
    else:
        assert [(goal["goal"], goal["pass"]) for goal in told["goals"]] == [("elastic_apart_seconds", True)]
        assert [row["engine"] for row in told["tables"]["engines"]] == ["meshsim", "simgrid plain"]


def test_an_interpreter_without_simgrid_is_not_taken(monkeypatch):
    monkeypatch.setenv("MESHSIM_SIMGRID_PYTHON", "/no/such/python")
    assert elastic.find_simgrid() is None
    told = elastic.run(quick=True)
    assert told["goals"] == []
    assert told["tables"]["skipped"]


def test_every_transfer_ends_after_its_size_over_its_link():
    case = elastic.SMOKE
    made = elastic.make(case)
    ends, _ = elastic.ours(case, made)
    assert np.isfinite(ends).all()
    assert (ends - made.arrivals >= made.sizes / case.bandwidth * (1 - 1e-9)).all()
    assert (made.senders != made.receivers).all()


def test_the_ratio_is_to_simgrids_faster_model():
    rows = [
        {"case": "smoke", "engine": "meshsim", "transfers_per_cpu_second": 30.0},
        {"case": "smoke", "engine": "simgrid plain", "transfers_per_cpu_second": 10.0},
        {"case": "smoke", "engine": "simgrid default", "transfers_per_cpu_second": 5.0},
    ]
    assert elastic._ahead(elastic.SMOKE, rows) == pytest.approx(3.0)
    assert math.isnan(elastic._ahead(elastic.SMOKE, rows[:1]))
