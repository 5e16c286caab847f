"""Misbehaviour as interceptors of an agent's messages and effects: the same in the simulator and on real nodes.

An interceptor sees what comes in before the agent does, and what goes out before the driver does. With strength 0 it
changes nothing.
"""

from __future__ import annotations

from meshsim.agent.adversary.black_hole import BlackHole
from meshsim.agent.adversary.gray_hole import GrayHole, Milking, OnOff, Selective
from meshsim.agent.adversary.interceptor import Interceptor, Means, Mint, Timed, adversaries, interceptors
from meshsim.agent.adversary.liars import Inventor, Liar
from meshsim.agent.adversary.mints import Ed25519Mint, HashMint
from meshsim.agent.adversary.tellers import LinkLiar, Poisoner

__all__ = [
    "BlackHole",
    "Ed25519Mint",
    "GrayHole",
    "HashMint",
    "Interceptor",
    "Inventor",
    "Liar",
    "LinkLiar",
    "Means",
    "Milking",
    "Mint",
    "OnOff",
    "Poisoner",
    "Selective",
    "Timed",
    "adversaries",
    "interceptors",
]
