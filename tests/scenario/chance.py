"""When many samples agree with a law, and when they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 0.01
"""Least p: of right samples one in a hundred tests has less."""


def agree(samples: Sequence[Any], law: Any) -> bool:
    """Whether samples of seeds 0, 1, 2, ... follow the distribution function `law`; no seed is left out.

    Two tests of Kolmogorov and Smirnov, p > .01 each: all draws together follow the law, which finds what is wrong by
    little; and the p-values of the seeds are spread evenly over [0, 1], as those of right samples are, which finds
    what is wrong now and then, and samples that are too good.
    """
    each = [stats.kstest(sample, law).pvalue for sample in samples]
    pooled = stats.kstest(np.concatenate(samples), law).pvalue
    return bool(pooled > LEAST and stats.kstest(each, "uniform").pvalue > LEAST)
