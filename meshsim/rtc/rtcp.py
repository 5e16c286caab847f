"""RTCP: what an end counts of a source it hears (RFC 3550, appendix A), what reports say, and when they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

RTCP_SHARE = 0.05
"""Share of the session's bandwidth for RTCP (RFC 3550, section 6.2)."""

LEAST_INTERVAL = 5.0
"""Seconds between reports, on average, at least; the reduced minimum is 360 over the bandwidth in kbit/s."""

REDUCED = 360e3
COMPENSATION = 2.71828 - 1.5
"""By which an interval is divided, because reconsideration makes it longer than asked (RFC 3550, appendix A.7)."""

SENDERS_SHARE = 0.25
UNIX_TO_NTP = 2_208_988_800
SESSION_UNIX = 1_800_000_000
"""Unix second at which the clock of a session stands at 0."""

_MAX_DROPOUT, _MAX_MISORDER = 3000, 100
_SEQ_MOD = 1 << 16
_MIDDLE = (1 << 32) - 1


class Block(NamedTuple):
    """A report block (RFC 3550, section 6.4.1).

    Attributes:
        ssrc: Of whom it tells.
        fraction: Share lost since the last report, in 1/256.
        lost: Packets lost in all; negative when duplicates came.
        highest: Extended highest sequence number.
        jitter: Timestamp units.
        lsr: Middle 32 bits of the time in the last sender report, 0 for none.
        dlsr: Time since that came, in 1/65536 s.
    """

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    lsr: int
    dlsr: int


class SenderReport(NamedTuple):
    """A sender report.

    Attributes:
        ssrc: Who sends.
        ntp: 64-bit NTP time.
        timestamp: The same instant in the source's RTP units.
        packets: Sent so far.
        octets: Bytes of payload sent so far.
        blocks: Of the sources heard.
    """

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[Block, ...]


class ReceiverReport(NamedTuple):
    """A receiver report.

    Attributes:
        ssrc: Who reports.
        blocks: Of the sources heard; none at the head of early feedback.
    """

    ssrc: int
    blocks: tuple[Block, ...]


class Nack(NamedTuple):
    """A generic NACK (RFC 4585, section 6.2.1).

    Attributes:
        ssrc: Who asks.
        source: Whose packets are missing.
        missing: Their sequence numbers, ascending, counted on beyond 16 bits.
    """

    ssrc: int
    source: int
    missing: tuple[int, ...]


class Pli(NamedTuple):
    """A picture loss indication (RFC 4585, section 6.3.1).

    Attributes:
        ssrc: Who asks.
        source: Who is to send a key frame.
    """

    ssrc: int
    source: int


class Fir(NamedTuple):
    """A full intra request (RFC 5104, section 4.3.1).

    Attributes:
        ssrc: Who asks.
        source: Who is to send a key frame.
        number: Of this request: told again with the same number it is the same.
    """

    ssrc: int
    source: int
    number: int


class Remb(NamedTuple):
    """A receiver's estimated maximum bit rate (draft-alvestrand-rmcat-remb-03).

    Attributes:
        ssrc: Who tells.
        rate: Bits per second that the sources together may send.
        sources: Whose packets.
    """

    ssrc: int
    rate: int
    sources: tuple[int, ...]


class TransportFeedback(NamedTuple):
    """When packets arrived, by transport-wide number (draft-holmer-rmcat-transport-wide-cc-extensions-01).

    Attributes:
        ssrc: Who tells.
        source: A source of the other end.
        number: Of this feedback.
        base: First transport-wide number.
        ticks: For each number from `base` on when it arrived, in ticks of 250 us; -1 for one that did not.
    """

    ssrc: int
    source: int
    number: int
    base: int
    ticks: tuple[int, ...]


Message = SenderReport | ReceiverReport | Nack | Pli | Fir | Remb | TransportFeedback


def ntp_time(now: float) -> int:
    """The clock of a session as 64-bit NTP time.

    >>> ntp_time(0.5) & 0xFFFFFFFF == 1 << 31
    True
    """
    return ((SESSION_UNIX + UNIX_TO_NTP) << 32) + round(now * (1 << 32))


def middle(ntp: int) -> int:
    """The middle 32 bits of an NTP time: seconds in 1/65536."""
    return (ntp >> 16) & _MIDDLE


def round_trip(block: Block, now: float) -> float:
    """Seconds to the reporting end and back, by RFC 3550, section 6.4.1; NaN while it has seen no sender report."""
    if not block.lsr:
        return float("nan")
    units = (middle(ntp_time(now)) - block.lsr - block.dlsr) & _MIDDLE
    return units / 65536.0 if units < 1 << 31 else 0.0


