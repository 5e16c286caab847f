"""Reader of the GNNet challenge's samples: networks that others simulated packet by packet, with each flow's delay.

A sample is a graph, a routing, a traffic matrix and what OMNeT++ measured (M. Ferriol-Galmes et al., RouteNet-Fermi,
IEEE/ACM ToN 2023; J. Suarez-Varela et al., ACM SIGCOMM CCR 51(3), 2021). A folder holds `graphs/`, `routings/` and
archives `results_*.tar.gz`; line i of the five files of an archive belongs to its sample i. What the fields mean stands
in the data folder's README. Sizes stay in bits, as published. Simulating a sample is the simulator's (`sim.gnnet`).
"""

from __future__ import annotations

from meshsim.measure.external.gnnet.lines import Place
from meshsim.measure.external.gnnet.reader import find_samples, read_sample
from meshsim.measure.external.gnnet.values import POLICIES, Flow, Measured, Router, Sample, Usage

__all__ = ["POLICIES", "Flow", "Measured", "Place", "Router", "Sample", "Usage", "find_samples", "read_sample"]
