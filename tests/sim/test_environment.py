from __future__ import annotations

import pickle
from typing import ClassVar

import pytest

from meshsim.mesh.errors import LocalProtocolError
from meshsim.sim.environment import LATE, Environment


class Kept:
    """A handler that is plain data itself, and remembers across copies."""

    kept: ClassVar[list[tuple[int, object]]] = []

    def append_record(self, entity: int, arg: object) -> None:
        self.kept.append((entity, arg))


seen = Kept()


def test_records_come_by_time_then_priority_then_order():
    env = Environment()
    seen: list[str] = []
    env.on("a", lambda entity, arg: seen.append(arg))
    env.schedule_record(2.0, "a", 0, "third", LATE)
    env.schedule_record(2.0, "a", 0, "first")
    env.schedule_record(2.0, "a", 0, "second")
    env.schedule_record(1.0, "a", 0, "zeroth")
    env.run(until=5.0)
    assert seen == ["zeroth", "first", "second", "third"]
    assert env.now == 5.0


def test_ordinary_processes_share_the_clock_with_records():
    env = Environment()
    seen: list[tuple[float, str]] = []

    def clock():
        for _ in range(3):
            yield env.timeout(1.0)
            seen.append((env.now, "process"))

    env.on("r", lambda entity, arg: seen.append((env.now, "record")))
    env.process(clock())
    env.schedule_record(1.5, "r", 0)
    assert env.ordinary() == ("clock",)
    env.run()
    assert env.ordinary() == ()
    assert seen == [(1.0, "process"), (1.5, "record"), (2.0, "process"), (3.0, "process")]


def test_a_record_may_wake_a_process():
    env = Environment()
    bell = env.event()
    env.on("ring", lambda entity, arg: bell.succeed(entity))

    def listen():
        return (yield bell)

    env.schedule_record(3.0, "ring", 42)
    assert env.run(until=env.process(listen())) == 42
    assert env.now == 3.0


def test_the_past_and_unknown_kinds_are_refused():
    env = Environment(10.0)
    env.on("k", lambda entity, arg: None)
    with pytest.raises(LocalProtocolError, match="before now"):
        env.schedule_record(9.0, "k", 0)
    with pytest.raises(LocalProtocolError, match="no handler"):
        env.schedule_record(11.0, "q", 0)
    with pytest.raises(LocalProtocolError, match="already"):
        env.on("k", lambda entity, arg: None)


def test_waiting_records_are_plain_data():
    env = Environment()
    env.on("k", lambda entity, arg: None)
    env.schedule_record(2.0, "k", 1, (1, 2))
    env.schedule_record(1.0, "k", 0)
    assert pickle.loads(pickle.dumps(env.records())) == env.records()  # noqa: S301 - our own bytes
    assert [record.entity for *_, record in env.records()] == [0, 1]
    assert env.ordinary() == ()


def test_a_process_that_waits_for_nothing_in_the_queue_is_seen_and_refuses_to_be_saved():
    env = Environment()
    bell = env.event()

    def listen():
        yield bell

    env.process(listen())
    env.run(until=1.0)
    assert env.ordinary() == ("listen",)
    with pytest.raises(LocalProtocolError, match="cannot be saved, and there are: listen"):
        pickle.dumps(env)


def test_an_ordinary_event_is_named_by_its_kind():
    env = Environment()
    env.timeout(3.0).callbacks.append(seen.append_record)
    assert env.ordinary() == ("Timeout",)


def test_a_saved_environment_goes_on_where_it_was():
    env = Environment()
    env.on("k", seen.append_record)
    for at in (1.0, 2.0, 3.0):
        env.schedule_record(at, "k", int(at))
    env.run(until=1.5)
    copy = pickle.loads(pickle.dumps(env))  # noqa: S301 - our own bytes
    assert copy.now == 1.5
    copy.schedule_record(2.0, "k", 9)
    copy.run()
    assert [record[0] for record in seen.kept] == [1, 2, 9, 3]


def test_cancelled_kinds_leave_the_queue_and_the_others_in_order():
    env, kept = Environment(), []
    env.on("a", lambda entity, arg: kept.append(entity))
    env.on("b", lambda entity, arg: kept.append(entity))
    for n in range(6):
        env.schedule_record(10.0 - n, "ab"[n % 2], n)
    assert env.cancel({"b"}) == 3
    env.run()
    assert kept == [4, 2, 0]


def test_a_handler_can_stop_the_clock():
    env, seen = Environment(), []
    env.on("k", lambda entity, arg: seen.append(entity))
    env.on("end", lambda entity, arg: env.stop())
    env.schedule_record(1.0, "end", 0)
    env.schedule_record(1.0, "k", 5)
    env.run()
    assert (env.now, seen) == (1.0, [])
    env.run()
    assert seen == [5]


def test_the_end_of_a_run_that_was_stopped_before_it_is_no_end_of_the_next():
    env = Environment()
    env.on("end", lambda entity, arg: env.stop())
    env.schedule_record(1.0, "end", 0)
    env.run(until=5.0)
    assert (env.now, env.ordinary()) == (1.0, ())
    env.run(until=10.0)
    assert env.now == 10.0
