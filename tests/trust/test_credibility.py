from __future__ import annotations

from typing import ClassVar

from meshsim.testing import ReputationContract


class TestCredibility(ReputationContract):
    name = "credibility"
    excused: ClassVar[dict[str, str]] = {}
