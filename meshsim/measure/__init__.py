"""What is measured and how it is written down: records, trace, metrics, statistics. What is believed: `mesh.view`."""

from __future__ import annotations

from meshsim.measure.records import SCHEMA_VERSION, TABLES, Column
from meshsim.measure.trace import Trace, TraceWriter, trace_sha256

__all__ = ["SCHEMA_VERSION", "TABLES", "Column", "Trace", "TraceWriter", "trace_sha256"]
