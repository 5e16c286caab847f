"""What training makes small, all of it on counterfactual labels of every candidate.

The log-odds of a good call (cross-entropy), what the call would measure (Huber on log RTT, log jitter, log-odds of
loss, MOS), its 5 % and 95 % quantiles (pinball), and the utility that a choice by softmax over a call's candidates is
expected to forgo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from meshsim.learn.gnn import add_up
from meshsim.routing.calibration import UtilityWeights

if TYPE_CHECKING:
    from meshsim.learn.batch import Batch
    from meshsim.learn.config import Optimisation
    from meshsim.learn.gnn import Prediction

MOS_WEIGHT = UtilityWeights().mos
"""Utility of one point of MOS, beside 1 for a call that meets its target: breaks ties between good paths."""

TAIL = 0.05
"""Share of calls that lie beyond each end of an interval."""


def utility_of(said: Prediction) -> Tensor:
    """Predicted utility of each candidate, (P,): probability of a good call plus a little for MOS."""
    return torch.sigmoid(said.logit_ok) + MOS_WEIGHT * said.mos


def true_utility(batch: Batch) -> Tensor:
    """The utility that each candidate would have had, (P,)."""
    return batch.ok.float() + MOS_WEIGHT * batch.mos


def forgone(said: Prediction, batch: Batch, temperature: float) -> Tensor:
    """Mean utility that a softmax choice among a call's feasible candidates forgoes against the best one; scalar."""
    can = batch.feasible.float()  # (P,)
    true = true_utility(batch)  # (P,)
    wanted = torch.where(batch.feasible, utility_of(said) / temperature, -torch.inf)  # (P,)
    top = wanted.detach().new_zeros(batch.calls).scatter_reduce(0, batch.call, wanted.detach(), "amax")  # (C,)
    weight = torch.exp(wanted - top[batch.call])  # (P,), at most 1
    sums = add_up(torch.stack([weight, weight * true, can], dim=1), batch.call, batch.calls)  # (C, 3)
    choice = sums[:, 2] > 1  # (C,), calls that leave a choice
    best = true.new_zeros(batch.calls).scatter_reduce(0, batch.call, true * can, "amax")  # (C,)
    expected = sums[:, 1] / sums[:, 0].clamp(min=1e-9)  # (C,)
    return ((best - expected) * choice).sum() / choice.sum().clamp(min=1)


def cross_entropy(said: Prediction, batch: Batch) -> Tensor:
    """Mean cross-entropy of "meets its target" over the feasible candidates; scalar."""
    each = nn.functional.binary_cross_entropy_with_logits(said.logit_ok, batch.ok.float(), reduction="none")  # (P,)
    return (each * batch.feasible).sum() / batch.feasible.sum().clamp(min=1)


def regression(said: Prediction, batch: Batch) -> Tensor:
    """Mean Huber loss of what the call would measure, over the candidates that connect; scalar."""
    pairs = (
        (said.log_rtt, batch.log_rtt),
        (said.log_jitter, batch.log_jitter),
        (0.3 * said.logit_loss.clamp(min=-12.0), 0.3 * batch.logit_loss),
        (said.mos, batch.mos),
    )
    each = torch.stack([nn.functional.smooth_l1_loss(a, b, reduction="none", beta=0.5) for a, b in pairs])  # (4, P)
    return (each * batch.connected).sum() / (4 * batch.connected.sum().clamp(min=1))


def measured(batch: Batch) -> Tensor:
    """The labels that intervals are claimed for: log RTT, log jitter, log-odds of loss; (P, 3)."""
    return torch.stack([batch.log_rtt, batch.log_jitter, batch.logit_loss], dim=1)


def predicted(said: Prediction) -> Tensor:
    """What is predicted of them; (P, 3)."""
    return torch.stack([said.log_rtt, said.log_jitter, said.logit_loss], dim=1)


def spread_loss(said: Prediction, batch: Batch) -> Tensor:
    """Mean pinball loss of the 5 % and 95 % quantiles over the candidates that connect; scalar.

    The middle is held fixed: how wide an interval is must not move what lies in it (Koenker, Bassett, "Regression
    quantiles", Econometrica 1978).
    """
    error = (measured(batch) - predicted(said).detach())[:, :, None]  # (P, 3, 1)
    ends = said.spread.reshape(-1, 3, 2) * said.spread.new_tensor([-1.0, 1.0])  # (P, 3, 2)
    beyond = error - ends  # (P, 3, 2)
    level = said.spread.new_tensor([TAIL, 1.0 - TAIL])  # (2,)
    each = torch.maximum(level * beyond, (level - 1.0) * beyond).mean(dim=(1, 2))  # (P,)
    return (each * batch.connected).sum() / batch.connected.sum().clamp(min=1)


def loss_of(said: Prediction, batch: Batch, by: Optimisation) -> Tensor:
    """The training loss; scalar."""
    return (
        cross_entropy(said, batch)
        + by.regression_weight * regression(said, batch)
        + by.choice_weight * forgone(said, batch, by.temperature)
        + by.spread_weight * spread_loss(said, batch)
    )


def poor_rate(said: Prediction, batch: Batch) -> float:
    """Share of calls that the feasible candidate of highest utility would have made poor."""
    utility = torch.where(batch.feasible, utility_of(said), -torch.inf)  # (P,)
    top = utility.new_full((batch.calls,), -torch.inf).scatter_reduce(0, batch.call, utility, "amax")  # (C,)
    chosen = batch.feasible & (utility == top[batch.call])  # (P,)
    sums = add_up(torch.stack([chosen.float(), (chosen & ~batch.ok).float()], dim=1), batch.call, batch.calls)
    some = sums[:, 0] > 0  # calls with a feasible candidate
    return float((sums[some, 1] / sums[some, 0]).mean()) if bool(some.any()) else float("nan")
