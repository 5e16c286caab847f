"""Estimates with their uncertainty: intervals, warm-up removal, sequential stopping, many tests at once."""

from __future__ import annotations

from meshsim.measure.stats.interval import (
    Interval,
    bootstrap_interval,
    mean_interval,
    paired_difference,
    proportion_interval,
    quantile_interval,
)
from meshsim.measure.stats.multiple import holm, holm_intervals, mean_p_value
from meshsim.measure.stats.pairing import Pairing, pairing
from meshsim.measure.stats.replication import Replicated, replicate, stop_when
from meshsim.measure.stats.steady import batch_means, mser5, welch

__all__ = [
    "Interval",
    "Pairing",
    "Replicated",
    "batch_means",
    "bootstrap_interval",
    "holm",
    "holm_intervals",
    "mean_interval",
    "mean_p_value",
    "mser5",
    "paired_difference",
    "pairing",
    "proportion_interval",
    "quantile_interval",
    "replicate",
    "stop_when",
    "welch",
]
