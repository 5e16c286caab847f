from __future__ import annotations

import pytest

from meshsim.lab import progress

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_is_silent_where_nobody_watches(*, shown: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.bar("working", shown=shown) as advance:
        advance(0.5)
        advance(1.0)
    told = capsys.readouterr()
    assert told.out == told.err == ""


@pytest.mark.parametrize(("patience", "seen"), [(0.0, True), (1000.0, False)])
def test_on_a_terminal_a_bar_appears_for_what_takes_long(
    patience: float, *, seen: bool, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", patience)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress.bar("working") as advance:
        advance(0.5)
    told = capsys.readouterr()
    assert told.out == ""
    assert ("working" in told.err) is seen