class Reception:
    """What is counted of one source, word by word as in RFC 3550, appendices A.1, A.3 and A.8.

    The source was announced, so that it counts from its first packet on (probation is over).

    Args:
        clock: RTP timestamp units per second.

    Attributes:
        clock: RTP timestamp units per second.
        received: Packets, duplicates and late ones included.
        jitter: Interarrival jitter, timestamp units.
        jitter_sum: Of the jitter after each packet; over `received` their mean.
    """

    def __init__(self, clock: int) -> None:
        self.clock = clock
        self._base = self._max = self._cycles = 0
        self._bad = _SEQ_MOD + 1
        self._transit: int | None = None
        self._expected_prior = self._received_prior = 0
        self._lsr, self._lsr_at = 0, 0.0
        self.received = 0
        self.jitter = self.jitter_sum = 0.0

    def take(self, seq: int, timestamp: int, now: float) -> None:
        """A packet came.

        Args:
            seq: 16-bit sequence number.
            timestamp: RTP timestamp.
            now: Seconds.
        """
        if self._transit is None:
            self._restart(seq)
        elif not self._follows(seq):
            return
        self.received += 1
        transit = int(now * self.clock) - timestamp
        if self._transit is not None:
            self.jitter += (1.0 / 16.0) * (abs(transit - self._transit) - self.jitter)
        self._transit = transit
        self.jitter_sum += self.jitter

    def _follows(self, seq: int) -> bool:
        """`update_seq` of A.1: whether a packet counts."""
        delta = (seq - self._max) % _SEQ_MOD
        if delta < _MAX_DROPOUT:
            if seq < self._max:
                self._cycles += _SEQ_MOD
            self._max = seq
        elif delta <= _SEQ_MOD - _MAX_MISORDER:
            if seq != self._bad:
                self._bad = (seq + 1) % _SEQ_MOD
                return False
            self._restart(seq)
        return True

    def _restart(self, seq: int) -> None:
        """`init_seq` of A.1."""
        self._base = self._max = seq
        self._bad = _SEQ_MOD + 1
        self._cycles = self.received = 0
        self._expected_prior = self._received_prior = 0
        self.jitter_sum = 0.0

    @property
    def highest(self) -> int:
        """Extended highest sequence number."""
        return self._cycles + self._max

    @property
    def expected(self) -> int:
        """Packets that should have come."""
        return self.highest - self._base + 1 if self._transit is not None else 0

    @property
    def lost(self) -> int:
        """Packets that have not come; negative when more came."""
        return self.expected - self.received

    def heard_report(self, report: SenderReport, now: float) -> None:
        """The source's sender report came."""
        self._lsr, self._lsr_at = middle(report.ntp), now

    def block(self, ssrc: int, now: float) -> Block:
        """What is reported of the source, whose losses then count from here on (A.3)."""
        expected = self.expected - self._expected_prior
        lost = expected - (self.received - self._received_prior)
        self._expected_prior, self._received_prior = self.expected, self.received
        fraction = (lost << 8) // expected if expected > 0 and lost > 0 else 0
        cumulative = min(max(self.lost, -(1 << 23)), (1 << 23) - 1)
        dlsr = round((now - self._lsr_at) * 65536.0) if self._lsr else 0
        return Block(ssrc, min(fraction, 255), cumulative, self.highest, int(self.jitter), self._lsr, dlsr)


def report_interval(
    members: int,
    senders: int,
    bandwidth: float,
    we_sent: bool,  # noqa: FBT001 - as above
    size: float,
    initial: bool,  # noqa: FBT001 - as above
    u: float,
    least: float = LEAST_INTERVAL,
) -> float:
    """Seconds until the next report (`rtcp_interval` of RFC 3550, appendix A.7).

    Args:
        members: Of the session.
        senders: Of them, those that send.
        bandwidth: Of all RTCP of the session, bytes per second.
        we_sent: Whether we sent since the report before last.
        size: Mean bytes of a compound, with UDP and IP.
        initial: Whether we have not sent a report yet.
        u: A uniform draw in [0, 1).
        least: Smallest interval before it is randomised, seconds.

    >>> round(report_interval(2, 2, 250.0, True, 100.0, False, 0.5), 4)
    4.1041
    """
    share, n = bandwidth, float(members)
    if senders <= members * SENDERS_SHARE:
        share *= SENDERS_SHARE if we_sent else 1.0 - SENDERS_SHARE
        n = float(senders if we_sent else members - senders)
    interval = max(size * n / share, least / 2.0 if initial else least)
    return interval * (u + 0.5) / COMPENSATION


@dataclass(slots=True)
class ReportTimer:
    """When an end of a call of two sends its reports: timer reconsideration of RFC 3550, section 6.3.

    Attributes:
        bandwidth: Of the session, bits per second.
        last: When the last report was sent, seconds.
        due: When the next is considered.
        size: Mean bytes of compounds (section 6.3.3).
        initial: Whether none was sent yet.
    """

    bandwidth: float
    last: float = 0.0
    due: float = 0.0
    size: float = 100.0
    initial: bool = True

    def interval(self, u: float) -> float:
        """Seconds, drawn with `u` in [0, 1); both ends are members and both send."""
        least = min(LEAST_INTERVAL, REDUCED / self.bandwidth)
        rate = RTCP_SHARE * self.bandwidth / 8.0
        return report_interval(2, 2, rate, True, self.size, self.initial, u, least)

    def start(self, now: float, u: float) -> None:
        """The session begins."""
        self.last, self.due = now, now + self.interval(u)

    def expire(self, now: float, u: float, again: float) -> bool:
        """The instant `due` has come: whether a report is sent now; `due` is the next in either case.

        Args:
            now: Seconds.
            u: A uniform draw for the reconsideration.
            again: Another for the interval that follows a report.
        """
        reconsidered = self.last + self.interval(u)
        if reconsidered > now:
            self.due = reconsidered
            return False
        self.last, self.initial = now, False
        self.due = now + self.interval(again)
        return True

    def note(self, size: float) -> None:
        """A compound of so many bytes was sent or received."""
        self.size += (size - self.size) / 16.0
