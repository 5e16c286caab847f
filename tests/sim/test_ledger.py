from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from meshsim.measure.trace import TraceWriter
from meshsim.mesh.media import MediaType
from meshsim.sim.ledger import NOTHING, Fact, Ledger
from meshsim.sim.recorder import Recorder
from meshsim.trust import EventKind, Evidence, Outcome, models
from meshsim.trust.blame import PRIOR, Blame

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.trust import Statement

NODES = 8
START = PRIOR[0] / sum(PRIOR)
PROMISE = (0.1, 0.002, 0.001)
GOOD, LOSSY = (0.1, 0.002, 0.001), (0.1, 0.002, 0.1)


class Seen:
    """A model that remembers what it is shown, and scores as additive points do."""

    half_life = math.inf

    def __init__(self) -> None:
        self._model = models["additive"]()
        self.evidence: list[Evidence] = []
        self.table, self.forget = self._model.table, self._model.forget

    def observe(self, node: int, evidence: Evidence) -> None:
        self.evidence.append(evidence)
        self._model.observe(node, evidence)


class Tongue:
    """Node 3 says that all was well."""

    def distort(self, statements: list[Statement], now: float) -> list[Statement]:
        assert now == 1.0
        kind = {"outcome": Outcome.COMPLETED, "poor": False, "mos": 4.4}
        return [one._replace(**kind) if one.signer == 3 else one for one in statements]

    def invent(self, now: float) -> list[Statement]:
        return []


def fact(
    number: int = 0,
    *,
    path: tuple[int, ...] = (0, 1, 3),
    outcome: Outcome = Outcome.COMPLETED,
    lived: tuple[float, float, float] = GOOD,
    promised: tuple[float, float, float] = PROMISE,
    arrives: float = 5.0,
) -> Fact:
    return Fact(arrives, number, 7, path, outcome, lived, promised, MediaType.AUDIO, 1.0)


@pytest.fixture
def made(small, tmp_path) -> Callable[..., tuple[Ledger, Seen, Recorder]]:
    def make(*parts: Any) -> tuple[Ledger, Seen, Recorder]:
        recorder, model = Recorder(TraceWriter(tmp_path / "trace", {}), small()), Seen()
        return Ledger(model, NODES, recorder, *parts), model, recorder

    return make


def written(recorder: Recorder) -> int:
    """Rows of the table `trust`."""
    recorder.flush()
    return recorder.counts.get("trust", 0)


def told(model: Seen) -> list[tuple[int, str, float, tuple[int, ...]]]:
    return [(one.node, str(one.kind), one.weight, one.raters) for one in model.evidence]


def test_what_the_nodes_of_a_route_state_is_judged_when_it_has_arrived_and_waited(made):
    ledger, model, recorder = made()
    ledger.hear(fact())
    ledger.publish(10.0)
    assert told(model) == []
    ledger.publish(20.0)
    kinds = ["successful_call", "helped_relay", "high_quality_stream"]
    assert told(model) == [(1, kind, 1.0, (0, 3)) for kind in kinds]
    assert written(recorder) == 1
    assert ledger.published(1).mean > 50.0
    assert ledger.refused == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lived": LOSSY}, [(1, "poor_quality", 1.0, (0, 3))]),
        ({"lived": LOSSY, "promised": LOSSY}, [(1, "successful_call", 1.0, (0, 3)), (1, "helped_relay", 1.0, (0, 3))]),
        ({"outcome": Outcome.TIMEOUT, "lived": NOTHING}, [(1, "connection_timeout", 0.4, (0,))]),
        ({"outcome": Outcome.DROPPED, "lived": NOTHING}, [(1, "call_dropped", 1.0, (0, 3))]),
    ],
)
def test_relays_answer_for_conduct_by_the_words_of_those_who_know(made, change, expected):
    ledger, model, _ = made()
    ledger.hear(fact(**change))
    ledger.publish(20.0)
    assert told(model) == expected


def test_a_call_that_ended_at_once_blames_nobody(made):
    ledger, model, _ = made()
    ledger.hear(fact(lived=NOTHING))
    ledger.publish(20.0)
    assert [str(one.kind) for one in model.evidence] == ["successful_call", "helped_relay"]


