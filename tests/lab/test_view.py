"""The page of a run: whole, alone, equal for equal traces, and not blank."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.lab.run import Result, run
from meshsim.lab.view import view
from meshsim.lab.view.browser import Browser, find_browser
from meshsim.lab.view.page import plain
from meshsim.lab.view.paths import Legs, Ragged, kept_calls, kept_candidates
from meshsim.lab.view.places import FULL, places
from meshsim.lab.view.steps import NONE, coded, grid, load, presence, reputation, running, score
from meshsim.mesh.errors import ConfigError, TraceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADDRESS = re.compile(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", re.IGNORECASE)

SVG = "http://www.w3.org/2000/svg"
"""The name of a namespace, which nobody asks for."""


@pytest.fixture(scope="module")
def html(result: Result) -> str:
    return result.view().html


def words_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="words">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    words: dict[str, object] = json.loads(found[1])
    return words


def numbers_of(html: str) -> bytes:
    found = re.search(r'<script type="text/plain" id="numbers">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return zlib.decompress(base64.b64decode(found[1]))


def array_of(html: str, name: str) -> np.ndarray:
    kind, begin, size = words_of(html)["arrays"][name]  # type: ignore[index]
    return np.frombuffer(numbers_of(html), np.dtype(kind).newbyteorder("<"), size, begin)


# The file -------------------------------------------------------------------------------------------------------------


def test_the_page_names_no_address_and_may_load_nothing(html: str):
    assert not ADDRESS.search(html.replace(SVG, ""))
    assert "default-src 'none'" in html
    assert "connect-src 'none'" in html


def test_equal_traces_give_equal_pages(result: Result, html: str):
    assert view(result.path).html == html


def test_nothing_is_left_to_fill_in(html: str):
    assert not re.search(r"<!--\w+-->", html)


def test_the_page_holds_what_the_trace_holds(result: Result, html: str):
    words = words_of(html)
    assert words["nodes"] == len(result.nodes)
    assert words["calls"] == len(result.calls)
    assert words["name_of"] == result.nodes["name"].tolist()
    assert array_of(html, "caller").tolist() == result.calls["caller"].tolist()
    np.testing.assert_allclose(array_of(html, "call_begin"), result.calls["start_ns"] * 1e-9, rtol=1e-6)


def test_the_last_reputation_is_the_last_that_the_trace_tells(result: Result, html: str):
    last = result.trust.groupby("node")["score"].last()
    shown = array_of(html, "reputation").reshape(-1, len(result.nodes))[-1]
    for node in range(len(result.nodes)):
        if node in last.index:
            assert shown[node] / 2.0 == pytest.approx(last[node], abs=0.26)
        else:
            assert shown[node] == NONE


def test_a_name_cannot_end_the_data_it_stands_in(tmp_path: Path, small: tuple[str, ...]):
    name = "a</script><script>alert(1)</script>"
    made = run("smoke", seed=3, overrides=(*small, "duration=10s"), out=tmp_path / "run")
    header = made.path / "header.json"
    told = json.loads(header.read_text(encoding="utf-8"))
    told["scenario"]["name"] = name
    header.write_text(json.dumps(told), encoding="utf-8")
    page = view(made.path).html
    assert words_of(page)["name"] == name
    assert "<script>alert" not in page


def test_in_a_notebook_the_page_is_shut_in_a_frame(result: Result):
    shown = result.view()._repr_html_()
    assert shown.startswith("<iframe")
    assert 'sandbox="allow-scripts"' in shown
    assert "<!doctype" not in shown


def test_a_folder_without_a_trace_is_an_error_with_a_name(tmp_path: Path):
    with pytest.raises(TraceError, match=r"header\.json"):
        view(tmp_path)


def test_a_page_that_cannot_be_written_is_an_error_with_a_name(result: Result, tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be written"):
        result.view().save(tmp_path / "absent" / "page.html")


# What is on it --------------------------------------------------------------------------------------------------------


@given(st.floats(0.5, 1e6), st.integers(2, 300))
def test_times_are_even_end_with_the_run_and_are_few(end: float, most: int):
    times = grid(end, most)
    assert times[0] == 0.0
    assert times[-1] == end
    assert 2 <= len(times) <= most
    assert (np.diff(times) > 0.0).all()
    if len(times) > 3:
        np.testing.assert_allclose(np.diff(times)[:-1], times[1])


@given(st.lists(st.tuples(st.floats(-80, 80), st.floats(-180, 180)), min_size=1, max_size=60))
def test_places_lie_within_the_picture_and_apart(spots: list[tuple[float, float]]):
    placed = places(*np.array(spots).T)
    assert placed.shape == (len(spots), 2)
    assert placed.max() <= FULL
    assert len(np.unique(placed, axis=0)) == len(spots)


def test_east_stays_east_and_north_above():
    placed = places(np.array([0.0, 10.0, 20.0]), np.array([0.0, 30.0, 60.0])).astype(int)
    assert (np.diff(placed[:, 0]) > 0).all()
    assert (np.diff(placed[:, 1]) < 0).all()


def test_neighbours_over_the_date_line_stay_neighbours():
    placed = places(np.zeros(3), np.array([179.0, -179.0, 100.0])).astype(int)
    assert placed[2, 0] < placed[0, 0] < placed[1, 0]


@given(st.integers(0, 500), st.integers(1, 50))
def test_of_many_calls_evenly_many_are_kept(count: int, most: int):
    kept = kept_calls(count, most)
    assert len(kept) == min(count, most)
    assert len(np.unique(kept)) == len(kept)
    assert not len(kept) or (kept[0] == 0 and kept[-1] < count)


def test_the_chosen_candidate_is_kept_and_then_the_best():
    call, chosen = np.zeros(20, int), np.arange(20) == 5
    kept = kept_candidates(call, chosen, np.where(np.arange(20) == 3, np.nan, np.arange(20.0)))
    assert kept.tolist() == [5, 19, 18, 17, 16, 15, 14, 13]


def test_who_went_down_is_down_until_it_comes_up():
    events = {"kind": ["down", "up", "turn"], "node": np.array([1, 1, 0]), "time_ns": np.array([2, 5, 3]) * 10**9}
    assert presence(events, np.arange(7.0), 2)[:, 1].tolist() == [True, True, False, False, False, True, True]
    assert presence(events, np.arange(7.0), 2)[:, 0].all()


def test_of_several_observers_the_mean_is_shown():
    trust = {
        "node": np.array([0, 0, 0]),
        "observer": np.array([1, 2, 1]),
        "score": np.array([80.0, 40.0, 60.0]),
        "time_ns": np.array([1, 2, 4]) * 10**9,
    }
    shown = reputation(trust, np.arange(6.0), 2)
    assert shown[:, 0].tolist() == [NONE, 160, 120, 120, 100, 100]
    assert (shown[:, 1] == NONE).all()


def test_who_carries_for_others_is_loaded_and_who_chose_has_a_score():
    legs = Legs(
        np.array([0, 1]),
        np.array([1.0, 2.0]),
        np.array([3.0, 5.0]),
        Ragged(np.array([0, 1, 2, 3, 1, 2]), np.array([0, 3, 6])),
    )
    times, most = np.arange(6.0), np.array([0, 4, 0, 0], dtype=np.int32)
    loads = load(legs, times, most)
    assert (loads[:, 1] / 2.0).tolist() == [0.0, 25.0, 50.0, 25.0, 25.0, 0.0]
    assert (loads[:, [0, 2, 3]] == NONE).all()
    scores = score(legs, np.array([80.0, np.nan]), times, 4)
    assert scores[:, 0].tolist() == [NONE, 160, 160, 160, 160, 160]
    assert (scores[:, 3] == NONE).all()
    assert running(legs, times).tolist() == [0, 1, 2, 1, 1, 0]


@given(st.lists(st.one_of(st.floats(0, 100), st.just(float("nan"))), min_size=1))
def test_values_survive_their_coding_to_half_a_point(values: list[float]):
    back = coded(np.array(values))
    for value, code in zip(values, back.tolist(), strict=True):
        assert (code == NONE) == np.isnan(value)
        if code != NONE:
            assert abs(code / 2.0 - value) <= 0.2501


def test_numbers_that_are_none_become_null():
    assert plain({"a": [float("inf"), 1.0, {"b": float("nan")}]}) == {"a": [None, 1.0, {"b": None}]}


# In a browser ---------------------------------------------------------------------------------------------------------

BROWSER = pytest.mark.skipif(find_browser() is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def opened(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    page = tmp_path_factory.mktemp("page") / "view.html"
    result.view().save(page)
    with Browser() as browser:
        browser.open(page)
        yield browser


def canvas(browser: Browser) -> np.ndarray:
    """The picture's pixels, (P, 4)."""
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    text = browser.run(
        "(() => { const c = document.getElementById('picture');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let s = ''; for (let i = 0; i < d.length; i += 8192)"
        "s += String.fromCharCode(...d.subarray(i, i + 8192)); return btoa(s) })()"
    )
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, 4)


