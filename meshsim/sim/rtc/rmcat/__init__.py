"""Congestion control under the test cases of RFC 8867: a bottleneck that media and TCP flows share."""

from __future__ import annotations

from meshsim.sim.rtc.rmcat.bottleneck import Bottleneck, Log, MediaFlow, Steps, TcpFlow
from meshsim.sim.rtc.rmcat.cases import MediaCase, Outcome, cases, judge_logs, lived, run_case

__all__ = [
    "Bottleneck",
    "Log",
    "MediaCase",
    "MediaFlow",
    "Outcome",
    "Steps",
    "TcpFlow",
    "cases",
    "judge_logs",
    "lived",
    "run_case",
]
