"""How Sphinx builds the site (`make docs`). Its source is the repository, so that links hold here and on a forge."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "meshsim"
author = "The meshsim authors"
project_copyright = "The meshsim authors, Apache-2.0"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sitegen"]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "notebooks/*.ipynb",
    "experiments/*/README.md",
    "data/README.md",
    "models/*/card.md",
    "*.md",
]
exclude_patterns = ["docs/_build/**", "**/.ipynb_checkpoints"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}

# Notebooks are shown as they are kept, without outputs: make test-full executes them and asserts what they find.
nb_execution_mode = "off"
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]

# Docstrings are plain Google style with `code` in single backticks.
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the types of attributes stand in the source; `bool_` would be a link
toc_object_entries = False

html_theme = "furo"
html_title = "meshsim"
html_static_path: list[str] = []
html_extra_path = ["_extra"]
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
pygments_style = "default"
nitpicky = False
