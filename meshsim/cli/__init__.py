"""The command line: thin verbs over the public functions. No verb's module is imported before it is called."""

from __future__ import annotations

from meshsim.cli.app import main

__all__ = ["main"]
