"""Estimates and their uncertainty: intervals, effect sizes, warm-up, sequential stopping, many tests at once."""

from __future__ import annotations

from meshsim.measure.stats.bootstrap import Bootstrapped, bca_interval, of_mean, of_quantile, of_ratio
from meshsim.measure.stats.effect import Effect, cliffs_delta, effect, hedges_g, is_skewed
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
from meshsim.measure.stats.replication import Replicated, enough, fixed_width, replicate, seeds_needed, stop_when
from meshsim.measure.stats.steady import batch_means, mser5, welch

__all__ = [
    "Bootstrapped",
    "Effect",
    "Interval",
    "Pairing",
    "Replicated",
    "batch_means",
    "bca_interval",
    "bootstrap_interval",
    "cliffs_delta",
    "effect",
    "enough",
    "fixed_width",
    "hedges_g",
    "holm",
    "holm_intervals",
    "is_skewed",
    "mean_interval",
    "mean_p_value",
    "mser5",
    "of_mean",
    "of_quantile",
    "of_ratio",
    "paired_difference",
    "pairing",
    "proportion_interval",
    "quantile_interval",
    "replicate",
    "seeds_needed",
    "stop_when",
    "welch",
]
