from __future__ import annotations

import io
import sys
import types
from typing import Any

import pytest

from meshsim.lab import progress

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes as it is told, and everything takes long."""
    monkeypatch.setattr(progress, "PATIENCE", 0.0)


class Clock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_machines_are_told_nothing(impatient: None, capsys: Capture) -> None:
    with progress.bar("working", shown=False) as advance:
        advance(0.5)
    told = capsys.readouterr()
    assert told.out == told.err == ""


def test_without_a_terminal_a_line_comes_after_two_seconds_and_then_every_ten(capsys: Capture, clock: Clock) -> None:
    with progress.bar("experiment x", of=120) as advance:
        for second, runs in ((1.0, 2), (60.0, 34), (65.0, 36), (71.0, 40)):
            clock.now = 100.0 + second
            advance(runs / 120)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "experiment x: 34 of 120, 3 min left\nexperiment x: 40 of 120, 2 min left\n"


def test_what_cannot_be_counted_is_told_as_a_share(capsys: Capture, clock: Clock) -> None:
    with progress.bar("simulating demo") as advance:
        clock.now += 3.0
        advance(0.25)
    assert capsys.readouterr().err == "simulating demo: 25 %, 9 s left\n"


def test_the_clock_speaks_while_nothing_is_done(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    said = progress.threading.Event()

    class Heard(io.StringIO):
        def write(self, text: str) -> int:
            said.set()
            return super().write(text)

    heard = Heard()
    monkeypatch.setattr(progress, "_TICK", 0.001)
    monkeypatch.setattr(sys, "stderr", heard)
    with progress.bar("experiment x", of=3):
        assert said.wait(60.0)
    assert heard.getvalue() == "experiment x: 0 of 3, 0 s so far\n"


@pytest.mark.parametrize(("patience", "seen"), [(0.0, True), (1000.0, False)])
def test_on_a_terminal_a_bar_appears_for_what_takes_long(
    patience: float, *, seen: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", patience)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress.bar("working", of=4) as advance:
        advance(0.5)
    told = capsys.readouterr()
    assert told.out == ""
    assert ("working: 2 of 4" in told.err) is seen


def test_in_a_notebook_one_bar_is_updated_and_emptied(
    impatient: None, clock: Clock, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def display(page: str, *, display_id: bool = False) -> Any:
        assert display_id
        shown.append(page)
        return types.SimpleNamespace(update=shown.append)

    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(HTML=str, display=display))
    with progress.bar("<b>", of=2) as advance:
        clock.now += 2.0
        advance(0.5)
        clock.now += 2.0
        advance(1.0)
    assert shown[0] == '<progress max="1" value="0.5000"></progress> &lt;b&gt;: 1 of 2, 2 s left'
    assert shown[1].startswith('<progress max="1" value="1.0000">')
    assert shown[2] == ""
    assert capsys.readouterr().err == ""


def test_an_error_ends_the_bar_and_goes_on(impatient: None, capsys: Capture) -> None:
    with pytest.raises(KeyboardInterrupt), progress.bar("working"):
        raise KeyboardInterrupt
