"""Community meshes of the data folder as underlays: `freifunk/<city>` and `nycmesh/2025`.

What the maps say becomes what a topology can say of its links (`docs/topologies.md`):

- *Radio links of Freifunk* have a link quality q for each direction, the share of broadcast probes that arrive. Unicast
  frames are sent up to `Radio.attempts` times, each attempt taken to arrive with probability q: a packet is lost with
  (1 - q)^attempts. The rate of the radio is that of links of such quality (or what the map says), the rate of the link
  is what airtime and repeats leave of it for 1,500 B packets, and repeats delay a packet of media by their airtime.
- *Radio links of NYC Mesh* have a length and a band: `links.radio` says what rate and loss follow.
- *Tunnels* (vpn) cross the Internet: the delay that is usual over such a distance; rate and loss are not said.
- *Cables and fibre* say nothing but their length; fibre has 1 Gbit/s.

The places are those of the largest part.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from meshsim.links import radio
from meshsim.links.radio import Radio, mean_attempts, residual_loss
from meshsim.mesh import geo
from meshsim.mesh.topology import Topology, measures
from meshsim.scenario.topologies.files import Imported, Options, read_raw
from meshsim.scenario.topologies.files.assemble import assemble
from meshsim.scenario.topologies.files.attributes import number
from meshsim.scenario.topologies.files.raw import Raw, RawEdge
from meshsim.scenario.topologies.registry import data_file, reading

CITIES = ("aachen", "altdorf", "berlin", "bielefeld", "cologne-bonn-area", "munich", "stuttgart", "ulm")
"""Freifunk networks of the data folder."""

NAMES = (*(f"freifunk/{city}" for city in CITIES), "nycmesh/2025")
"""Every community mesh, whether its data are on this machine or not."""

ROOFTOP = Radio(power_dbm=55.0, exponent=2.2, shadowing_db=0.0)
"""Directional 5 GHz radios in sight of each other: 20 dBm, antennas of 16 and 19 dBi (assumed; so is the exponent)."""

MILLIMETRE = Radio(power_dbm=78.0, reference_db=68.0, exponent=2.0, shadowing_db=0.0, noise_dbm=-71.0, fading_db=3.0)
"""60 GHz radios: 40 dBm radiated, an antenna of 38 dBi (assumed), free space, noise in 2.16 GHz and 10 dB."""

_FREIFUNK = Radio()
_OXYGEN = 0.015  # dB per metre at 60 GHz, ITU-R P.676
_MILLIMETRE_REQUIRED, _GIGABIT = 5.0, 1e9
_PACKET, _MEDIA = 1500.0, 200.0  # bytes: what rates are chosen for; a packet of media
_LIGHT = 299_792_458.0

_Kind = Literal["radio", "rooftop", "60GHz", "fibre", "cable", "tunnel"]
_KINDS: Mapping[str, _Kind] = {
    "wifi": "radio",
    "vpn": "tunnel",
    "other": "cable",
    "unknown": "cable",
    "active": "rooftop",
    "60GHz": "60GHz",
    "fiber": "fibre",
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Link:
    """One direction of a link as the map has it: share of probes delivered, radio's rate in bits per second if said."""

    kind: _Kind
    quality: float = 1.0
    rate: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """What a link does to packets: one-way seconds, share lost, bits per second; NaN where the map does not say it."""

    delay: float = np.nan
    loss: float = np.nan
    rate: float = np.nan


