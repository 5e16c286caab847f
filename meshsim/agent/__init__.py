"""The whole node without IO: a `MeshAgent` takes messages, time and intents, and hands out effects for a driver."""

from __future__ import annotations

from meshsim.agent.agent import MeshAgent
from meshsim.agent.calls import CallRequest
from meshsim.agent.core import AgentConfig
from meshsim.agent.effects import Channel, CloseMedia, Dial, Effect, Emit, MediaReport, OpenMedia, Resolve, Send, Undial
from meshsim.agent.messages import Message, decode, encode
from meshsim.agent.samples import CallSample, EventSample, Failover, ReceiptSample, RouteSample, Sample, TrustSample
from meshsim.agent.states import CallEvent, CallState

__all__ = [
    "AgentConfig",
    "CallEvent",
    "CallRequest",
    "CallSample",
    "CallState",
    "Channel",
    "CloseMedia",
    "Dial",
    "Effect",
    "Emit",
    "EventSample",
    "Failover",
    "MediaReport",
    "MeshAgent",
    "Message",
    "OpenMedia",
    "ReceiptSample",
    "Resolve",
    "RouteSample",
    "Sample",
    "Send",
    "TrustSample",
    "Undial",
    "decode",
    "encode",
]
