"""Puts the default scorer into the wheel as package data; an editable install reads it from models/ itself."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ScorerHook(BuildHookInterface):
    """Build hook of the wheel, named in pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds models/route-scorer as meshsim/_models/route-scorer when a real wheel is built.

        Args:
            version: `standard` or `editable`.
            build_data: What hatchling will build; changed in place.
        """
        if version == "standard":
            build_data["force_include"]["models/route-scorer"] = "meshsim/_models/route-scorer"
