from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.lab.batch import BatchError, Job, Outcome, Record, Settings, Store, chosen, hold, key_of, perform
from meshsim.lab.batch.fingerprint import code_fingerprint
from meshsim.lab.batch.shard import Shard, held, read
from meshsim.mesh.errors import ConfigError


def square(spec: tuple[int, str]) -> Outcome:
    """What the jobs of these tests do: numbers are squared, words make trouble."""
    number, trouble = spec
    if trouble == "raise":
        raise ValueError("no square of that")
    if trouble == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "hang":
        time.sleep(60.0)
    if trouble.startswith("once "):  # the first time it dies
        mark = Path(trouble.removeprefix("once "))
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return Outcome({"square": float(number * number), "nothing": float("nan")})


def job(number: int, trouble: str = "") -> Job:
    return Job(key=key_of({"n": number}), cell={"n": number}, spec=(number, trouble), again=f"square {number}")


def values(store: Store, code: str = "c") -> dict[str, dict[str, float | int | None]]:
    done, _ = chosen(store.records(), code)
    return {key: record.values for key, record in done.items()}


def record(key: str = "k", **said: object) -> Record:
    return Record(**{"key": key, "cell": {"n": 1}, "code": "c", "values": {"x": 1.0}, **said})  # type: ignore[arg-type]


# Shards ---------------------------------------------------------------------------------------------------------------


@given(cut=st.integers(0, 600), junk=st.binary(max_size=20))
def test_whatever_a_kill_cuts_off_only_that_record_is_lost(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    with Shard(folder, "a") as shard:
        shard.append(record("first"))
        shard.append(record("second"))
    path = folder / "a.shard"
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: max(first, len(whole) - cut)] + junk.replace(b"\n", b""))
    with Shard(folder, "a") as shard:
        shard.append(record("third"))
    records, damages = read(path)
    assert [one.key for one in records if one.key != "second"] == ["first", "third"]
    assert len(damages) <= 1
    if len(records) == 2 and path.read_bytes().count(b"\n") == 3:
        assert damages[0].line == 2


