"""Where underlay topologies come from: published and measured ones, files, generators; and who may train on which."""

from __future__ import annotations

from meshsim.scenario.topologies.allowed import Use, allowed_for
from meshsim.scenario.topologies.catalogue import check_name, load, names, read
from meshsim.scenario.topologies.generators import lay_out
from meshsim.scenario.topologies.library import GENERATORS

__all__ = ["GENERATORS", "Use", "allowed_for", "check_name", "lay_out", "load", "names", "read"]
