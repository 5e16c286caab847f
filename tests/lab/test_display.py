"""How values show themselves in a notebook: small tables whose text cannot break out of them."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.display import some, table
from meshsim.mesh.ids import NodeId
from meshsim.mesh.topology import Topology
from meshsim.routing import RouteDecision
from meshsim.routing.policies import make
from meshsim.routing.request import Prediction
from meshsim.scenario import load, topologies

if TYPE_CHECKING:
    import pytest

    from meshsim.lab.run import Result

VILE = "<script>alert('x')</script>"


class Reader(HTMLParser):
    """The tags of a page, whether they are closed in order, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


TAGS = {"b", "table", "tr", "th", "td", "br", "small"}


def read(shown: Any) -> str:
    page = Reader(shown._repr_html_())
    assert page.tags <= TAGS
    return page.text


@given(st.text(), st.dictionaries(st.text(), st.text() | st.floats() | st.lists(st.text()) | st.booleans()), st.text())
def test_any_text_stays_text(title: str, rows: dict[str, object], note: str) -> None:
    assert Reader(table(title, rows, note=note)).tags <= TAGS


def test_numbers_are_short_and_what_is_not_said_is_left_out() -> None:
    page = Reader(
        table("t", {"a": 0.123456, "b": math.nan, "c": None, "d": (), "e": True, "f": False, "g": ["x", "y"]})
    )
    assert page.text.split() == ["t", "a", "0.1235", "b", "not", "claimed", "e", "yes", "f", "no", "g", "x", "y"]


def test_many_names_are_a_few_and_their_number() -> None:
    assert some([str(i) for i in range(9)]) == "0, 1, 2, 3, 4, 5, ... (9)"
    assert some(["a"]) == "a"


def test_a_scenario_shows_what_it_says_and_nothing_else() -> None:
    told = read(load("demo"))
    assert told.startswith("scenario demo ")
    assert "topology: topozoo/HurricaneElectric" in told
    assert "kind: black_hole" in told
    assert "mobility" not in told
    assert VILE in read(load("demo", [f"description={VILE}"]))


def test_a_topology_shows_its_size_and_places() -> None:
    told = read(topologies.load("sndlib/polska"))
    assert told.startswith("topology sndlib/polska places ")
    assert "(12)" in told
    assert "36 directed" in told


def test_a_topology_without_links_and_with_a_vile_name_shows_itself_too() -> None:
    none = np.zeros(0, dtype=np.int32)
    one = np.zeros(1)
    empty = Topology(name=VILE, names=(VILE,), latitude=one, longitude=one, src=none, dst=none, length=np.zeros(0))
    assert read(empty).split()[0] == "topology"


def test_a_route_shows_path_scores_and_reasons() -> None:
    a, b, c = (NodeId(bytes([n]) * 32) for n in (1, 2, 3))
    decision = RouteDecision(
        route_id="0" * 16,
        path=(a, b),
        policy=VILE,
        ai_score=91.5,
        confidence=math.nan,
        predicted=Prediction(rtt=0.123, jitter=0.004, loss=0.01, mos=4.1),
        supports_aic=True,
        reasons=("one", VILE),
        fallbacks=((a, c, b),),
    )
    told = read(decision)
    for part in ("01010101 \N{RIGHTWARDS ARROW} 02020202", "91.5", "not claimed", "123.0 ms", "1.00%", "4.1", VILE):
        assert part in told


def test_a_scorer_shows_its_card_and_what_it_looks_at() -> None:
    learned = make("learned")
    told = read(learned)
    assert told.startswith("scorer route-scorer ")
    assert learned.artefact.digest in told
    assert "meshsim models card route-scorer" in told


def test_a_result_escapes_the_name_of_its_scenario(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    named = result.plan.scenario.model_copy(update={"name": VILE})
    monkeypatch.setattr(type(result.plan), "scenario", named)
    shown = result._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
