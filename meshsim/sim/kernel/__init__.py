"""The packet engine: networks of links and flows, packet by packet, compiled."""

from __future__ import annotations
