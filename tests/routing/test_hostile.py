"""Views of numbers that cannot be, or contradict each other, give a decision without confidence or a named refusal."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.errors import NoRoute
from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.view import LinkBelief, LinkEntry, NodeBelief, NodeEntry, Role, make_view
from meshsim.routing import RouteRequest, RoutingEngine, features
from meshsim.routing.candidates import candidates_of
from meshsim.routing.policies import Learned
from meshsim.testing import network_views

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.mesh.view import NetworkView
    from meshsim.routing import RouteDecision

HOSTILE = (np.nan, np.inf, -np.inf, -1.0, -1e-9, -1e300, 1e300, 5e-324, 0.0, 1.0, 100.0, 1e9)
MOST_CONFIDENCE = 0.2
PREDICTED = ("rtt", "jitter", "loss", "mos")
FLOATS = [one.name for one in fields(NodeBelief) if "float64" in str(one.type)]
MEASURES = [one.name for one in fields(LinkBelief) if "float64" in str(one.type)]
WORDS = {"role": (-128, -1, 4, 127), "nat": (-128, -1, 4, 127), "max_calls": (-(2**31), -1, 2**31 - 1)}


def spoilt(belief: Any, names: list[str], draw: np.random.Generator, share: float) -> Any:
    """`belief` with some numbers of its columns `names` replaced by hostile ones."""
    changed = {}
    for name in names:
        column, values = getattr(belief, name).copy(), np.array(WORDS.get(name, HOSTILE))
        rows = draw.random(len(column)) < share
        column[rows] = draw.choice(values, int(rows.sum()))
        changed[name] = column
    return replace(belief, **changed)


@st.composite
def hostile_views(draw: st.DrawFn) -> NetworkView:
    """Views some of whose numbers nobody can have measured."""
    view = draw(network_views())
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share = draw(st.sampled_from([0.02, 0.2, 1.0]))
    nodes = draw(st.lists(st.sampled_from([*FLOATS, *WORDS]), unique=True))
    links = draw(st.lists(st.sampled_from(MEASURES), unique=True))
    return replace(
        view,
        nodes=spoilt(view.nodes, nodes, generator, share),
        links=spoilt(view.links, links, generator, share),
        fresh=None if view.fresh is None else spoilt(view.fresh, links, generator, share),
    )


requests: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    media=st.sampled_from(list(MediaType)),
    aic=st.sampled_from(list(AicPolicy)),
    max_hops=st.integers(1, 5),
    newcomers=st.booleans(),
)


def holds(decision: RouteDecision, *, sound: bool) -> None:
    assert sound or decision.confidence <= MOST_CONFIDENCE
    told = (decision.ai_score, decision.confidence, *(getattr(decision.predicted, name) for name in PREDICTED))
    assert np.isfinite(told).all()
    assert 0.0 <= decision.ai_score <= 100.0
    assert 0.0 <= decision.confidence <= 1.0


def held(policy: Learned, view: NetworkView, asked: dict[str, Any]) -> None:
    request = RouteRequest(source=view.nodes.ids[0], destinations=(view.nodes.ids[1],), **asked)
    engine = RoutingEngine(policy)
    ranking = engine.rank(request, view)
    if ranking.order:
        holds(engine.find(request, view), sound=bool(ranking.features.sound[ranking.order[0]]))
    else:
        with pytest.raises(NoRoute, match=r"no route: .+ \("):
            engine.find(request, view)
    (many,) = engine.rank_many([request], view)
    assert not many.paths or np.isfinite(many.claims).all()


@pytest.fixture(scope="module")
def policy(scorer: Path) -> Learned:
    return Learned(scorer)


IMPOSSIBLE = [
    *(("nodes", name, value) for name, values in WORDS.items() for value in values if name != "max_calls" or value < 0),
    *(("nodes", name, value) for name in FLOATS for value in (np.nan, -np.inf)),
    *(("nodes", name, np.inf) for name in FLOATS if name != "age"),  # whom nobody ever heard of
    *(("nodes", name, -1.0) for name in FLOATS if name not in {"latitude", "longitude"}),
    ("nodes", "latitude", 91.0),
    ("nodes", "longitude", -181.0),
    ("nodes", "reputation", 101.0),
    *(("links", name, value) for name in MEASURES for value in (np.nan, np.inf, -np.inf, -1.0)),
    ("links", "loss", 1.1),
]


@pytest.fixture(scope="module")
def honest() -> NetworkView:
    """Alice, Bob, and between them a relay that is better than the direct link; nothing but what may be."""
    names = [NodeId(bytes([number] * 32)) for number in range(3)]
    nodes = [NodeEntry(id=name, role=Role.RELAY, latitude=50.0, longitude=8.0 + i) for i, name in enumerate(names)]
    delays = {(0, 1): 0.200, (0, 2): 0.010, (2, 1): 0.010}
    return make_view(nodes=nodes, links=[LinkEntry(src=a, dst=b, delay=delay) for (a, b), delay in delays.items()])


def sound_of(view: NetworkView) -> list[bool]:
    request = RouteRequest(source=view.nodes.ids[0], destinations=(view.nodes.ids[1],), media=MediaType.AUDIO)
    with np.errstate(all="ignore"):
        sound: list[bool] = features.build(candidates_of([(0, 1), (0, 2, 1)]), request, view).sound.tolist()
    return sound


def test_what_may_be_is_sound(honest: NetworkView) -> None:
    assert sound_of(honest) == [True, True]


@pytest.mark.parametrize(("part", "name", "value"), IMPOSSIBLE)
def test_what_cannot_be_makes_the_paths_over_it_unsound(
    honest: NetworkView, part: str, name: str, value: float
) -> None:
    belief = getattr(honest, part)
    column = getattr(belief, name).copy()
    column[2] = value  # the relay, or the link from it
    assert sound_of(replace(honest, **{part: replace(belief, **{name: column})})) == [True, False]


def test_a_reputation_outside_of_its_bounds_is_unsound(honest: NetworkView) -> None:
    for name, value in (("reputation_low", 81.0), ("reputation_high", 79.0)):
        column = getattr(honest.nodes, name).copy()
        column[2] = value
        assert sound_of(replace(honest, nodes=replace(honest.nodes, **{name: column}))) == [True, False]


def test_news_faster_than_light_is_unsound(honest: NetworkView) -> None:
    far = honest.nodes.longitude.copy()
    far[2] = 8.0 + 180.0 / np.pi  # 10 ms are 3,000 km for light
    assert sound_of(replace(honest, nodes=replace(honest.nodes, longitude=far))) == [True, False]
    near = honest.nodes.longitude.copy()
    near[2] = 40.0
    assert sound_of(replace(honest, nodes=replace(honest.nodes, longitude=near))) == [True, True]


@given(view=hostile_views(), asked=requests)
@settings(max_examples=40)
def test_hostile_numbers_never_raise_and_are_never_trusted(
    policy: Learned, view: NetworkView, asked: dict[str, Any]
) -> None:
    held(policy, view, asked)


@pytest.mark.full
@given(view=hostile_views(), asked=requests)
@settings(max_examples=1000)
def test_thousands_of_hostile_views_never_raise(policy: Learned, view: NetworkView, asked: dict[str, Any]) -> None:
    held(policy, view, asked)
