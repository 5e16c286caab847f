"""Rules of real-time media that simulated and real ends share: reports, what is asked for again, how fast to send.

Nothing here owns a clock or a socket: times are handed in.
"""

from __future__ import annotations

from meshsim.rtc.gcc import Gcc
from meshsim.rtc.nacks import Nacks
from meshsim.rtc.rtcp import Reception

__all__ = ["Gcc", "Nacks", "Reception"]