def test_liars_speak_for_themselves_alone(made):
    ledger, model, _ = made(Tongue())
    ledger.hear(fact(outcome=Outcome.DROPPED, lived=NOTHING))
    ledger.publish(20.0)
    assert told(model) == [(1, "call_dropped", 0.2, (0,))]


def test_made_up_identities_are_judged_and_never_written_down(made):
    ledger, model, recorder = made()
    ledger.hear(fact(path=(0, NODES + 5, 3)))
    ledger.publish(20.0)
    assert {one.node for one in model.evidence} == {NODES + 5}
    assert written(recorder) == 0


def test_routes_of_one_call_are_told_apart(made):
    ledger, model, _ = made()
    for number in range(3):
        ledger.hear(fact(number, outcome=Outcome.DROPPED, lived=NOTHING))
    ledger.publish(20.0)
    assert len(model.evidence) == 3
    assert ledger.refused == {}


def test_a_node_that_comes_back_under_a_new_name_is_unknown(made):
    ledger, _, recorder = made()
    ledger.hear(fact())
    ledger.renew(1, 20.0)
    assert ledger.publish(20.0).mean[1] == 50.0
    assert written(recorder) == 0


@pytest.mark.parametrize("path", [(0, 1, 3), (1, 4, 3), (0, 4, 1)])
def test_what_waits_of_the_old_name_does_not_count_for_the_new(made, path):
    ledger, model, _ = made()
    ledger.hear(fact(path=path, arrives=15.0))
    ledger.hear(fact(1, path=(0, 2, 3), arrives=15.0))
    ledger.renew(1, 12.0)
    ledger.publish(40.0)
    assert {one.node for one in model.evidence} == {2}


def test_what_has_arrived_and_is_not_judged_yet_does_not_count_for_the_new_name(made):
    ledger, model, _ = made()
    ledger.hear(fact(path=(0, 1, 2, 3)))
    ledger.renew(1, 6.0)
    ledger.publish(40.0)
    assert {one.node for one in model.evidence} == {2}


def test_what_happens_under_the_new_name_counts(made):
    ledger, model, _ = made()
    ledger.renew(1, 2.0)
    ledger.hear(fact())
    ledger.publish(40.0)
    assert {one.node for one in model.evidence} == {1}


def test_charges_against_made_up_identities_are_never_written_down(made):
    ledger, model, recorder = made()
    ledger.denounce([NODES, NODES + 5], 1.0)
    ledger.charge(Evidence(kind=EventKind.ABUSE_REPORT, node=NODES, t=1.0))
    ledger.publish(20.0)
    assert [one.node for one in model.evidence] == [NODES, NODES + 5, NODES]
    assert written(recorder) == 0
    ledger.denounce([NODES - 1], 21.0)
    ledger.publish(30.0)
    assert written(recorder) == 1


def test_a_new_name_does_not_bear_the_guilt_of_the_old(made):
    guilt = Blame()
    ledger, _, _ = made(None, guilt)
    ledger.hear(fact(outcome=Outcome.DROPPED, lived=NOTHING))
    ledger.publish(20.0)
    assert guilt.rate(1, 20.0) > START
    ledger.renew(1, 20.0)
    assert guilt.rate(1, 20.0) == pytest.approx(START)


def test_guilt_that_is_known_is_not_shared_evenly(made):
    class Second:
        def shares(self, relays: Any, failed: bool, now: float) -> tuple[float, ...]:  # noqa: FBT001 - the protocol's
            return (0.0, 1.0)

        def learn(self, relays: Any, failed: bool, now: float, weight: float) -> None:  # noqa: FBT001 - the protocol's
            assert failed

        def forget(self, relay: int) -> None:
            raise AssertionError(relay)

    ledger, model, _ = made(None, Second())
    ledger.hear(fact(path=(0, 1, 2, 3), outcome=Outcome.DROPPED, lived=NOTHING))
    ledger.publish(20.0)
    assert [(one.node, one.kind, one.weight) for one in model.evidence] == [(2, EventKind.CALL_DROPPED, 1.0)]


def test_a_scenario_may_ask_who_is_to_blame(small, run):
    plain, blamed = (run(small(duration=60.0, trust={"blame": blame})) for blame in (False, True))
    assert plain.counts["completed"] > 0
    assert blamed.counts["started"] == plain.counts["started"]
