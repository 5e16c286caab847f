"""Attributes of nodes and edges as numbers in SI units, under the names that graph files give them."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.scenario.quantities import FASTEST, LONGEST, SLOWEST

if TYPE_CHECKING:
    from meshsim.scenario.topologies.files.raw import Place

_FARTHEST = 1e6
"""Coordinates of a plane, kilometres; how far its places may be apart is said in `layout`."""

_UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
_NAMES = ("name", "label")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number that a file may say: its names (in lower case) with the factor to SI, and its bounds after that."""

    names: Mapping[str, float]
    least: float
    most: float

    def read(self, said: Mapping[str, object], place: Place) -> float | None:
        """The value in `said`, None where nothing is said.

        Raises:
            ConfigError: With place and attribute, if it is no number or out of bounds.
        """
        for name, value in said.items():
            factor = self.names.get(name.casefold())
            if factor is not None and not _absent(value):
                return self._checked(number(value, place, name) * factor, name, value, place)
        return None

    def _checked(self, number: float, name: str, value: object, place: Place) -> float:
        if self.least <= number <= self.most:
            return number
        factor = self.names[name.casefold()]
        bounds = f"{self.least / factor:g} to {self.most / factor:g}"
        raise place.error(f"out of range: {value!r}", allowed=(bounds,), attribute=name)


LATITUDE = Quantity(names={"latitude": 1.0, "lat": 1.0}, least=-90.0, most=90.0)
LONGITUDE = Quantity(names={"longitude": 1.0, "lon": 1.0, "lng": 1.0, "long": 1.0}, least=-180.0, most=180.0)
PLANE_X = Quantity(names={"x": 1.0}, least=-_FARTHEST, most=_FARTHEST)
PLANE_Y = Quantity(names={"y": 1.0}, least=-_FARTHEST, most=_FARTHEST)

LENGTH = Quantity(
    names={
        **dict.fromkeys(("length_metres", "length_m", "length"), 1.0),
        **dict.fromkeys(("length_km", "dist_km", "distance_km", "dist"), 1e3),
    },
    least=0.0,
    most=LONGEST,
)
"""Metres; `dist` is topohub's, in kilometres."""

MEASURED = {
    "delay": Quantity(names={"delay_seconds": 1.0, "delay": 1.0, "delay_ms": 1e-3}, least=0.0, most=LONGEST),
    "jitter": Quantity(names={"jitter_seconds": 1.0, "jitter": 1.0, "jitter_ms": 1e-3}, least=0.0, most=LONGEST),
    "loss": Quantity(names={"loss": 1.0}, least=0.0, most=1.0),
    "rate": Quantity(
        names={
            **dict.fromkeys(("rate_bps", "rate", "linkspeedraw"), 1.0),
            **dict.fromkeys(("rate_kbps", "capacity_kbps"), 1e3),
            **dict.fromkeys(("rate_mbps", "capacity_mbps"), 1e6),
            **dict.fromkeys(("rate_gbps", "capacity_gbps"), 1e9),
        },
        least=SLOWEST,
        most=FASTEST,
    ),
}
"""What `mesh.topology.MEASURES` names; one-way delay. `LinkSpeedRaw` is the Topology Zoo's."""

WRITTEN = {"delay": "delay_seconds", "jitter": "jitter_seconds", "loss": "loss", "rate": "rate_bps"}
"""The names under which files are written."""

_KNOWN = {
    *_NAMES,
    "pos",
    "id",
    *(name for quantity in (LATITUDE, LONGITUDE, PLANE_X, PLANE_Y, LENGTH) for name in quantity.names),
    *(name for quantity in MEASURED.values() for name in quantity.names),
}


def is_known(name: str) -> bool:
    """Whether anything is made of the attribute `name`."""
    return name.casefold() in _KNOWN


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def number(value: object, place: Place, name: str) -> float:
    """`value` as a finite number.

    Raises:
        ConfigError: With place and attribute, if it is none.
    """
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise place.error(f"not a number: {_shown(value)}", allowed=("<number>",), attribute=name)
    return found


def _shown(value: object) -> str:
    """`value` as written; Python writes no whole numbers of thousands of digits."""
    return "a whole number too large" if isinstance(value, int) and not isinstance(value, bool) else repr(value)


def on_plane(position: object) -> bool:
    """Whether a topohub position [x, y] cannot be degrees: then it is in kilometres, as all of its graph."""
    match position:
        case [int() | float() as x, int() | float() as y]:
            return abs(x) > LONGITUDE.most or abs(y) > LATITUDE.most
    return False


def name_of(said: Mapping[str, object], identity: str, place: Place) -> str:
    """The name of a node: what it says, or its id.

    Raises:
        ConfigError: If a name cannot be printed in a line.
    """
    given = {key.casefold(): value for key, value in said.items() if not _absent(value)}
    name = str(next((given[key] for key in _NAMES if key in given), identity)).strip()
    problem = unwritable(name)
    if problem:
        raise place.error(f"{problem}: {name!r}", attribute="name")
    return name


def unwritable(name: str) -> str:
    """Why `name` cannot be a place's name in a file; "" if it can.

    >>> unwritable("Köln"), unwritable("a b ")
    ('', 'a name with blanks around it')
    """
    if not name:
        return "an empty name"
    if name != name.strip():
        return "a name with blanks around it"
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        return "a name with characters that cannot be printed"
    return ""
