"""How a link treats a packet: loss, then a rate-limited queue, then propagation and jitter.

Every step is a function of floats that a compiler such as `numba.njit` takes unchanged (`compiled`): the simulator's
kernel compiles it, the emulator of real datagrams calls it plain. One truth. What links exist and how they change is
the scenario's.
"""

from __future__ import annotations

from meshsim.links.compiled import compiled
from meshsim.links.delay import ordered, transit
from meshsim.links.link import IDLE, Coefficients, LinkParameters, LinkState, Passage, step
from meshsim.links.loss import bernoulli, gilbert_elliott, gilbert_for, stationary_loss
from meshsim.links.queue import fifo

__all__ = [
    "IDLE",
    "Coefficients",
    "LinkParameters",
    "LinkState",
    "Passage",
    "bernoulli",
    "compiled",
    "fifo",
    "gilbert_elliott",
    "gilbert_for",
    "ordered",
    "stationary_loss",
    "step",
    "transit",
]
