"""Real-time media packet by packet between two ends: codecs, RTP and RTCP, jitter buffers, repair, rate control.

`run_session` lives one session through on a path whose links may change in time. What networks of many flows do is
`sim.kernel`'s; what a call's path is like is recorded by `capture`.
"""

from __future__ import annotations

from meshsim.sim.rtc.control import Aimd, Fixed, RateControl
from meshsim.sim.rtc.link import TimedLink
from meshsim.sim.rtc.opus import Opus
from meshsim.sim.rtc.result import DirectionResult, SessionResult
from meshsim.sim.rtc.session import Path, Placed, run_session, run_sessions
from meshsim.sim.rtc.spec import SPECS, Data, SessionSpec
from meshsim.sim.rtc.video import Video

__all__ = [
    "SPECS",
    "Aimd",
    "Data",
    "DirectionResult",
    "Fixed",
    "Opus",
    "Path",
    "Placed",
    "RateControl",
    "SessionResult",
    "SessionSpec",
    "TimedLink",
    "Video",
    "run_session",
    "run_sessions",
]
