"""The network one can look into: a trace as one HTML page with pan, zoom, search, time and the paths of calls.

`contents` says what is on a page (`steps`: nodes in time, `paths`: calls and candidates, `places`: where nodes stand),
`page` makes one file of it, `assets/` holds its style and program, `browser` looks at it.
"""

from __future__ import annotations

from meshsim.lab.view.page import View, view

__all__ = ["View", "view"]
