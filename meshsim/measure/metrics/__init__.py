"""What is read off a trace, one number per call: every mean can have an interval, every comparison a pairing.

Add a metric: one function here or in a module beside, one line of `METRICS.add`, and the contract test covers it.
"""

from __future__ import annotations

from meshsim.measure.metrics.calls import METRICS, Metric

__all__ = ["METRICS", "Metric"]
