"""Radio links: distance -> signal -> share of packets delivered -> what a link does to packets.

- Path loss grows with the logarithm of distance, plus a normal shadowing that both directions share (T. S. Rappaport,
  Wireless Communications, 4.9; exponent 2.7-3.5 in towns).
- At a fixed SNR a packet is delivered if all its bits are. Bit errors fall as exp(-c SNR) / 2, the form of DBPSK (J. G.
  Proakis, Digital Communications, 5.2), c such that 90 % of 1,000 B packets pass at the SNR that IEEE 802.11-2016,
  table 17-18, asks for (sensitivity, less noise in 20 MHz, a noise figure of 10 dB and a margin of 5 dB).
- The SNR of outdoor meshes fades by some dB while a link is used, which is why measured delivery has no sharp threshold
  (D. Aguayo et al., SIGCOMM 2004): the long-run share is the probability that a normal fading stays above its half.
- The two directions differ, for noise and power differ at the ends: each has a normal offset of `ASYMMETRY` fadings,
  fitted to the Freifunk networks' mean |TQ forward - TQ reverse| of 0.09-0.14 at median TQ of 0.66-0.85 (the data
  folder's README: 0.45 gives 0.09-0.13 over such links, and within 0.02 of three networks link by link).
- A packet's time on air is that of 802.11a: DIFS, mean backoff, preamble, symbols, SIFS, acknowledgement (J. Jun, P.
  Peddabachagari and M. Sichitiu, NCA 2003). Lost unicast frames are sent again, each attempt taken as independent.

What is not here: interference between links, and the time at which a shared channel is busy with others.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from meshsim.links.link import LinkParameters
from meshsim.mesh.errors import ConfigError

ASYMMETRY = 0.45
"""Standard deviation of one direction's offset, in standard deviations of the fading."""

RATES = (
    (6e6, 4.0),
    (9e6, 5.0),
    (12e6, 7.0),
    (18e6, 9.0),
    (24e6, 12.0),
    (36e6, 16.0),
    (48e6, 20.0),
    (54e6, 21.0),
)
"""Rates of 802.11a, bits per second, with the SNR (dB) at which 90 % of 1,000 B packets pass."""

_STEEPNESS = -math.log(2.0 * (1.0 - 0.9 ** (1.0 / 8000.0)))
_LIGHT = 299_792_458.0
_SYMBOL, _PREAMBLE, _SIFS, _DIFS, _BACKOFF = 4e-6, 20e-6, 16e-6, 34e-6, 67.5e-6
_FRAME, _ACK = 36, 14  # bytes: header, LLC and checksum of a frame; an acknowledgement


class Radio(NamedTuple):
    """A pair of stations and the space between them.

    Attributes:
        power_dbm: Radiated power with both antennas' gains.
        reference_db: Path loss at 1 m; 46.7 is free space at 5.2 GHz.
        exponent: Of path loss with distance.
        shadowing_db: Standard deviation of shadowing between places.
        noise_dbm: Noise at the receiver: -101 dBm in 20 MHz and a noise figure of 10 dB.
        fading_db: Standard deviation of the SNR while a link is used, above 0.
        attempts: Times that a unicast frame is sent at most (802.11's short retry limit: 7).
    """

    power_dbm: float = 20.0
    reference_db: float = 46.7
    exponent: float = 3.0
    shadowing_db: float = 6.0
    noise_dbm: float = -91.0
    fading_db: float = 5.0
    attempts: int = 7


def path_loss(distance: float, reference_db: float, exponent: float) -> float:
    """Loss in dB at `distance` metres without shadowing; nothing is nearer than 1 m.

    >>> path_loss(100.0, 46.7, 3.0)
    106.7
    """
    return reference_db + 10.0 * exponent * math.log10(max(distance, 1.0))


def signal_to_noise(distance: float, shadow: float, side: float, radio: Radio) -> float:
    """Mean SNR of one direction, dB.

    Args:
        distance: Metres.
        shadow: A standard normal draw, the same for both directions.
        side: Another for this direction alone.
        radio: The stations.
    """
    offset = radio.shadowing_db * shadow + ASYMMETRY * radio.fading_db * side
    return radio.power_dbm - path_loss(distance, radio.reference_db, radio.exponent) + offset - radio.noise_dbm


def delivery(snr_db: float, required_db: float, size_bytes: float) -> float:
    """Share of packets delivered at a steady SNR.

    Args:
        snr_db: The SNR.
        required_db: That at which 90 % of 1,000 B packets pass (`RATES`).
        size_bytes: Of the packets.

    >>> round(delivery(4.0, 4.0, 1000.0), 6)
    0.9
    """
    errors = 0.5 * math.exp(-_STEEPNESS * 10.0 ** ((snr_db - required_db) / 10.0))
    return math.exp(8.0 * size_bytes * math.log1p(-errors))