def read(name: str) -> Imported:
    """The community mesh `name` of `NAMES`, and what was left out of its map.

    Raises:
        ConfigError: If the data folder is not named or lacks the file.
    """
    family, _, which = name.partition("/")
    stored = f"{which}.graphml.gz" if family == "freifunk" else f"nycmesh_{which}.graphml.gz"
    raw = read_raw(data_file(family, stored))
    if family == "nycmesh":
        _leave_out(raw, {node.id for node in raw.nodes if node.said.get("status") == "Powered Off"}, "powered off")
        links = _new_york(raw)
    else:
        _leave_out(raw, {node.id for node in raw.nodes if node.said.get("online") == "False"}, "offline")
        links = _reported(raw) if raw.directed else _viewed(raw)
    raw.edges = _only(raw.edges, links)
    # what the map says beside coordinates is used above, or by none
    raw.nodes = [dataclasses.replace(node, said=_coordinates(node.said)) for node in raw.nodes]
    found = assemble(raw, name, Options(component="largest", directed=True))
    return dataclasses.replace(found, topology=_with_effects(found.topology, links))


def _leave_out(raw: Raw, nodes: set[str], why: str) -> None:
    if nodes:
        raw.notes.append(f"nodes that are {why} left out: {len(nodes)}")
    raw.nodes = [node for node in raw.nodes if node.id not in nodes]
    raw.edges = [edge for edge in raw.edges if not {edge.source, edge.target} & nodes]


def _coordinates(said: Mapping[str, object]) -> dict[str, object]:
    return {name: said[name] for name in ("lat", "lon") if name in said}


_Links = dict[tuple[str, str], _Link]


def _viewed(raw: Raw) -> _Links:
    """Links of a meshviewer map: `tq_fwd` is that from the lower id to the higher; 0 says that nothing is known."""
    links: _Links = {}
    for edge in raw.edges:
        low, high = sorted((edge.source, edge.target), key=int)
        forth, back = (_said(edge, name) for name in ("tq_fwd", "tq_rev"))
        kind = _KINDS[str(edge.said["type"])]
        if kind != "radio":
            links[low, high] = links[high, low] = _Link(kind)
        elif forth or back:
            links[low, high], links[high, low] = _Link(kind, forth or back), _Link(kind, back or forth)
    _note_silent(raw, links)
    return links


def _reported(raw: Raw) -> _Links:
    """Links of an OLSR map: each node says what it hears (`lq`) and what its neighbour hears of it (`nlq`).

    Links that are no radio by name but lose probes are radios behind a cable.
    """
    alive = [edge for edge in raw.edges if not _said(edge, "dead")]
    heard: dict[tuple[str, str], list[float]] = {}
    for edge in alive:
        for pair, name in (((edge.source, edge.target), "nlq"), ((edge.target, edge.source), "lq")):
            heard.setdefault(pair, []).append(_said(edge, name) or _said(edge, "quality"))
    rates = {(edge.source, edge.target): 1e3 * _said(edge, "tx_rate_kbps") for edge in alive}
    kinds: dict[tuple[str, str], _Kind] = {}
    for edge in alive:
        kinds[edge.source, edge.target] = kinds[edge.target, edge.source] = _KINDS[str(edge.said["iface"])]
    links: _Links = {}
    for pair, shares in heard.items():
        quality = sum(shares) / len(shares)
        kind = "radio" if kinds[pair] == "cable" and quality < 1.0 else kinds[pair]
        if quality > 0.0:
            links[pair] = _Link(kind, quality, rates.get(pair) or None)
    _note_silent(raw, links)
    return links


def _new_york(raw: Raw) -> _Links:
    built = [edge for edge in raw.edges if edge.said["status"] != "planned"]
    raw.notes.append(f"links that are only planned left out: {len(raw.edges) - len(built)}")
    links = {(edge.source, edge.target): _Link(_KINDS[str(edge.said["status"])]) for edge in built}
    return {**links, **{(b, a): link for (a, b), link in links.items()}}


def _said(edge: RawEdge, name: str) -> float:
    value = edge.said.get(name)
    return 0.0 if value is None else number(value, edge.place, name)


def _note_silent(raw: Raw, links: _Links) -> None:
    silent = sum((edge.source, edge.target) not in links for edge in raw.edges)
    if silent:
        raw.notes.append(f"radio links of no known quality left out: {silent}")


