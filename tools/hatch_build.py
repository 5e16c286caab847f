"""Puts the default scorer and the registry of data into the wheel; an editable install reads them where they are."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ScorerHook(BuildHookInterface):
    """Build hook of the wheel, named in pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds models/route-scorer and data/registry.yaml below meshsim/ when a real wheel is built.

        Args:
            version: `standard` or `editable`.
            build_data: What hatchling will build; changed in place.
        """
        if version == "standard":
            build_data["force_include"]["models/route-scorer"] = "meshsim/_models/route-scorer"
            build_data["force_include"]["data/registry.yaml"] = "meshsim/_data/registry.yaml"
