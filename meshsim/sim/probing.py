"""Ghost probes of the candidates that a call was ranked on, for the record: all that a decision could have chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshsim.mesh.media import MediaType, demand
from meshsim.sim.environment import BEFORE
from meshsim.sim.oracle import SECOND_LOOK, GhostProbe, finish_probe, relay_probe, replay_probe, start_probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import Ranking
    from meshsim.sim.environment import Environment
    from meshsim.sim.livecall import LiveCall
    from meshsim.sim.media import PacketMedia
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.resources import Paths
    from meshsim.sim.world import PathTruth, World


class Probing:
    """Looks at the candidates of calls when they are ranked and once more later, and writes down what they were like.

    Args:
        env: The clock.
        world: The truth.
        recorder: Where it is written.
        media: Packets of calls, where they are simulated.
        live: Calls under way, by number.
    """

    def __init__(
        self,
        env: Environment,
        world: World,
        recorder: Recorder,
        media: PacketMedia | None,
        live: Mapping[int, LiveCall],
    ) -> None:
        self._env, self._world, self._recorder, self._live = env, world, recorder, live
        self._plan = world.plan
        # packets are looked at only where labels are to come from them
        self._media = media if self._plan.scenario.media.labels == "packet" else None
        self._under_way: dict[int, tuple[float, NetworkView, Ranking, GhostProbe]] = {}
        env.on("call.probe", self._look_again)

    def begin(self, call: LiveCall, view: NetworkView, ranking: Ranking) -> None:
        """Starts the ghost probe of a call's candidates, unless nobody wants to read of them."""
        if not self._plan.scenario.record.candidates:
            self._recorder.view(view)
            return
        now = self._env.now
        probe = start_probe(self._world, ranking.candidates, demand(call.media))
        self._under_way[call.number] = now, view, ranking, probe
        if self._media is not None:
            self._media.mark(call.number, now)
        self._env.schedule_record(min(now + SECOND_LOOK, call.end), "call.probe", call.number, priority=BEFORE)

    def seen(self, call: LiveCall) -> tuple[Paths, PathTruth | None] | None:
        """The path of a call as its candidates were probed; None if it was not among them.

        What it is like is told only while nothing has changed since the first look.
        """
        if call.number not in self._under_way:
            return None
        _, _, ranking, probe = self._under_way[call.number]
        if call.path not in ranking.candidates.paths:
            return None
        row = ranking.candidates.paths.index(call.path)
        # the first attempt follows the probe at once: nothing has changed
        return probe.paths.pick(row), probe.first.pick(row) if self._env.now == call.answered else None

    def lay_anew(self, call: LiveCall) -> None:
        """Nodes hang on other places: what is looked at leads over other ways."""
        if call.number in self._under_way:
            since, view, ranking, probe = self._under_way[call.number]
            moved = relay_probe(self._world, probe, demand(call.media))
            self._under_way[call.number] = since, view, ranking, moved

    def close(self) -> None:
        """The episode is over: there is no second look."""
        for number in sorted(self._under_way):
            self._write(number, self._under_way[number][3].first)

    def _look_again(self, number: int, _: Any) -> None:
        """The second half of the ghost probe; the candidates are complete."""
        probe, call = self._under_way[number][3], self._live.get(number)
        truth = finish_probe(self._world, probe, call.flow if call is not None and call.flow >= 0 else None)
        if self._media is not None:
            carried = demand(MediaType(self._plan.calls.media[number]))
            truth = replay_probe(truth, probe, self._media, number, carried, self._env.now)
        self._write(number, truth)

    def _write(self, number: int, truth: Any) -> None:
        since, view, ranking, _ = self._under_way.pop(number)
        chosen = int(ranking.order[0]) if len(ranking.order) else -1
        self._recorder.routes(number, since, view, ranking, chosen, truth)
