"""From a question to an answer to show: runs, experiments, figures, reports, the demo. Nothing below imports this."""

from __future__ import annotations

from meshsim.lab.experiment import list_experiments, run_experiment
from meshsim.lab.run import Result, run

__all__ = ["Result", "list_experiments", "run", "run_experiment"]
