"""The listener's buffer: when each frame of speech is played, and which are not there in time.

No event is spent on playing: the buffer catches up with the clock whenever something arrives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from meshsim.sim.rtc.delays import FLOOR, Delays
from meshsim.sim.rtc.opus import FRAME

SLIP = 0.15
"""Most by which speech is stretched or squeezed unheard, share of a frame: WSOLA takes out at most a pitch period."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of speech; shares are of the frames that were sent and whose time to be played has come.

    Attributes:
        frames: Sent, and due.
        played: Share played as they came.
        recovered: Share played from the redundancy in the packet after them.
        lost: Share that never came, and was concealed.
        late: Share that came too late, and was concealed.
        buffer_delay: Mean seconds that frames waited in the buffer.
        mouth_to_ear: Mean seconds from speaking to hearing, the 20 ms of a frame included.
    """

    frames: int
    played: float
    recovered: float
    lost: float
    late: float
    buffer_delay: float
    mouth_to_ear: float

    @property
    def concealed(self) -> float:
        """Share of the frames that had to be made up."""
        return self.lost + self.late


class Playout:
    """One end's buffer for speech. Frames are told apart by number: that of the frame is its time over 20 ms.

    Args:
        redundant: Whether each packet carries the frame before it too.
    """

    def __init__(self, *, redundant: bool = False) -> None:
        self._redundant = redundant
        # a frame is made up from the packet after it only if that is here when the frame is due
        self._delays = Delays(FLOOR + FRAME / 2.0 if redundant else FLOOR)
        self._arrived: dict[int, float] = {}
        self._spurts: set[int] = set()
        self._next = -1
        self._delay = math.nan
        self._held = 0.0
        self._late: list[int] = []
        self._played: list[int] = []
        self._recovered: list[int] = []
        self._waited = self._delay_sum = 0.0

    @property
    def delay(self) -> float:
        """Seconds from speaking to hearing at present; NaN before anything came."""
        return self._delay

    @property
    def next(self) -> int:
        """The frame that is to be played next."""
        return self._next

    def take(self, frame: int, now: float, *, first: bool = False) -> bool:
        """A packet came: whether it is in time.

        Args:
            frame: Number of its frame.
            now: Seconds.
            first: Whether a talk spurt begins with it: before it the delay may change at once.
        """
        self.advance(now)
        self._delays.add(now - frame * FRAME, now)
        if self._next < 0:
            self._next, self._delay = frame, self._target
        if frame < self._next:
            self._late.append(frame)
            return False
        if first and frame > self._next:
            self._spurts.add(frame)
        self._arrived.setdefault(frame, now)
        return True

    def hold(self, delay: float) -> None:
        """From now on speech is not to be heard earlier than `delay` seconds after it was spoken, if that can be."""
        self._held = delay

    @property
    def _target(self) -> float:
        return max(self._delays.target, self._held)

    def advance(self, now: float) -> None:
        """Plays what is due by now."""
        while self._next >= 0 and self._next * FRAME + self._delay <= now:
            self._play(self._next)
            self._next += 1
            wanted = self._target - self._delay
            most = math.inf if self._next in self._spurts else SLIP * FRAME
            # never before the frame that was just played has ended
            self._delay += max(min(wanted, most), -most, -FRAME)
            self._spurts.discard(self._next)

    def _play(self, frame: int) -> None:
        at = frame * FRAME + self._delay
        arrived = self._arrived.pop(frame, math.nan)
        if not math.isnan(arrived):
            self._played.append(frame)
            self._waited += at - arrived
            self._delay_sum += self._delay
        elif self._redundant and frame + 1 in self._arrived:
            self._recovered.append(frame)

    def heard(self, sent: list[int]) -> Heard:
        """What became of the frames `sent`, ascending, as far as they are due."""
        due = [frame for frame in sent if frame < self._next]
        if not due:
            return Heard(0, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
        played = len(self._played)
        recovered = set(self._recovered) & set(due)
        late = set(self._late) & set(due) - recovered - set(self._played)
        n = len(due)
        lost = n - played - len(recovered) - len(late)
        mean = max(len(self._played), 1)
        delays = (self._waited / mean, self._delay_sum / mean) if self._played else (math.nan, math.nan)
        return Heard(n, played / n, len(recovered) / n, lost / n, len(late) / n, *delays)
