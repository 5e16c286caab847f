"""The page of a simulation that is running."""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.lab.view.browser import Browser, find_browser
from meshsim.lab.view.live import Server, Watched, follow
from meshsim.lab.view.steps import NONE, STEPS
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import compile_plan, load
from meshsim.sim import Episode, begin

if TYPE_CHECKING:
    from pathlib import Path


def episode_of(folder: Path, *overrides: str) -> Episode:
    said = ("duration=60s", "warmup=0s", "calls.rate=1", "control.mode=modelled", *overrides)
    return begin(compile_plan(load("smoke", said), 3), folder / "live")


def ask(address: str, **headers: str) -> bytes:
    asked = urllib.request.Request(address, headers=headers)  # noqa: S310 - of our own server
    content: bytes = urllib.request.urlopen(asked, timeout=10).read()  # noqa: S310 - as above
    return content


def array_of(news: dict[str, Any], name: str) -> np.ndarray:
    kind, begin_, size = news["words"]["arrays"][name]
    return np.frombuffer(zlib.decompress(base64.b64decode(news["numbers"])), np.dtype(kind), size, begin_)


def test_what_is_seen_is_what_the_world_is_like(tmp_path: Path):
    episode = episode_of(tmp_path)
    watched = Watched(episode, 2.0)
    for until in range(0, 41, 2):
        episode.advance(float(until))
        watched.look()
    shown = watched.contents()
    nodes = len(episode.plan.nodes)
    paths = episode.world.open_paths()
    assert paths
    assert shown.words["times_seconds"] == [float(t) for t in range(0, 41, 2)]
    assert shown.arrays["running"][-1] == len(paths)
    now = shown.arrays["leg_end"] > 40.0
    starts = shown.arrays["leg_path_start"]
    seen = {tuple(shown.arrays["leg_path"][starts[leg] : starts[leg + 1]].tolist()) for leg in np.flatnonzero(now)}
    assert seen == {tuple(path.nodes.tolist()) for path in paths.values()}
    assert (shown.arrays["up"][-1] == episode.world.online).all()
    scores = shown.arrays["reputation"][-1]
    known = scores != NONE
    assert known.any()
    np.testing.assert_allclose(scores[known] / 2.0, episode.ledger.scores()[known], atol=0.26)
    assert shown.arrays["load"].shape == (21, nodes)


def test_looking_changes_nothing_in_the_trace(tmp_path: Path):
    plain = episode_of(tmp_path / "plain").finish()
    episode = episode_of(tmp_path / "watched")
    watched = Watched(episode, 2.0)
    while not episode.over:
        episode.advance(episode.env.now + 2.0)
        watched.look()
        watched.contents()
    assert episode.finish().trace_sha256 == plain.trace_sha256


def test_however_long_it_runs_a_page_has_only_so_many_steps(tmp_path: Path):
    episode = episode_of(tmp_path, "calls.rate=0.1")
    watched = Watched(episode, 0.1)
    for step in range(3 * STEPS):
        episode.advance(0.05 * step)
        watched.look()
    times = watched.contents().words["times_seconds"]
    assert len(times) <= STEPS
    assert times[0] == 0.0
    assert (np.diff(times) > 0.0).all()
    assert watched.every > 0.1


def test_page_and_news_are_served_to_this_machine_under_its_own_name_alone(tmp_path: Path):
    episode = episode_of(tmp_path)
    watched = Watched(episode, 2.0)
    watched.look()
    with Server(watched) as server:
        page = ask(server.address).decode()
        assert "connect-src 'self'" in page
        assert "listen()" in page
        before = json.loads(ask(f"{server.address}news"))
        episode.advance(10.0)
        watched.look()
        server.tell(finished=True)
        after = json.loads(ask(f"{server.address}news"))
        assert (before["finished"], after["finished"]) == (False, True)
        assert after["count"] == before["count"] + 1
        assert len(array_of(after, "running")) == 2
        for address, host in ((f"{server.address}etc/passwd", "127.0.0.1"), (server.address, "evil.example")):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                ask(address, Host=host)
        with pytest.raises(ConfigError, match="cannot be had"):
            Server(watched, int(server.address.rsplit(":", 1)[1].strip("/")))


@pytest.mark.full
def test_an_episode_is_followed_to_its_end(tmp_path: Path):
    episode = episode_of(tmp_path, "duration=20s")
    told: list[str] = []
    follow(episode, every=2.0, speed=0.0, ready=told.append)
    assert episode.over
    assert told[0].startswith("http://127.0.0.1:")


@pytest.mark.full
@pytest.mark.skipif(find_browser() is None, reason="Chromium is not installed")
def test_in_a_browser_the_page_goes_on_with_the_simulation(tmp_path: Path):
    episode = episode_of(tmp_path)
    ready, address = threading.Event(), []

    def tell(where: str) -> None:
        address.append(where)
        ready.set()

    thread = threading.Thread(target=follow, args=(episode,), kwargs={"every": 2.0, "speed": 10.0, "ready": tell})
    thread.start()
    assert ready.wait(60)
    with Browser() as browser:
        browser.visit(address[0])
        browser.wait("document.body && document.body.dataset.ready === 'yes'")
        first = browser.run("words.times_seconds.length")
        browser.wait(f"words.times_seconds.length > {first}")
        browser.wait("document.getElementById('said').textContent === 'The simulation has finished'")
        assert browser.run("words.times_seconds.at(-1)") == 60
        assert browser.errors == []
        assert all(request.startswith(address[0]) for request in browser.requests)
    thread.join()
