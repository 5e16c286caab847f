"""Features are finite, take precedence in the right order, and agree with the beliefs they come from."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh import geo, quality
from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.view import LinkBelief, LinkEntry, NetworkView, NodeBelief, NodeEntry, Role, make_view
from meshsim.routing import RouteRequest, features
from meshsim.routing.candidates import candidates_of
from meshsim.testing import network_views

IDS = [NodeId(bytes([i] * 32)) for i in range(4)]
REQUEST = RouteRequest(source=IDS[0], destinations=(IDS[1],), media=MediaType.AUDIO)
PATHS = candidates_of([(0, 1), (0, 2, 1), (0, 2, 3, 1)])


def small(**relay: float) -> NetworkView:
    nodes = [
        NodeEntry(id=IDS[0], capacity=4e6),
        NodeEntry(id=IDS[1], longitude=20.0),
        NodeEntry(id=IDS[2], role=Role.RELAY, **relay),
        NodeEntry(id=IDS[3], role=Role.SUPER_NODE, reputation=60.0, load=0.5, age=9.0, aic=False),
    ]
    links = [
        LinkEntry(src=0, dst=2, delay=0.020, jitter=0.003, loss=0.1, rate=3e6, age=7.0),
        LinkEntry(src=2, dst=1, delay=0.030, jitter=0.004, loss=0.1, rate=2e6),
        LinkEntry(src=2, dst=3, delay=0.010),
        LinkEntry(src=3, dst=1, delay=0.015),
    ]
    return make_view(nodes, links, fresh=[LinkEntry(src=2, dst=3, delay=0.011)])


def column(built: features.Features, name: str) -> np.ndarray:
    return built.path[:, features.PATH.index(name)]


def test_paths_are_composed_from_their_hops() -> None:
    belief = features.build(PATHS, REQUEST, small()).belief
    assert belief.rtt[1:] == pytest.approx([0.100, 2 * 0.046])
    assert belief.loss[1] == pytest.approx(quality.compose_loss([0.1, 0.1]))
    assert belief.jitter[1] == pytest.approx(quality.compose_jitter([0.003, 0.004]))
    assert belief.rate[1] == 2e6
    assert belief.hops.tolist() == [1, 2, 3]


def test_relays_are_summed_up_by_the_worst() -> None:
    belief = features.build(PATHS, REQUEST, small(reputation=90.0, load=0.1, age=3.0)).belief
    assert belief.min_reputation.tolist() == [100.0, 90.0, 60.0]
    assert belief.max_load.tolist() == [0.0, 0.1, 0.5]
    assert belief.oldest.tolist() == [0.0, 3.0, 9.0]
    assert belief.aic.tolist() == [True, True, False]


def test_an_unknown_link_is_predicted_from_the_distance() -> None:
    hops = features.believed_hops(small(), PATHS.hop_src[:1], PATHS.hop_dst[:1])
    metres = geo.distance(0.0, 0.0, 0.0, 20.0)
    assert hops.delay[0] == pytest.approx(float(geo.predicted_rtt(metres)) / 2)
    assert (hops.jitter[0], hops.loss[0], hops.rate[0], hops.age[0]) == (0.002, 0.005, 4e6, 1e4)
    assert not hops.observed[0]


def test_fresh_beliefs_come_before_shared_ones() -> None:
    view = small()
    hops = features.believed_hops(view, np.array([2, 0], np.int32), np.array([3, 2], np.int32))
    assert hops.delay.tolist() == [0.011, 0.020]
    assert (
        features.believed_hops(replace(view, fresh=None), np.array([2], np.int32), np.array([3], np.int32)).delay
        == 0.010
    )


def test_path_columns_say_what_the_beliefs_say() -> None:
    built = features.build(PATHS, replace(REQUEST, aic=AicPolicy.PREFER), small(reputation=90.0, evidence=20.0))
    assert column(built, "direct").tolist() == [1, 0, 0]
    assert column(built, "min_reputation") == pytest.approx([0, 0.9, 0.6])
    assert column(built, "min_evidence") == pytest.approx([0, np.log1p(20), np.log1p(20)])
    assert column(built, "observed").tolist() == [0, 1, 1]
    assert column(built, "aic_wanted").tolist() == [1, 1, 1]
    assert column(built, "audio").tolist() == [1, 1, 1]
    assert column(built, "data").tolist() == [0, 0, 0]
    assert column(built, "log_headroom")[1] == pytest.approx(np.log(2e6 / 44e3))
    assert column(built, "believed_good").tolist() == [1, 0, 0]


def test_links_and_hops_have_the_same_columns() -> None:
    view = replace(small(), fresh=None)
    built = features.build(PATHS, REQUEST, view)
    assert np.array_equal(built.hop[1], built.link[0])
    assert built.link.shape == (4, len(features.HOP))
    assert built.node.shape == (4, len(features.NODE))


def test_losses_add_up_along_a_path() -> None:
    built = features.build(PATHS, REQUEST, small())
    loss = built.hop[:, features.HOP.index("loss")]
    total = np.bincount(built.hop_path, weights=loss)
    assert total == pytest.approx(column(built, "loss"), abs=1e-6)


def test_fresh_links_and_the_request_leave_the_encoders_inputs_alone() -> None:
    view = small()
    one = features.build(PATHS, REQUEST, view)
    other = features.build(PATHS, replace(REQUEST, media=MediaType.DATA), replace(view, fresh=None, owner=2))
    assert other.node is one.node
    assert other.link is one.link
    assert np.array_equal(one.link_src, view.links.src)
    assert np.array_equal(one.link_dst, view.links.dst)
    assert (one.version, other.version) == ((-1, 0), (2, 0))


_EXTREME = st.sampled_from([0.0, -1.0, 1.0, 1e30, float("inf"), float("nan")])


def _spoiled(part: NodeBelief | LinkBelief, value: float) -> NodeBelief | LinkBelief:
    real = [f.name for f in fields(part) if getattr(getattr(part, f.name), "dtype", None) == np.float64]
    return replace(part, **{name: np.full(len(part), value) for name in real if name not in {"latitude", "longitude"}})


@given(view=network_views(least=4), of_nodes=_EXTREME, of_links=_EXTREME)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
def test_every_feature_is_finite_whatever_is_believed(view: NetworkView, of_nodes: float, of_links: float) -> None:
    spoiled = replace(view, nodes=_spoiled(view.nodes, of_nodes), links=_spoiled(view.links, of_links))
    built = features.build(PATHS, REQUEST, spoiled)
    for table in (built.node, built.link, built.hop, built.path):
        assert table.dtype == np.float32
        assert np.isfinite(table).all()
    assert len(built) == len(PATHS)


def test_column_names_are_unique() -> None:
    for names in (features.NODE, features.HOP, features.PATH):
        assert len(set(names)) == len(names)


def test_tables_are_made_when_somebody_looks_and_not_before() -> None:
    looked: list[str] = []
    built = features.build(PATHS, REQUEST, small())

    def table() -> np.ndarray:
        looked.append("path")
        return built.path

    kept = ("graph", "version", "hop_src", "hop_dst", "hop_path", "belief", "media")
    own = {name: getattr(built, name) for name in kept}
    lazy = features.Features(hop=built.hop, path=table, **own)
    assert (len(lazy), looked) == (3, [])
    assert lazy.path is built.path
    assert lazy.path is built.path
    assert (looked, lazy.hop is built.hop) == (["path"], True)


def test_features_keep_the_hops_they_were_made_of() -> None:
    built = features.build(PATHS, REQUEST, small())
    again = features.believed_hops(small(), PATHS.hop_src, PATHS.hop_dst)
    assert built.hops is not None
    assert np.array_equal(built.hops.delay, again.delay)
