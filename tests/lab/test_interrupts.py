"""A run that somebody interrupts is a trace to look at, and goes on to the trace of one that nobody did."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import meshsim as ms
from meshsim.cli import main
from meshsim.lab import experiment, interrupts
from meshsim.lab import run as runs
from meshsim.lab.trial import perform as perform_trial
from meshsim.measure.trace import Trace, trace_sha256
from meshsim.routing.policies import Shortest

if TYPE_CHECKING:
    from meshsim.lab.batch import Outcome
    from meshsim.lab.trial import Trial

SMALL = ("duration=60 s", "warmup=5 s", "control.mode=modelled")
Bar = Callable[..., Any]


def interrupting(share: float, times: int = 1) -> Bar:
    """A bar whose reader presses Ctrl-C when a share is done."""

    @contextmanager
    def bar(*_: object, **__: object) -> Iterator[Callable[[float], None]]:
        left = times

        def advance(done: float) -> None:
            nonlocal left
            while done >= share and left:
                left -= 1
                signal.raise_signal(signal.SIGINT)

        yield advance

    return bar


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ms.Result:
    return ms.run("smoke", overrides=SMALL, out=tmp_path_factory.mktemp("whole") / "run", progress=False)


@pytest.mark.parametrize("every", [None, 7.0])
def test_an_interrupted_run_leaves_a_trace_and_goes_on_to_the_identical_one(
    every: float | None, whole: ms.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "bar", interrupting(0.5))
    with pytest.raises(KeyboardInterrupt) as stop:
        ms.run("smoke", overrides=SMALL, out=tmp_path / "run", checkpoint_every=every)
    assert stop.value.__notes__ == [
        f"what was simulated so far is a trace: {tmp_path / 'run.part'}",
        f"saved; go on with: meshsim run --resume {tmp_path / 'run'}",
    ]
    cut = Trace(tmp_path / "run.part")
    assert 30.0 <= cut.header["interrupted_at_seconds"] < 40.0
    assert 0 < cut.table("calls").num_rows < whole.trace.table("calls").num_rows
    monkeypatch.undo()
    gone_on = ms.run(resume=tmp_path / "run", progress=False)
    assert gone_on.trace_sha256 == whole.trace_sha256
    assert "interrupted_at_seconds" not in gone_on.trace.header


def test_a_run_can_be_interrupted_again_and_again(
    whole: ms.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for share, begun in ((0.2, {"scenario": "smoke", "overrides": SMALL, "out": tmp_path / "run"}), (0.7, {})):
        monkeypatch.setattr(runs, "bar", interrupting(share))
        with pytest.raises(KeyboardInterrupt):
            ms.run(**(begun or {"resume": tmp_path / "run"}))
    monkeypatch.undo()
    assert ms.run(resume=tmp_path / "run.part", progress=False).trace_sha256 == whole.trace_sha256


def test_the_command_line_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "bar", interrupting(0.5))
    words = [word for override in SMALL for word in ("-o", override)]
    assert main(["run", "smoke", *words, "--out", str(tmp_path / "run")]) == 130
    told = capsys.readouterr()
    assert told.out == ""
    assert f"go on with: meshsim run --resume {tmp_path / 'run'}" in told.err
    assert main(["run", "smoke", *words, "--out", str(tmp_path / "run")]) == 2
    assert "holds a run that can go on" in capsys.readouterr().err


def test_what_cannot_be_saved_leaves_its_trace_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Shortest):
        pass

    monkeypatch.setattr(runs, "bar", interrupting(0.5))
    with pytest.raises(KeyboardInterrupt) as stop:
        ms.run("smoke", overrides=SMALL, out=tmp_path / "run", policy=Mine())
    assert "cannot be gone on with" in stop.value.__notes__[1]
    assert Trace(tmp_path / "run.part").table("calls").num_rows


def test_the_second_time_it_is_heard_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "bar", interrupting(0.5, times=2))
    with pytest.raises(KeyboardInterrupt) as stop:
        ms.run("smoke", overrides=SMALL, out=tmp_path / "run")
    assert not isinstance(stop.value, interrupts.Stopped)
    assert list(tmp_path.iterdir()) == []


def test_afterwards_signals_are_heard_as_before(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts.patient() as asked:
        assert signal.getsignal(signal.SIGINT) is not before
        signal.raise_signal(signal.SIGINT)
        assert asked()
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_nothing_is_changed() -> None:
    heard = []

    def look() -> None:
        before = signal.getsignal(signal.SIGINT)
        with interrupts.patient() as asked:
            heard.append((asked(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert heard == [(False, True)]


def test_an_interrupt_too_late_leaves_the_whole_run_and_says_so(
    whole: ms.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = runs.checkpoint.finish

    def finish_and_press(*given: Any) -> Any:
        done = finish(*given)
        signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(runs.checkpoint, "finish", finish_and_press)
    with pytest.raises(KeyboardInterrupt) as stop:
        ms.run("smoke", overrides=SMALL, out=tmp_path / "run", progress=False)
    assert stop.value.__notes__ == [f"the run had just finished: {tmp_path / 'run'}"]
    assert trace_sha256(tmp_path / "run") == whole.trace_sha256


def test_an_interrupted_experiment_leaves_its_table_and_says_how_to_go_on(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def two_then_stop(trial: Trial) -> Outcome:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(trial)
        return perform_trial(trial)

    monkeypatch.setattr(experiment, "perform_trial", two_then_stop)
    with pytest.raises(KeyboardInterrupt) as stop:
        experiment.run_experiment("tiny-question", out=tmp_path / "out", root=experiments, progress=False)
    assert stop.value.__notes__ == [
        f"what was done is kept; go on with: meshsim exp resume tiny-question --out {tmp_path / 'out'}",
        f"its table: {tmp_path / 'out' / 'runs.parquet'}",
    ]
    assert pq.read_table(tmp_path / "out" / "runs.parquet").num_rows == 2
    monkeypatch.undo()
    answer = experiment.run_experiment("tiny-question", out=tmp_path / "out", root=experiments, progress=False)
    assert answer["cached"] == 2
    assert answer["missing"] == 0
