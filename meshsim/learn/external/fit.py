"""The fit of a delay model: one loop, seeded; the step is kept that errs least on networks no gradient sees."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from meshsim.learn.external.model import DelayModel, Network, join, network
from meshsim.learn.fit import settled
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from meshsim.learn.external.config import DelayConfig

JUDGED_EVERY = 100
"""Steps."""


class Labelled(NamedTuple):
    """A network and what came of it.

    Attributes:
        network: Its hops.
        delay: Mean delay of each flow, seconds, (F,); NaN where nothing arrived.
    """

    network: Network
    delay: Tensor


def labelled(delay: NDArray[Any], *fields: NDArray[Any]) -> Labelled:
    """What came of a network whose arrays are `fields`, in the order of `Network`'s."""
    return Labelled(network(*fields), torch.as_tensor(delay, dtype=torch.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayFit:
    """A fitted model.

    Attributes:
        model: With the parameters of the step kept, in evaluation mode.
        step: The step kept, from 1.
        train: Mean absolute log ratio of predicted and simulated delay over the networks trained on.
        held_out: Likewise over those held out.
        before: Likewise over those held out, by the formulas alone.
    """

    model: DelayModel
    step: int
    train: float
    held_out: float
    before: float


def fit_delays(
    config: DelayConfig, samples: Sequence[Labelled], progress: Callable[[float], None] | None = None
) -> DelayFit:
    """Fits a delay model.

    Args:
        config: Seed, sizes, steps.
        samples: Networks with delays; the last share `held_out` of them is not trained on.
        progress: Called with the share done, in [0, 1].

    Raises:
        ConfigError: If there are too few networks to train on some and hold out others.
    """
    apart = round(len(samples) * (1.0 - config.held_out))
    if not 0 < apart < len(samples):
        raise ConfigError(f"{len(samples)} networks cannot be parted", key="samples")
    train, held_out = samples[:apart], _joined(samples[apart:])
    with settled(config.seed, threads=1):
        model = DelayModel(samples[0].network.columns.shape[1], config.state, config.rounds)
        whole = _joined(train)
        model.scale.fit(whole.network.columns)
        before = _judged(model, held_out)
        step = _descend(model, train, held_out, config, progress)
        return DelayFit(
            model=model.eval(),
            step=step,
            train=_judged(model, whole),
            held_out=_judged(model, held_out),
            before=before,
        )


def _joined(samples: Sequence[Labelled]) -> Labelled:
    return Labelled(join([one.network for one in samples]), torch.cat([one.delay for one in samples]))


def _error(model: DelayModel, asked: Labelled) -> Tensor:
    known = torch.isfinite(asked.delay)
    said = model(*asked.network)
    return (torch.log(said[known]) - torch.log(asked.delay[known])).abs().mean()


@torch.no_grad()
def _judged(model: DelayModel, asked: Labelled) -> float:
    return float(_error(model, asked))


def _descend(
    model: DelayModel,
    train: Sequence[Labelled],
    held_out: Labelled,
    config: DelayConfig,
    progress: Callable[[float], None] | None,
) -> int:
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps)
    best, at, kept = _judged(model, held_out), 0, copy.deepcopy(model.state_dict())
    parts: list[Labelled] = []
    for step in range(1, config.steps + 1):
        parts = parts or _parts(train, config.parts)
        optimiser.zero_grad()
        error = _error(model, parts.pop())
        error.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step % JUDGED_EVERY == 0 or step == config.steps) and (judged := _judged(model, held_out)) < best:
            best, at, kept = judged, step, copy.deepcopy(model.state_dict())
        if progress is not None:
            progress(step / config.steps)
    model.load_state_dict(kept)
    return at


def _parts(train: Sequence[Labelled], parts: int) -> list[Labelled]:
    """The networks shared out anew: each part holds some of them."""
    order = torch.randperm(len(train)).tolist()
    shares = [[train[i] for i in order[first::parts]] for first in range(parts)]
    return [_joined(share) for share in shares if share]
