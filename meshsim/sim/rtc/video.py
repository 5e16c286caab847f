"""A camera as an encoder sends it: groups of pictures, frames cut into packets, layers of simulcast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.links.normal import normal_quantile
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import WIRE_OVERHEAD_BYTES
from meshsim.sim.packets.draws import Draws
from meshsim.sim.rtc.packet import EXTENSION_BYTES, FEC_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.mesh.seeds import SeedTree

MTU = 1200
"""Bytes of a packet on the wire that no path refuses."""

LARGEST_PAYLOAD = MTU - WIRE_OVERHEAD_BYTES - 2 * EXTENSION_BYTES - FEC_BYTES
"""Bytes of video in a packet, such that the packet that repairs it fits too."""

LEAST_RATE = 30e3
"""Bits per second below which an encoder does not go."""

HEADROOM = 0.85
"""Share of the estimated rate that a layer may take before a lower one is chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A video stream.

    Attributes:
        bitrate: Most bits per second of payload; with layers that of the highest counts instead.
        fps: Frames per second.
        gop: Frames from one key frame to the next.
        key_ratio: Size of a key frame over that of another.
        variation: Standard deviation of the logarithm of frame sizes.
        layers: Bit rates of simulcast layers, ascending; empty for one stream that follows the target.
    """

    bitrate: float = 1e6
    fps: float = 30.0
    gop: int = 90
    key_ratio: float = 4.0
    variation: float = 0.15
    layers: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.fps <= 0.0 or self.gop < 1 or self.key_ratio < 1.0:
            raise ConfigError(f"not a video stream: {self}", key="video")
        if list(self.layers) != sorted(set(self.layers)):
            raise ConfigError(f"{self.layers} do not ascend", key="video.layers")


class Camera:
    """One end's encoder.

    Args:
        codec: What it sends.
        seeds: Root of the draws.
        index: Names its stream of draws.
    """

    def __init__(self, codec: Video, seeds: SeedTree, index: int) -> None:
        self._codec = codec
        self._sizes = Draws(seeds.stream("rtc.picture", index))
        self._since_key = codec.gop

    def frame(self, n: int, rate: float, *, key: bool) -> tuple[int, bool]:
        """Bytes of frame n, and whether it is a key frame; to be asked for in order.

        Args:
            n: Which, from 0.
            rate: Bits per second of payload to aim at.
            key: Whether a key frame is wanted.
        """
        codec = self._codec
        key = key or self._since_key >= codec.gop
        self._since_key = 1 if key else self._since_key + 1
        plain = rate / codec.fps / 8.0 * codec.gop / (codec.gop - 1 + codec.key_ratio)
        spread = codec.variation
        drawn = math.exp(spread * normal_quantile(self._sizes.at(n)) - spread**2 / 2.0) if spread > 0.0 else 1.0
        return max(round(plain * (codec.key_ratio if key else 1.0) * drawn), 1), key


def pieces(size: int) -> list[int]:
    """Bytes in each packet of a frame: as few packets as fit, nearly equal.

    >>> pieces(2300)
    [767, 767, 766]
    """
    count = -(-size // LARGEST_PAYLOAD)
    whole, rest = divmod(size, count)
    return [whole + 1] * rest + [whole] * (count - rest)


def wire_share() -> float:
    """Share of video's rate on the wire that is payload, with full packets.

    >>> round(wire_share(), 3)
    0.951
    """
    return LARGEST_PAYLOAD / (LARGEST_PAYLOAD + WIRE_OVERHEAD_BYTES + EXTENSION_BYTES)


def repair_share(group: int) -> float:
    """Packets on the wire for each packet of media when every `group` of them is protected by one; 0 protects none."""
    return 1.0 + 1.0 / group if group else 1.0


def choose_layer(layers: Sequence[float], estimate: float, present: int) -> int:
    """The layer to pass to a receiver whose path is estimated to carry `estimate` bits per second of video payload.

    The highest that leaves headroom; the present one is kept as long as it fits at all, so that the choice does not
    swing. A selective forwarder beside the sender chooses like this for each receiver.

    >>> choose_layer((1e5, 5e5, 1.5e6), 1.6e6, 0), choose_layer((1e5, 5e5, 1.5e6), 1.6e6, 2)
    (1, 2)
    """
    if layers[present] <= estimate and (present + 1 == len(layers) or layers[present + 1] > HEADROOM * estimate):
        return present
    return max((n for n, rate in enumerate(layers) if rate <= HEADROOM * estimate), default=0)
