"""Mean delay of flows through queues, learned: formulas say what a hop's wait would be, the network how far they err.

The same blocks as the route scorer's, for another truth: published packet-level samples (GNNet challenge). What a hop
adds to its flow's delay is positive: the formula's wait times a bounded correction. The correction follows from the
scale-free columns of the hop (`sim.gnnet.table` writes them; whoever calls brings them) and, with `rounds`, from what
the queue's other flows and the flow's hop before have to say.

Letters: H hops, F flows, K columns, D state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from meshsim.learn.gnn import Scale, add_up, perceptron

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_CORRECTION = 2.5
"""Of the logarithm of a wait: a factor of twelve, either way."""
LEAST_SHARE = 1e-4
"""Of the time to send a packet: what a wait of none is taken for, so that it can be corrected."""


class Network(NamedTuple):
    """The hops of one or more networks, flow by flow in order of travel.

    Attributes:
        columns: (H, K) float32.
        wait: By formula, seconds, (H,).
        service: Mean time to send a packet there, seconds, (H,).
        flow: (H,) int64 in [0, F).
        queue: (H,) int64, from 0.
        before: The flow's hop before; itself at its first, (H,) int64.
        sending: Seconds to send a mean packet over all hops, (F,).
    """

    columns: Tensor
    wait: Tensor
    service: Tensor
    flow: Tensor
    queue: Tensor
    before: Tensor
    sending: Tensor


def network(*fields: NDArray[Any]) -> Network:
    """Arrays in the order of `Network`'s fields, as tensors of its types."""
    return Network(*(torch.as_tensor(f, dtype=torch.int64 if f.dtype.kind == "i" else torch.float32) for f in fields))


def join(networks: Sequence[Network]) -> Network:
    """Several networks as one; no two share a flow or a queue."""
    flows = hops = queues = 0
    moved = []
    for one in networks:
        moved.append(one._replace(flow=one.flow + flows, queue=one.queue + queues, before=one.before + hops))
        flows, hops, queues = flows + len(one.sending), hops + len(one.flow), queues + int(one.queue.max()) + 1
    return Network(*(torch.cat(column) for column in zip(*moved, strict=True)))


class Exchange(nn.Module):
    """One round: each hop hears the mean of its queue's hops, and its flow's hop before."""

    def __init__(self, state: int) -> None:
        super().__init__()
        self.message = perceptron(state, state, state)
        self.update = perceptron(3 * state, state, state, still=True)

    def forward(self, state: Tensor, queue: Tensor, before: Tensor) -> Tensor:
        """(H, D), (H,), (H,) -> (H, D)."""
        said = self.message(state)  # (H, D)
        heard = add_up(torch.cat([said, torch.ones_like(said[:, :1])], dim=1), queue, len(queue))  # (H, D + 1)
        mean = heard[:, :-1] / heard[:, -1:].clamp(min=1.0)  # (H, D), by queue
        return torch.as_tensor(state + self.update(torch.cat([state, mean[queue], said[before]], dim=1)))  # (H, D)


class DelayModel(nn.Module):
    """Mean delay of each flow."""

    def __init__(self, columns: int, state: int = 32, rounds: int = 0) -> None:
        super().__init__()
        self.scale = Scale(columns)
        self.start = perceptron(columns, 2 * state, state)
        self.rounds = nn.ModuleList(Exchange(state) for _ in range(rounds))
        self.correct = perceptron(state, state, 1, still=True)

    def forward(
        self,
        columns: Tensor,
        wait: Tensor,
        service: Tensor,
        flow: Tensor,
        queue: Tensor,
        before: Tensor,
        sending: Tensor,
    ) -> Tensor:
        """The fields of `Network` -> mean delay in seconds, (F,)."""
        state = nn.functional.silu(self.start(self.scale(columns)))  # (H, D)
        for step in self.rounds:
            state = step(state, queue, before)  # (H, D)
        correction = MOST_CORRECTION * torch.tanh(self.correct(state) / MOST_CORRECTION)  # (H, 1)
        waits = (wait + LEAST_SHARE * service)[:, None] * torch.exp(correction)  # (H, 1)
        return sending + add_up(waits, flow, sending.shape[0])[:, 0]  # (F,)
