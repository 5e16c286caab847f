from __future__ import annotations

import pytest

from meshsim.trust import status_of


@pytest.mark.parametrize(
    ("score", "status"),
    [
        (100, "verified"),
        (90, "verified"),
        (89.9, "trusted"),
        (70, "trusted"),
        (69.9, "new"),
        (30, "new"),
        (29.9, "suspicious"),
        (10, "suspicious"),
        (9.9, "banned"),
        (0, "banned"),
    ],
)
def test_thresholds_are_the_briefs(score: float, status: str) -> None:
    assert status_of(score) == status
