"""How a link treats a packet: loss, then a rate-limited queue, then propagation and jitter.

Every step is a function of floats and one-dimensional arrays that a compiler such as `numba.njit` takes unchanged
(`compiled`): the simulator's kernel compiles it, its readable core and the emulator of real datagrams call it plain.
One truth. What links exist and how they change is the scenario's.
"""

from __future__ import annotations

from meshsim.links.aqm import CODEL_STATE, FQ_LISTS, RED_STATE, codel, fq_charge, fq_join, fq_pick, red
from meshsim.links.compiled import compiled
from meshsim.links.delay import JITTERS, jitter_delay, ordered, replayed, transit
from meshsim.links.fit import GilbertElliott, fit_gilbert, fit_gilbert_elliott
from meshsim.links.link import IDLE, Coefficients, LinkParameters, LinkState, Passage, step
from meshsim.links.loss import bernoulli, gilbert_elliott, gilbert_for, lost_in_trace, stationary_loss
from meshsim.links.queue import admits, fifo
from meshsim.links.radio import Radio, link_quality, radio_link
from meshsim.links.rate import carried_bits, transmit
from meshsim.links.schedulers import (
    DRR_TURN,
    drr_pick,
    drr_quanta,
    polling_pick,
    priority_pick,
    stride_head,
    wfq_head,
    wfq_pick,
)

__all__ = [
    "CODEL_STATE",
    "DRR_TURN",
    "FQ_LISTS",
    "IDLE",
    "JITTERS",
    "RED_STATE",
    "Coefficients",
    "GilbertElliott",
    "LinkParameters",
    "LinkState",
    "Passage",
    "Radio",
    "admits",
    "bernoulli",
    "carried_bits",
    "codel",
    "compiled",
    "drr_pick",
    "drr_quanta",
    "fifo",
    "fit_gilbert",
    "fit_gilbert_elliott",
    "fq_charge",
    "fq_join",
    "fq_pick",
    "gilbert_elliott",
    "gilbert_for",
    "jitter_delay",
    "link_quality",
    "lost_in_trace",
    "ordered",
    "polling_pick",
    "priority_pick",
    "radio_link",
    "red",
    "replayed",
    "stationary_loss",
    "step",
    "stride_head",
    "transit",
    "transmit",
    "wfq_head",
    "wfq_pick",
]
