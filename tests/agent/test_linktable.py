from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from meshsim.agent import AgentConfig
from meshsim.agent.core import Core
from meshsim.agent.linktable import LinkTable
from meshsim.agent.messages import LINK_ENTRIES, LinkEntry, LinkState, Pong, Told
from meshsim.agent.neighbours import Neighbourhood
from meshsim.agent.receipts import Verdict
from meshsim.agent.reputation import TrustBook
from meshsim.agent.signing import Remembering, is_signed, sign
from meshsim.agent.views import nat_of
from meshsim.identity import HashSigner, HashVerifier, NodeRecord
from meshsim.mesh.ids import NodeId
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import Instant
from meshsim.mesh.view import Nat, find_links
from meshsim.trust import EventKind, models

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET = b"s"
UNIX = 1e9


def signer(i: int) -> HashSigner:
    return HashSigner(NodeId(i.to_bytes(2, "big") * 16), SECRET)


def node(i: int) -> NodeId:
    return signer(i).node_id


def now(t: float = 0.0) -> Instant:
    return Instant(t, UNIX + t)


def record(i: int, **changes: object) -> NodeRecord:
    return NodeRecord(node=node(i), aura=f"@n{i}.aura", capacity_bps=1e7, expires_unix=UNIX + 1e6, **changes)  # type: ignore[arg-type]


def statement(
    i: int,
    sequence: int = 1,
    links: Sequence[int] = (),
    *,
    epoch: int = 0,
    lifetime: float = 500.0,
    latitude: float = 0.0,
) -> LinkState:
    unsigned = LinkState(
        record=record(i, latitude=latitude),
        epoch=epoch,
        sequence=sequence,
        load=0.25,
        calls=1,
        links=tuple(LinkEntry(node(to), 20_000_000, 1_000_000, 0.01, 1e6) for to in links),
        expires_ns=int((UNIX + lifetime) * 1e9),
    )
    return sign(unsigned, signer(i))


class Rig:
    """A link table with its surroundings: node 0, neighbours 1 and 2."""

    def __init__(self, *, neighbours: Sequence[int] = (1, 2), **config: float) -> None:
        self.core = Core(
            config=AgentConfig(**config),  # type: ignore[arg-type]
            record=record(0),
            signer=signer(0),
            verifier=HashVerifier(SECRET),
            stream=SeedTree(0).stream("t"),
        )
        self.links = Neighbourhood(self.core, [node(i) for i in neighbours])
        self.table = LinkTable(self.core, self.links, TrustBook(models["beta"]()))

    def up(self, i: int, rtt: float = 0.04, t: float = 0.0) -> None:
        self.links.open(node(i), now(t))
        self.links.hear(node(i), now(t + rtt))
        self.links.measure(Pong(self.links[node(i)]._sequence), node(i), now(t + rtt))

    def accept(self, one: LinkState, *, age: float = 0.0, t: float = 0.0, source: int = 1) -> bool:
        return self.table.accept(Told(int(age * 1e9), one), node(source), now(t))


def test_a_newer_statement_replaces_an_older_one_and_never_the_other_way() -> None:
    rig = Rig()
    assert rig.accept(statement(5, 2))
    assert not rig.accept(statement(5, 2))
    assert not rig.accept(statement(5, 1))
    assert rig.accept(statement(5, 3))
    assert rig.accept(statement(5, 1, epoch=1))
    assert rig.table.statement(node(5)) == statement(5, 1, epoch=1)
    assert rig.table.statement(node(9)) is None
    assert rig.core.rejected == {}


def test_statements_about_oneself_are_not_taken_from_others() -> None:
    assert not Rig().accept(statement(0, 99))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (statement(5, lifetime=-1.0), "expired"),
        (statement(5, lifetime=1e6), "expired"),
        (statement(5, links=[6, 6]), "bad_statement"),
        (statement(5, links=[5]), "bad_statement"),
        (msgspec.structs.replace(statement(5), load=0.0), "forged"),
    ],
)
def test_a_statement_that_does_not_hold_is_counted(bad: LinkState, reason: str) -> None:
    rig = Rig()
    assert not rig.accept(bad)
    assert rig.core.rejected == {reason: 1}
    assert node(5) not in rig.table


