"""Bases of the parts of a scenario."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from meshsim.scenario.quantities import refuse

SHARE_TOLERANCE = 1e-6
"""Shares written with decimals need not sum to 1 exactly."""


class Part(BaseModel):
    """Base of all parts of a scenario: frozen, unknown keys refused, defaults checked like what is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)


class Shares(Part):
    """Base of mixes: shares that sum to 1."""

    @model_validator(mode="after")
    def _sum(self) -> Self:
        total = sum(self.shares().values())
        if abs(total - 1.0) > SHARE_TOLERANCE:
            raise refuse(f"the shares sum to {total:g}, not 1", allowed=["shares that sum to 1"])
        return self

    def shares(self) -> dict[str, float]:
        """Share of each kind, in the order of the fields."""
        return {name: float(getattr(self, name)) for name in type(self).model_fields}
