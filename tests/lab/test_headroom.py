from __future__ import annotations

import numpy as np
import pytest

from meshsim import scenario
from meshsim.lab.headroom import headroom
from meshsim.mesh.errors import ConfigError
from meshsim.scenario.topologies import registry

QUIET = (
    "calls.rate=0", "nodes.count=60", "nodes.nat={open: 1, cone: 0, port_restricted: 0, symmetric: 0}",
    "underlay.utilisation_mean=5%", "underlay.drift.congestion.rate_per_edge_per_hour=0", "underlay.loss=0",
)  # fmt: skip


def plan(*overrides: str, seed: int = 1) -> scenario.Plan:
    return scenario.compile(scenario.change(scenario.Scenario(), [*QUIET, *overrides]), seed)


def test_a_quiet_world_has_no_poor_pair_and_nothing_to_repair() -> None:
    found = headroom(plan("underlay.topology=sndlib/polska"), pairs=30, instants=(10.0,))
    assert (found.poor, found.rtt, found.jitter, found.loss) == (0.0, 0.0, 0.0, 0.0)
    assert np.isnan(found.repaired)


def test_what_the_last_mile_spoils_no_relay_repairs() -> None:
    found = headroom(
        plan("nodes.access.peer.loss=5%", "underlay.topology=sndlib/polska"), pairs=60, instants=(10.0, 20.0)
    )
    assert found.loss > 0.9
    assert found.poor >= max(found.rtt, found.jitter, found.loss)
    assert found.repaired < 0.2


def test_what_crossing_transit_spoils_relays_repair() -> None:
    thin = ("underlay.capacity=60 Mbps", "underlay.utilisation_mean=45%", "underlay.utilisation_spread=0")
    found = headroom(plan("underlay.topology=sndlib/polska", *thin), pairs=60, instants=(10.0,))
    assert found.jitter > 0.2
    assert found.repaired > 0.9


def test_worlds_without_relays_or_questions_are_refused() -> None:
    polska = plan("underlay.topology=sndlib/polska")
    with pytest.raises(ConfigError, match="2 pairs at 3 instants"):
        headroom(polska, pairs=2)
    alone = plan("underlay.topology=sndlib/polska", "nodes.roles={relay: 0, super_node: 0}")
    with pytest.raises(ConfigError, match="60 peers, 0 relaying nodes"):
        headroom(alone)


def test_the_same_plan_has_the_same_headroom() -> None:
    one, other = (headroom(plan(seed=3), pairs=20, instants=(5.0,)) for _ in range(2))
    assert one.faster == other.faster
    assert one.poor == other.poor


@pytest.mark.skipif(registry.data_folder() is None, reason="MESHSIM_DATA_DIR is not set")
def test_on_measured_latency_relays_shorten_many_round_trips() -> None:
    found = headroom(plan("underlay.topology=measured/wondernetwork"), pairs=90, instants=(10.0,))
    assert 0.2 < found.faster < 0.9
    assert found.rtt > 0.02