def choose(browser: Browser, control: str, value: str, event: str) -> None:
    browser.run(
        f"(() => {{ const c = document.getElementById('{control}'); c.value = '{value}';"
        f"c.dispatchEvent(new Event('{event}', {{bubbles: true}})) }})()"
    )


@pytest.mark.full
@BROWSER
def test_the_picture_is_not_blank(opened: Browser):
    colours = np.unique(canvas(opened), axis=0)
    assert len(colours) > 50


@pytest.mark.full
@BROWSER
def test_the_picture_changes_with_time_colour_and_pan(opened: Browser):
    seen = [canvas(opened).tobytes()]
    choose(opened, "slider", "1", "input")
    seen.append(canvas(opened).tobytes())
    choose(opened, "slider", "40", "input")
    seen.append(canvas(opened).tobytes())
    choose(opened, "colour", "load", "change")
    seen.append(canvas(opened).tobytes())
    for kind, x in (("mousePressed", 400), ("mouseMoved", 460), ("mouseReleased", 460)):
        opened.mouse(kind, x, 300, button="left", buttons=1, clickCount=1)
    seen.append(canvas(opened).tobytes())
    assert len(set(seen)) == len(seen)


@pytest.mark.full
@BROWSER
def test_a_name_that_is_searched_is_found(result: Result, opened: Browser):
    name = result.nodes["name"].iloc[0]
    opened.run(f"document.getElementById('search').value = '{name}'")
    opened.run("document.getElementById('find').requestSubmit()")
    assert name in opened.run("document.getElementById('panel').innerText")


@pytest.mark.full
@BROWSER
def test_the_page_asks_nobody_and_has_no_error(opened: Browser):
    assert [request for request in opened.requests if not request.startswith(("file:", "data:"))] == []
    assert opened.errors == []


@pytest.mark.full
@BROWSER
def test_in_the_dark_the_page_is_dark(result: Result, tmp_path: Path):
    page = tmp_path / "view.html"
    result.view().save(page)
    with Browser(dark=True) as browser:
        browser.open(page)
        dark = canvas(browser)[:, :3].mean()
        ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in re.findall(r"\d+", ground)[:3]) < 80
    assert dark < 128
