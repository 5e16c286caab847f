"""Types of fields that several kinds of messages have, with their limits."""

from __future__ import annotations

from typing import Annotated

import msgspec

from meshsim.mesh.ids import CALL_ID_BYTES, NODE_ID_BYTES, CallId, NodeId

Node = Annotated[NodeId, msgspec.Meta(min_length=NODE_ID_BYTES, max_length=NODE_ID_BYTES)]
Call = Annotated[CallId, msgspec.Meta(min_length=CALL_ID_BYTES, max_length=CALL_ID_BYTES)]
Signature = Annotated[bytes, msgspec.Meta(max_length=64)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
