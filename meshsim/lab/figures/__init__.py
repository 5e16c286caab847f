"""One function per figure, one house style, stable bytes.

Each function makes a matplotlib figure of plain values; `save` writes it as SVG, PDF or PNG, `svg` makes text of it
for a report. In a notebook a figure shows itself.
"""

from meshsim.lab.figures.comparisons import along, bands, bands_beside, differences, intervals, poor_rates
from meshsim.lab.figures.distributions import detours, rtt_distribution, survival
from meshsim.lab.figures.learning import calibration, training
from meshsim.lab.figures.networks import network, topology
from meshsim.lab.figures.reality import Agreement, agreement, in_time, packets, twin
from meshsim.lab.figures.reputations import reputation
from meshsim.lab.figures.style import canvas, house_style, panels, save, svg

__all__ = [
    "Agreement",
    "agreement",
    "along",
    "bands",
    "bands_beside",
    "calibration",
    "canvas",
    "detours",
    "differences",
    "house_style",
    "in_time",
    "intervals",
    "network",
    "packets",
    "panels",
    "poor_rates",
    "reputation",
    "rtt_distribution",
    "save",
    "survival",
    "svg",
    "topology",
    "training",
    "twin",
]
