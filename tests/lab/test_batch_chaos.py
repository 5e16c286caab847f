from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.full
def test_a_batch_killed_twenty_times_has_the_table_of_one_that_nobody_touched(root: Path) -> None:
    command = [sys.executable, "benchmarks/chaos.py", "--kills", "20", "--ray-kills", "0", "--runs", "200", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    assert [goal for goal in answer["goals"] if not goal["pass"]] == []
    fire = answer["batches"]["local, under fire"]
    assert fire["began"] > 200  # something was lost and done again
