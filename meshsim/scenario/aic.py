"""What a scenario says of AIC, compression by learned codecs: who asks for it, and what the codec saves and costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from meshsim.mesh.media import PROFILES, AicProfile
from meshsim.scenario.part import Part, Shares
from meshsim.scenario.quantities import Number, Probability  # noqa: TC001 - pydantic reads them

ProfileName = Literal["brief", "lyra", "gfvc", "neural_video"]


class AicShares(Shares):
    """Shares of calls that leave AIC alone, take it where every node of the path has it, or insist; they sum to 1."""

    off: Probability = 0.0
    """Calls without AIC."""
    prefer: Probability = 0.0
    """Calls that take AIC where they find it."""
    require: Probability = 0.0
    """Calls that take only paths with AIC."""


class AicConfig(Part):
    """The codec behind AIC: a profile by name, and what of it is to be otherwise."""

    profile: ProfileName = "brief"
    """`brief`: the brief's 80 %; `lyra`: measured, voice only; `gfvc`: talking heads; `neural_video`: any picture."""
    saving: Annotated[Number, Field(ge=0, lt=1)] | None = None
    """Share of media bits saved in both voice and video, instead of the profile's."""
    delay: Annotated[Number, Field(ge=0, le=1)] | None = None
    """Algorithmic delay, one way, seconds, instead of the profile's."""
    quality_cost: Annotated[Number, Field(ge=0, le=3.5)] | None = None
    """MOS that the codec costs, instead of the profile's."""

    def codec(self) -> AicProfile:
        """The profile that is meant."""
        profile = PROFILES[self.profile]
        if self.saving is not None:
            profile = replace(profile, voice_saving=self.saving, video_saving=self.saving)
        if self.delay is not None:
            profile = replace(profile, delay=self.delay)
        return profile if self.quality_cost is None else replace(profile, quality_cost=self.quality_cost)
