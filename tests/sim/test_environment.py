from __future__ import annotations

import pickle

import pytest

from meshsim.mesh.errors import LocalProtocolError
from meshsim.sim.environment import LATE, Environment


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
    assert env.processes() == 1
    env.run()
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
    assert env.processes() == 0