def test_two_processes_never_append_to_one_shard(tmp_path: Path) -> None:
    with Shard(tmp_path, "a") as one, Shard(tmp_path, "a") as other:
        one.append(record("one"))
        other.append(record("other"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.1.shard", "a.shard"]


def test_a_disk_with_no_room_takes_back_what_was_written_of_a_record_and_says_so(tmp_path: Path) -> None:
    with Shard(tmp_path, "a") as shard:
        shard.append(record("first"))
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "a.shard").stat().st_size + 40, limit[1]))
        try:
            with pytest.raises(BatchError, match="a record cannot be written: File too large"):
                shard.append(record("second"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        shard.append(record("third"))
    records, damages = read(tmp_path / "a.shard")
    assert ([one.key for one in records], damages) == (["first", "third"], [])


# Store ----------------------------------------------------------------------------------------------------------------


def test_a_batch_of_which_nothing_is_done_has_no_records(tmp_path: Path) -> None:
    assert Store(tmp_path / "b", "x").records() == []


def test_merged_shards_say_what_they_said_and_one_that_is_held_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    for name in ("a", "b", "c"):
        with Shard(store.shards, name) as shard:
            shard.append(record(name))
    held = Shard(store.shards, "d")
    held.append(record("d"))
    before = store.records()
    store.compact()
    assert store.records() == before
    assert sorted(path.name for path in store.shards.iterdir()) == ["all.shard", "d.shard"]
    held.close()


def test_a_shard_that_is_merged_away_takes_no_more_records(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    with Shard(store.shards, "a") as shard:
        shard.append(record("first"))
    with held(store.shards / "a.shard") as ours, Shard(store.shards, "a") as other:
        assert ours
        other.append(record("second"))
        (store.shards / "a.shard").unlink()
    assert [one.key for one in store.records()] == ["second"]


def test_the_code_of_plug_ins_is_part_of_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[meshsim.routing_policy]\nmine = mine_policy:Mine\n")
    seen = [code_fingerprint.__wrapped__()]
    monkeypatch.syspath_prepend(str(tmp_path))
    for text in ("class Mine: ...\n", "class Mine: name = 'mine'\n"):
        (tmp_path / "mine_policy.py").write_text(text)
        importlib.invalidate_caches()
        seen.append(code_fingerprint.__wrapped__())
    assert len(set(seen)) == 3


def test_a_merge_that_was_killed_before_it_removed_the_old_shards_counts_nothing_twice(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    for name in ("a", "b"):
        with Shard(store.shards, name) as shard:
            shard.append(record(name))
    before, old = store.records(), (store.shards / "b.shard").read_bytes()
    store.compact()
    (store.shards / "b.shard").write_bytes(old)
    assert store.records() == before


def test_foreign_files_in_a_batch_are_neither_read_nor_removed(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    with Shard(store.shards, "a") as shard:
        shard.append(record())
    (store.shards / "notes.txt").write_text("mine")
    (store.shards / "junk.shard").write_bytes(b"\x00\xff not a shard\n")
    assert [one.key for one in store.records()] == ["k"]
    assert [str(damage) for damage in store.damages] == ["junk.shard:1: cut off or altered: checksum does not hold"]
    store.compact()
    assert (store.shards / "notes.txt").read_text() == "mine"


def test_results_of_other_code_count_only_where_they_are_allowed_and_nothing_fresh_is_there() -> None:
    records = [record("a", code="old"), record("a", code="new"), record("b", code="old"), record("c", failure="no")]
    assert set(chosen(records, "new")[0]) == {"a"}
    assert chosen(records, "new")[1] == {"b"}
    done, stale = chosen(records, "new", allow_stale=True)
    assert ({key: one.code for key, one in done.items()}, stale) == ({"a": "new", "b": "old"}, {"b"})


def test_a_folder_is_held_by_one_driver_and_let_go_of(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(BatchError, match=f"process {os.getpid()}"), hold(tmp_path):
        pass
    with hold(tmp_path):
        pass


# Engine ---------------------------------------------------------------------------------------------------------------


def test_values_are_kept_to_the_bit_and_nan_is_nan(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    assert perform(square, [job(3)], store, "c", Settings()) == []
    assert values(store) == {job(3).key: {"square": 9.0, "nothing": None}}


def test_a_job_that_fails_is_tried_as_often_as_said_and_tells_its_traceback(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    (failed,) = perform(square, [job(1, "raise"), job(2)], store, "c", Settings(retries=2))
    assert (failed.attempt, failed.failure, failed.again) == (3, "ValueError: no square of that", "square 1")
    assert "in square" in failed.detail
    assert set(values(store)) == {job(2).key}


def test_failing_fast_leaves_the_rest_undone(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    perform(square, [job(1, "raise"), job(2)], store, "c", Settings(fail_fast=True))
    assert values(store) == {}


def test_an_infinite_value_is_a_failure_and_no_result(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    (failed,) = perform(_infinite, [job(1)], store, "c", Settings())
    assert failed.failure == "infinite: inf"


def _infinite(_: object) -> Outcome:
    return Outcome({"square": float("inf")})


@pytest.mark.parametrize(("said", "key"), [({"timeout": 1.0}, "--timeout"), ({"workers": 0}, "--workers")])
def test_settings_that_cannot_be_kept_are_refused(said: dict[str, float], key: str) -> None:
    with pytest.raises(ConfigError) as told:
        Settings(**said)  # type: ignore[arg-type]
    assert told.value.key == key


def test_what_cannot_be_sent_to_another_process_is_said_before_any_is_begun(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    with pytest.raises(BatchError, match="cannot be sent to other processes"):
        perform(lambda _: Outcome({}), [job(1)], store, "c", Settings(executor="local"))


@pytest.mark.full
def test_a_worker_that_dies_or_hangs_is_replaced_and_costs_only_its_own_job(tmp_path: Path) -> None:
    store = Store(tmp_path / "b", "x")
    jobs = [job(1), job(2, f"once {tmp_path / 'mark'}"), job(3, "hang"), *(job(n) for n in range(4, 9)), job(9, "die")]
    failed = perform(square, jobs, store, "c", Settings(executor="local", workers=2, timeout=4.0))
    assert {one.cell["n"]: one.failure for one in failed} == {
        3: "not done after 4 s",
        9: "its process died (signal 9)",
    }
    assert set(values(store)) == {one.key for one in jobs} - {job(3).key, job(9).key}
    assert sum(one.cell["n"] == 9 for one in store.records()) == 3


def _drive(folder: Path) -> None:
    store = Store(folder, "x")
    perform(_slowly, [job(n) for n in range(40)], store, "c", Settings(executor="local", workers=2))


def _slowly(spec: tuple[int, str]) -> Outcome:
    time.sleep(0.05)
    return square(spec)


@pytest.mark.full
def test_a_driver_that_is_killed_takes_its_workers_with_it_and_loses_nothing_that_was_done(tmp_path: Path) -> None:
    driver = multiprocessing.get_context("spawn").Process(target=_drive, args=(tmp_path / "b",))
    driver.start()
    store = Store(tmp_path / "b", "x")
    while len(store.records()) < 5:
        time.sleep(0.05)
        assert driver.is_alive()
    os.kill(driver.pid or 0, signal.SIGKILL)
    driver.join()
    kept = len(values(store))
    again: list[Record] = []
    missing = [one for one in (job(n) for n in range(40)) if one.key not in values(store)]
    perform(square, missing, store, "c", Settings(), again.append)
    assert kept >= 5
    assert set(values(store)) == {job(n).key for n in range(40)}
    assert len(again) <= 40 - kept


@pytest.mark.full
def test_processes_that_cannot_begin_end_the_batch_and_are_not_begun_for_ever(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "broken.py"), str(tmp_path / "b")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "processes end before they begin (exit code 7): can the main program be imported?\n"


BROKEN = """
import sys
if __name__ != "__main__":
    sys.exit(7)
from pathlib import Path
from meshsim.lab.batch import BatchError, Job, Outcome, Settings, Store, perform
try:
    store = Store(Path(sys.argv[1]), "x")
    perform(max, [Job(key="k", cell={}, spec=(1, 2))], store, "c", Settings(executor="local", workers=1))
except BatchError as error:
    print(error)
"""


@pytest.mark.full
def test_a_function_of_a_prompt_or_a_notebook_is_refused_by_processes(tmp_path: Path) -> None:
    program = BROKEN.replace("(max,", "(f,").replace("from pathlib", "def f(spec): ...\nfrom pathlib", 1)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "b")], capture_output=True, text=True, check=False
    )
    assert "put it into a module and import it here" in done.stdout
