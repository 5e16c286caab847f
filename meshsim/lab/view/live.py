"""The page of a simulation that is running: looked at step by step, served on this machine, asked for news by the page.

Nothing is read back from the trace, which is whole only at the end: what is shown is what the world is like now. Who
listens gets the page at `/` and its news at `/news`; nobody but this machine is answered.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from meshsim.lab.view.contents import Contents, links
from meshsim.lab.view.page import news, page
from meshsim.lab.view.paths import CALLS, Ragged
from meshsim.lab.view.places import places
from meshsim.lab.view.steps import NONE, STEPS, coded
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import Nat, Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from numpy.typing import NDArray

    from meshsim.sim.resources import Paths
    from meshsim.sim.simulation import Episode

HOST = "127.0.0.1"

LINGER = 2.5
"""Seconds after the end in which pages, which ask once a second, hear of it."""

_OURS = ("127.0.0.1", "localhost")
_NUMBERS = ("rtt_seconds", "loss", "mos", "ai_score", "confidence")
_TRUTHS = ("rtt_seconds", "loss", "mos", "utility")


@dataclass(slots=True)
class _Leg:
    """A flow as it was seen: its path, and from when to when."""

    path: Paths
    begin: float
    end: float = np.inf


class _Step(NamedTuple):
    """What the world was like at one look."""

    time: float
    up: NDArray[np.uint8]
    reputation: NDArray[np.uint8]
    load: NDArray[np.uint8]
    running: int


@dataclass(slots=True)
class Watched:
    """What was seen of an episode so far, in at most `STEPS` steps.

    Attributes:
        episode: Which.
        every: Simulated seconds between two looks; doubles when there are as many as a page holds.
    """

    episode: Episode
    every: float
    _looks: int = 0
    _steps: list[_Step] = field(default_factory=list)
    _legs: list[_Leg] = field(default_factory=list)
    _open: dict[int, _Leg] = field(default_factory=dict)

    def look(self) -> None:
        """Takes in what the world is like now."""
        self._looks += 1
        episode, now = self.episode, self.episode.env.now
        world, most = episode.world, episode.plan.nodes.max_calls
        scores = episode.ledger.scores() if episode.ledger is not None else np.full(len(most), np.nan)
        load = coded(np.where(most > 0, 100.0 * world.busy(), np.nan))
        paths = world.open_paths()
        self._steps.append(_Step(now, world.online.astype(np.uint8), coded(scores), load, len(paths)))
        for number, leg in list(self._open.items()):
            if paths.get(number) is not leg.path:
                self._open.pop(number).end = now
        for number in paths.keys() - self._open.keys():
            leg = self._open[number] = _Leg(paths[number], now)
            self._legs.append(leg)
        if len(self._steps) > STEPS:
            self._thin_out()

    def _thin_out(self) -> None:
        """Keeps each second step and the last, and looks half as often; of calls the latest."""
        last = len(self._steps) - 1
        self._steps = [step for place, step in enumerate(self._steps) if place % 2 == 0 or place == last]
        self.every *= 2.0
        self._legs = self._legs[-CALLS:]

    def contents(self) -> Contents:
        """What a page shows of it by now."""
        plan = self.episode.plan
        nodes, links_ = plan.nodes, {"src": plan.links.src, "dst": plan.links.dst}
        shown, steps = self._legs[-CALLS:], self._steps
        words = {
            "name": plan.scenario.name,
            "description": plan.scenario.description,
            "seed": plan.seed,
            "policy": self.episode.engine.policy.name,
            "warmup_seconds": plan.scenario.warmup,
            "times_seconds": [step.time for step in steps],
            "nodes": len(nodes),
            "name_of": list(nodes.names),
            "aura_of": list(nodes.auras),
            "domain_of": list(nodes.domains),
            "nat_of": [Nat(code).name.lower().replace("_", " ") for code in nodes.nat.tolist()],
            "conduct_of": [text.replace("_", " ") for text in nodes.behaviour],
            "roles": [role.name.lower().replace("_", " ") for role in Role],
            "media": ["call"] * len(shown),
            "outcome": ["running" if leg.end == np.inf else "over" for leg in shown],
            "reason": [""] * len(shown),
            "refusals": [],
            "calls": len(self._legs),
            "count": self._looks,
        }
        arrays: dict[str, NDArray[Any]] = {
            "place": places(nodes.latitude, nodes.longitude),
            "role": nodes.role.astype(np.uint8),
            **links(links_),
            "up": np.stack([step.up for step in steps]),
            "reputation": np.stack([step.reputation for step in steps]),
            "load": np.stack([step.load for step in steps]),
            "score": np.full((len(steps), len(nodes)), NONE, np.uint8),
            "running": np.array([step.running for step in steps], np.int32),
            **self._calls(shown),
        }
        return Contents(words, arrays)

    def _calls(self, shown: list[_Leg]) -> dict[str, NDArray[Any]]:
        """Each leg as a call of its own: what calls have in common is told when they are over."""
        count, last = len(shown), self._steps[-1].time
        begin = np.array([leg.begin for leg in shown], np.float32)
        end = np.array([leg.end if leg.end < np.inf else last + self.every for leg in shown], np.float32)
        path = Ragged.joined([leg.path.nodes for leg in shown])
        ends = path.start[:-1], path.start[1:] - 1
        nothing = np.full(count, np.nan, np.float32)
        return {
            "call": np.arange(len(self._legs) - count, len(self._legs), dtype=np.int32),
            "caller": path.values[ends[0]].astype(np.int32),
            "callee": path.values[ends[1]].astype(np.int32),
            "failovers": np.zeros(count, np.int32),
            "call_begin": begin,
            "call_end": end,
            **{f"call_{name}": nothing for name in _NUMBERS},
            "leg_call": np.arange(count, dtype=np.int32),
            "leg_begin": begin,
            "leg_end": end,
            "leg_path": path.values,
            "leg_path_start": path.start.astype(np.int32),
            "option_call": np.zeros(0, np.int32),
            "option_refusal": np.zeros(0, np.uint16),
            "option_chosen": np.zeros(0, np.uint8),
            **{f"option_{name}": np.zeros(0, np.float32) for name in _TRUTHS},
            "option_path": np.zeros(0, np.int32),
            "option_path_start": np.zeros(1, np.int32),
        }


class Server:
    """Serves the page of what is watched, on this machine alone; a context manager.

    Args:
        watched: Looked at before; whoever goes on with the episode calls `tell` after each look.
        port: 0 for any that is free.

    Raises:
        ConfigError: If the port is taken.
    """

    def __init__(self, watched: Watched, port: int = 0) -> None:
        self._watched, self._news, self._lock = watched, b"", threading.Lock()
        self.tell()
        self._page = page(watched.contents(), live=True).encode()
        try:
            self._server = ThreadingHTTPServer((HOST, port), self._handler())
        except OSError as error:
            raise ConfigError(f"port {port} cannot be had: {error.strerror}", key="--port") from error
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._server.server_port}/"

    def tell(self, *, finished: bool = False) -> None:
        """From now on these are the news."""
        told = news(self._watched.contents(), finished=finished).encode()
        with self._lock:
            self._news = told

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str) -> tuple[str, bytes] | None:
        with self._lock:
            return {"/": ("text/html; charset=utf-8", self._page), "/news": ("application/json", self._news)}.get(path)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            """Two addresses, for a browser on this machine."""

            def do_GET(self) -> None:
                """Answers, unless the browser was led here under another name."""
                host = (self.headers.get("Host") or "").partition(":")[0]
                found = answer(self.path) if host in _OURS else None
                self.send_response(200 if found else 404)
                kind, content = found or ("text/plain", b"nothing here\n")
                for name, value in (("Content-Type", kind), ("Content-Length", str(len(content)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Says nothing."""

        return Handler


def follow(episode: Episode, *, every: float, speed: float, port: int = 0, ready: Callable[[str], None]) -> None:
    """Runs an episode to its end while a page shows it.

    Args:
        episode: At its beginning, or wherever it is.
        every: Simulated seconds between two looks.
        speed: Simulated seconds in a second, at most; 0 for as fast as it goes.
        port: Of the page; 0 for any that is free.
        ready: Told the address, once there is a page.
    """
    watched = Watched(episode, every)
    watched.look()
    with Server(watched, port) as server:
        ready(server.address)
        while not episode.over:
            began = time.monotonic()
            before = episode.env.now
            episode.advance(before + watched.every)
            watched.look()
            server.tell()
            if speed > 0.0 and not episode.over:
                time.sleep(max(0.0, (episode.env.now - before) / speed - (time.monotonic() - began)))
        server.tell(finished=True)
        time.sleep(LINGER)