def test_the_table_is_bounded_and_forgets_whom_it_heard_of_longest_ago() -> None:
    rig = Rig(max_nodes=5)
    rig.up(1)
    for i in range(10, 20):
        assert rig.accept(statement(i), t=float(i))
    assert len(rig.table) == 5
    assert [node(i) in rig.table for i in (10, 15, 16, 19)] == [False, False, True, True]
    assert not rig.accept(statement(30), t=15.0)


def test_a_full_table_keeps_the_nodes_nearest_on_the_map() -> None:
    rig = Rig(max_nodes=5)
    rig.up(1)
    for i, latitude in ((10, 40.0), (11, 30.0), (12, 20.0), (13, 35.0), (14, 50.0), (15, 10.0)):
        assert rig.accept(statement(i, latitude=latitude), t=float(i)) == (i != 14)
    assert [node(i) in rig.table for i in range(10, 16)] == [False, True, True, True, False, True]
    assert not rig.accept(statement(10, 2, latitude=40.0), t=20.0)


def test_a_node_that_is_called_finds_room_however_far_it_is() -> None:
    rig = Rig(max_nodes=4)
    for i, latitude in ((10, 40.0), (11, 30.0), (12, 20.0)):
        rig.accept(statement(i, latitude=latitude))
    rig.table.learn(record(31, latitude=80.0), now(1.0))
    assert [node(i) in rig.table for i in (10, 11, 12, 31)] == [False, True, True, True]


def test_the_silent_make_room_for_those_farther_away() -> None:
    rig = Rig(max_nodes=3, digest_period=10.0 / 6)
    rig.accept(statement(10, latitude=10.0), t=0.0)
    rig.accept(statement(11, latitude=20.0), t=5.0)
    assert not rig.accept(statement(12, latitude=30.0), t=6.0)
    assert rig.accept(statement(12, latitude=30.0), t=11.0)
    assert node(10) not in rig.table


def test_a_statement_is_checked_once_in_a_process_and_a_forged_one_each_time() -> None:
    checks: list[bytes] = []

    class Counting:
        def verify(self, node: NodeId, data: bytes, signature: bytes) -> bool:
            checks.append(data)
            return HashVerifier(SECRET).verify(node, data, signature)

    verifier = Remembering(Counting(), most=1)
    true, other = statement(5), statement(6)
    forged = msgspec.structs.replace(true, load=0.5)
    assert [is_signed(true, node(5), verifier) for _ in range(3)] == [True] * 3
    assert len(checks) == 1
    assert [is_signed(forged, node(5), verifier) for _ in range(2)] == [False] * 2
    assert not is_signed(true, node(6), verifier)
    assert len(checks) == 4
    assert is_signed(other, node(6), copy.deepcopy(verifier))
    assert is_signed(other, node(6), verifier)
    assert is_signed(true, node(5), verifier)
    assert len(checks) == 7


def test_looking_at_nodes_that_nobody_judged_takes_no_memory() -> None:
    book = TrustBook(models["beta"]())
    book.observe(Verdict(node=node(3), events=(EventKind.CALL_DROPPED,), weight=1.0), 0.0)
    table = book.table([node(i) for i in range(1000)], 0.0)
    assert len(book._rows) == 1
    assert table.mean[3] == book.score(node(3), 0.0).mean < book.score(node(4), 0.0).mean == table.mean[4]


