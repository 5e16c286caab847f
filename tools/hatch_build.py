"""Puts the default models and the registry of data into the wheel; an editable install reads them where they are."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ScorerHook(BuildHookInterface):
    """Build hook of the wheel, named in pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the default models and data/registry.yaml below meshsim/ when a real wheel is built.

        Args:
            version: `standard` or `editable`.
            build_data: What hatchling will build; changed in place.
        """
        if version == "standard":
            for name in ("route-scorer", "delays"):
                build_data["force_include"][f"models/{name}"] = f"meshsim/_models/{name}"
            build_data["force_include"]["data/registry.yaml"] = "meshsim/_data/registry.yaml"