def _only(edges: Iterable[RawEdge], links: _Links) -> list[RawEdge]:
    """Both directions of the edges that have links."""
    kept = [edge for edge in edges if (edge.source, edge.target) in links]
    ends = {(edge.source, edge.target): edge for edge in kept}
    ends |= {(edge.target, edge.source): edge for edge in kept if (edge.target, edge.source) not in ends}
    length = {
        pair: {name: edge.said[name] for name in ("dist_km",) if name in edge.said} for pair, edge in ends.items()
    }
    return [
        RawEdge(source=a, target=b, said=length[a, b], place=edge.place)
        for (a, b), edge in ends.items()
        if (a, b) in links
    ]


# What links do to packets ---------------------------------------------------------------------------------------------

Rates = tuple[list[float], list[float]]
"""Link qualities, ascending, and the rates (bits per second) of radios whose links have them."""


def _with_effects(topology: Topology, links: _Links) -> Topology:
    names, rates = topology.names, radio_rates()
    ends = zip(topology.src.tolist(), topology.dst.tolist(), topology.length.tolist(), strict=True)
    effects = [_effect(links[names[a], names[b]], metres, rates) for a, b, metres in ends]
    said = [
        {name: value for name, value in dataclasses.asdict(effect).items() if not np.isnan(value)} for effect in effects
    ]
    found = measures(said)
    return dataclasses.replace(topology, delay=found.get("delay"), loss=found.get("loss"), rate=found.get("rate"))


def radio_rates() -> Rates:
    """The table of the data folder: medians of Freifunk Berlin by signal-to-noise ratio.

    Raises:
        ConfigError: If the data folder is not named or lacks the file.
    """
    with reading("params", "parameters.json") as path:
        table = json.loads(path.read_text(encoding="utf-8"))["links"]["wifi_snr_to_lq"]
        return table["median_lq"], [1e3 * kbps for kbps in table["median_tx_rate_kbps"]]


def _effect(link: _Link, metres: float, rates: Rates) -> Effect:
    if link.kind == "tunnel":
        return Effect(delay=float(geo.predicted_rtt(metres)) / 2)
    if link.kind == "radio":
        rate = link.rate or float(np.interp(link.quality, *rates))
        return repeated(link.quality, rate, metres)
    if link.kind == "60GHz":
        return millimetre(metres)
    if link.kind == "rooftop":
        return rooftop(metres)
    return Effect(rate=_GIGABIT) if link.kind == "fibre" else Effect()


def repeated(share: float, rate: float, metres: float) -> Effect:
    """A radio link of a Freifunk network.

    Args:
        share: Probability that an attempt arrives.
        rate: Of the radio, bits per second.
        metres: Length.
    """
    attempts = mean_attempts(share, _FREIFUNK.attempts)
    return Effect(
        delay=metres / _LIGHT + (attempts - 1.0) * radio.airtime(rate, _MEDIA),
        loss=residual_loss(share, _FREIFUNK.attempts),
        rate=8.0 * _PACKET / (attempts * radio.airtime(rate, _PACKET)),
    )


def rooftop(metres: float) -> Effect:
    """A link of `ROOFTOP` radios of that length in metres."""
    link = radio.radio_link(metres, 0.0, 0.0, ROOFTOP, size_bytes=_PACKET)
    return Effect(delay=link.propagation, loss=link.loss, rate=link.rate_bps)


def millimetre(metres: float) -> Effect:
    """A 60 GHz link of that length in metres; where half of the attempts would fail, its spare radio of 5 GHz."""
    snr = radio.signal_to_noise(metres, 0.0, 0.0, MILLIMETRE) - _OXYGEN * metres
    share = radio.faded_delivery(snr, _MILLIMETRE_REQUIRED, _PACKET, MILLIMETRE.fading_db)
    if share < 0.5:  # noqa: PLR2004 - half
        return rooftop(metres)
    attempts = mean_attempts(share, MILLIMETRE.attempts)
    loss = residual_loss(share, MILLIMETRE.attempts)
    return Effect(delay=metres / _LIGHT, loss=loss, rate=_GIGABIT / attempts)
