"""What is read off a trace, one number per call: every mean can have an interval, every comparison a pairing.

Add a metric: one function here or in a module beside, one line of `METRICS.add`, and the contract test covers it.
"""

from __future__ import annotations

from meshsim.measure.metrics.calls import METRICS, Metric
from meshsim.measure.metrics.control import OF_CONTROL
from meshsim.measure.metrics.trust import OF_TRUST

for _metric in (*OF_CONTROL, *OF_TRUST):
    METRICS.add(_metric.name, _metric)

__all__ = ["METRICS", "Metric"]