@pytest.mark.parametrize("model", list(models))
def test_reputations_are_bounded_and_whom_nobody_judged_for_longest_is_a_stranger_again(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshsim.agent.reputation.JUDGED_NODES", 3)
    book = TrustBook(models[model]())
    start = book.score(node(9), 0.0).mean

    def judge(i: int) -> None:
        book.observe(Verdict(node=node(i), events=(EventKind.CALL_DROPPED,), weight=1.0), 0.0)

    for i in (1, 2, 3, 1):
        judge(i)
    low = [book.score(node(i), 0.0).mean for i in (1, 2, 3)]
    assert low[0] < low[1] == low[2] < start
    judge(4)
    assert [book.score(node(i), 0.0).mean for i in (1, 2, 3, 4, 9)] == [low[0], start, low[2], low[1], start]
    assert book.table([node(i) for i in (1, 2, 3, 4)], 0.0).mean.tolist() == [low[0], start, low[2], low[1]]


def test_suspicions_are_bounded_and_the_oldest_is_let_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshsim.agent.linktable.SUSPECTS", 2)
    rig = Rig()
    for i in (5, 6, 7):
        rig.accept(statement(i))
    for i in (5, 6, 5, 7):
        rig.table.suspect(node(i), now(1.0))
    view = rig.table.view(now(2.0))
    assert [bool(view.nodes.online[view.index[node(i)]]) for i in (5, 6, 7)] == [False, True, False]


def test_own_neighbours_are_never_forgotten() -> None:
    rig = Rig(max_nodes=3, digest_period=10.0 / 6)
    rig.table.learn(record(1), now())
    rig.table.learn(record(2), now())
    assert not rig.accept(statement(9), t=5.0)
    rig.table.age(now(1000.0))
    assert len(rig.table) == 3


def test_the_silent_are_believed_offline_and_then_forgotten() -> None:
    rig = Rig(digest_period=10.0 / 6)
    rig.accept(statement(5))
    view = rig.table.view(now(5.0))
    assert view.nodes.online[view.index[node(5)]]
    view = rig.table.view(now(20.0))
    assert not view.nodes.online[view.index[node(5)]]
    assert view.nodes.age[view.index[node(5)]] == 20.0
    rig.table.age(now(29.0))
    assert node(5) in rig.table
    rig.table.age(now(31.0))
    assert node(5) not in rig.table


def test_age_adds_up_over_tellers() -> None:
    rig = Rig()
    rig.accept(statement(5, links=[6]), age=12.0)
    rig.accept(statement(6), age=1.0)
    view = rig.table.view(now(3.0))
    assert view.links.age.tolist() == [15.0]
    ((_, told), _) = rig.table.news(rig.links[node(2)], now(3.0))
    assert told.age_ns == 15_000_000_000


def test_a_suspect_is_offline_until_it_is_heard_or_time_has_passed() -> None:
    rig = Rig(suspicion=30.0)
    rig.accept(statement(5))

    def online(t: float) -> bool:
        view = rig.table.view(now(t))
        return bool(view.nodes.online[view.index[node(5)]])

    rig.table.suspect(node(5), now())
    assert not online(1.0)
    rig.table.clear(node(5))
    assert online(1.0)
    rig.table.clear(node(5))
    rig.table.suspect(node(5), now())
    rig.table.touch()
    assert online(31.0)


def test_a_record_is_learned_once_and_renewed() -> None:
    rig = Rig()
    rig.table.learn(record(5), now())
    first = rig.table.view(now())
    rig.table.learn(record(5), now(1.0))
    assert rig.table.view(now(1.0)).version == first.version
    rig.table.learn(record(5, max_calls=3), now(2.0))
    view = rig.table.view(now(2.0))
    assert view.version > first.version
    assert view.nodes.max_calls[view.index[node(5)]] == 3


def test_own_measurements_are_fresh_both_ways_and_stated_one_way() -> None:
    rig = Rig()
    rig.up(1, rtt=0.04)
    rig.table.learn(record(1), now())
    rig.up(2, rtt=0.06)
    rig.table.state(0.5, 3, now(1.0))
    own = rig.table.statement(node(0))
    assert own is not None
    assert [(entry.to, entry.delay_ns) for entry in own.links] == [(node(1), 20_000_000), (node(2), 30_000_000)]
    assert (own.load, own.calls) == (0.5, 3)
    view = rig.table.view(now(1.0))
    assert view.fresh is not None
    pairs = list(zip(view.fresh.src, view.fresh.dst, view.fresh.delay, strict=True))
    there, here = view.index[node(1)], view.index[node(0)]
    assert pairs == [(here, there, 0.02), (there, here, 0.02)]


def test_a_statement_is_made_anew_only_when_something_changed_or_to_show_life() -> None:
    rig = Rig(digest_period=10.0)
    rig.up(1)

    def sequence(load: float, t: float) -> int:
        rig.table.state(load, 0, now(t))
        own = rig.table.statement(node(0))
        assert own is not None
        return own.sequence

    assert sequence(0.0, 0.0) == 1
    assert sequence(0.05, 10.0) == 1
    assert sequence(0.5, 20.0) == 2
    assert sequence(0.5, 44.0) == 2
    assert sequence(0.5, 46.0) == 3
    rig.links[node(1)].rtt = 0.2
    assert sequence(0.5, 47.0) == 4
    rig.links[node(1)].loss = 0.3
    assert sequence(0.5, 48.0) == 5
    rig.up(2, t=49.0)
    assert sequence(0.5, 49.1) == 6


def test_a_statement_never_holds_more_links_than_a_message_may() -> None:
    rig = Rig(neighbours=range(1, 61))
    for i in range(1, 61):
        rig.up(i)
    rig.table.state(0.0, 0, now(1.0))
    own = rig.table.statement(node(0))
    assert own is not None
    assert len(own.links) == LINK_ENTRIES


def test_a_neighbour_is_told_what_is_new_and_not_what_it_said_itself() -> None:
    rig = Rig()
    for i in (5, 6):
        rig.accept(statement(i), source=1)
    rig.accept(statement(2), source=1)
    one, two = rig.links[node(1)], rig.links[node(2)]
    assert rig.table.news(one, now()) == []
    news = rig.table.news(two, now())
    assert [told.statement.origin for _, told in news] == [node(5), node(6)]
    two.told = rig.table.revision
    assert rig.table.news(two, now()) == []
    rig.accept(statement(5, 2), source=1)
    assert [told.statement.version for _, told in rig.table.news(two, now())] == [(0, 2)]


def test_the_view_is_sorted_and_leaves_out_links_to_unknown_nodes() -> None:
    rig = Rig()
    rig.accept(statement(7, links=[5, 0, 99]))
    rig.accept(statement(5, links=[7, 0]))
    view = rig.table.view(now())
    assert view.nodes.ids == tuple(sorted(view.nodes.ids))
    keys = view.links.src.astype(np.int64) * len(view.nodes) + view.links.dst
    assert np.all(np.diff(keys) > 0)
    assert len(view.links) == 4
    own = view.index[node(0)]  # it has said nothing yet, and what one end says alone is no measurement
    assert view.links.observed.tolist() == (view.links.dst != own).tolist()
    rows = find_links(view.links, np.array([view.index[node(7)]]), np.array([view.index[node(5)]]), len(view.nodes))
    assert view.links.delay[rows[0]] == 0.02
    assert view.nodes.load[view.index[node(7)]] == 0.25


def test_an_old_view_is_made_anew_even_when_nothing_came_in() -> None:
    rig = Rig(digest_period=10.0 / 6)
    first = rig.table.view(now())
    assert rig.table.view(now(9.0)).version == first.version
    assert rig.table.view(now(11.0)).version > first.version


@pytest.mark.parametrize(
    ("word", "nat"), [("open", Nat.OPEN), ("Cone", Nat.CONE), ("", Nat.SYMMETRIC), ("odd", Nat.SYMMETRIC)]
)
def test_an_unknown_nat_is_taken_for_the_most_restrictive(word: str, nat: Nat) -> None:
    assert nat_of(record(1, nat=word)) is nat


def test_how_long_a_silent_node_is_believed_follows_the_rounds_of_gossip() -> None:
    assert AgentConfig().stale_after == 120.0
    assert AgentConfig(digest_period=3.0).stale_after == 18.0