def half_delivery(required_db: float, size_bytes: float) -> float:
    """The SNR at which half of the packets pass, dB: `delivery` solved for it.

    >>> round(delivery(half_delivery(9.0, 200.0), 9.0, 200.0), 9)
    0.5
    """
    errors = -math.expm1(-math.log(2.0) / (8.0 * size_bytes))
    return required_db + 10.0 * math.log10(-math.log(2.0 * errors) / _STEEPNESS)


def faded_delivery(snr_db: float, required_db: float, size_bytes: float, fading_db: float) -> float:
    """Share of packets delivered over a normal fading, the steep curve of `delivery` taken as a step at its half.

    >>> faded_delivery(half_delivery(4.0, 1500.0), 4.0, 1500.0, 5.0)
    0.5
    """
    margin = snr_db - half_delivery(required_db, size_bytes)
    return 0.5 * math.erfc(-margin / (fading_db * math.sqrt(2.0)))


def airtime(rate_bps: float, size_bytes: float) -> float:
    """Seconds that one attempt keeps the channel, acknowledgement (at 6 Mbit/s) and mean backoff included.

    >>> round(airtime(54e6, 1500.0) * 1e6, 1)
    409.5
    """
    frame = _PREAMBLE + _symbols(_FRAME + size_bytes, rate_bps)
    return _DIFS + _BACKOFF + frame + _SIFS + _PREAMBLE + _symbols(_ACK, RATES[0][0])


def _symbols(size_bytes: float, rate_bps: float) -> float:
    """Seconds of the symbols that carry so many bytes, with service and tail bits."""
    return _SYMBOL * math.ceil((22.0 + 8.0 * size_bytes) / (rate_bps * _SYMBOL))


def best_rate(snr_db: float, size_bytes: float, fading_db: float) -> tuple[float, float]:
    """The rate that delivers most bits per second of airtime, and the share of packets it delivers at each attempt."""
    best, share, most = RATES[0][0], 0.0, -1.0
    for rate, required in RATES:
        delivered = faded_delivery(snr_db, required, size_bytes, fading_db)
        if delivered / airtime(rate, size_bytes) > most:
            best, share, most = rate, delivered, delivered / airtime(rate, size_bytes)
    return best, share


def link_quality(distance: float, shadow: float, side: float, radio: Radio) -> float:
    """Share of broadcast probes (100 B at the basic rate) that one direction delivers: what TQ, LQ and NLQ estimate.

    Args:
        distance: Metres.
        shadow: A standard normal draw, the same for both directions.
        side: Another for this direction alone.
        radio: The stations.
    """
    snr = signal_to_noise(distance, shadow, side, radio)
    return faded_delivery(snr, RATES[0][1], 100.0, radio.fading_db)


def mean_attempts(share: float, attempts: int) -> float:
    """Times that a unicast frame is sent on average, when each arrives with probability `share`, `attempts` at most.

    >>> mean_attempts(0.5, 3)
    1.75
    """
    return sum((1.0 - share) ** failed for failed in range(attempts))


def residual_loss(share: float, attempts: int) -> float:
    """Share of unicast frames that none of `attempts` brings over, when each arrives with probability `share`.

    >>> residual_loss(0.5, 3)
    0.125
    """
    return (1.0 - share) ** attempts


def radio_link(
    distance: float, shadow: float, side: float, radio: Radio, *, size_bytes: float = 1500.0
) -> LinkParameters:
    """One direction of a radio link as packets of `size_bytes` see it: its rate pays for airtime and for repeats.

    Args:
        distance: Metres.
        shadow: A standard normal draw, the same for both directions.
        side: Another for this direction alone.
        radio: The stations.
        size_bytes: Packets the rate is chosen for.

    Raises:
        ConfigError: If the stations' fading is not above 0 or they do not attempt to send.

    >>> near, far = (radio_link(metres, 0.0, 0.0, Radio()) for metres in (10.0, 150.0))
    >>> near.rate_bps > 10 * far.rate_bps, near.loss < 1e-9 < far.loss
    (True, True)
    """
    for name, least in (("fading_db", 1e-6), ("attempts", 1)):
        if not getattr(radio, name) >= least:
            raise ConfigError(f"{getattr(radio, name)!r} is out of range", key=name, allowed=[f"{least:g} and above"])
    rate, share = best_rate(signal_to_noise(distance, shadow, side, radio), size_bytes, radio.fading_db)
    return LinkParameters(
        rate_bps=8.0 * size_bytes / (mean_attempts(share, radio.attempts) * airtime(rate, size_bytes)),
        propagation=distance / _LIGHT,
        loss=residual_loss(share, radio.attempts),
    )
