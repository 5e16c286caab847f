from __future__ import annotations

import numpy as np

from meshsim.lab.bench import trust_recompute
from meshsim.trust import models


def test_every_model_scores_both_meshes_and_the_slowest_is_held_to_the_goal() -> None:
    rows = trust_recompute.recompute_rows(200, 4000)
    assert [(row["model"], row["mesh"]) for row in rows] == [(n, m) for n in models for m in ("random", "attacked")]
    assert all(row["ingest_seconds"] > 0.0 and row["recompute_seconds"] > 0.0 for row in rows)


def test_the_attacked_mesh_has_made_up_nodes_behind_few_bridges() -> None:
    columns = trust_recompute._attacked(1000, 20_000)
    assert len(columns.node) == 20_000
    made_up = columns.node >= 800
    assert int((made_up & (columns.rater < 800)).sum()) == 20
    assert len(set(zip(columns.rater[made_up].tolist(), columns.node[made_up].tolist(), strict=True))) > 3900
    assert not (columns.rater[made_up] == columns.node[made_up]).any()
    assert len(np.unique(columns.node)) == 1000
