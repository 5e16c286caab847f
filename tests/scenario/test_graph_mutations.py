"""Whatever is done to a graph file, it is a sound topology, or one error with line or element: never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from meshsim.cli import main
from meshsim.mesh.errors import ConfigError
from meshsim.scenario.topologies import files

sys.path.insert(0, str(Path(__file__).parent))
from graph_mutants import MUTATIONS, SOURCES, graph_mutant

COUNT = 3 * len(MUTATIONS) * len(SOURCES)
"""Three of each mutation of each format."""


def outcome(number: int, folder: Path) -> files.Imported | ConfigError:
    suffix, _, data = graph_mutant(number)
    path = folder / f"mutant-{number}{suffix}"
    path.write_bytes(data)
    try:
        return files.read(path)
    except ConfigError as error:
        return error


def check(numbers: range, folder: Path) -> list[files.Imported]:
    """Holds mutants to the claim; returns those that are topologies."""
    sound = []
    for number in numbers:
        found = outcome(number, folder)
        if isinstance(found, ConfigError):
            assert found.file is not None
            assert f"mutant-{number}." in found.file
            assert found.line is not None or found.key is not None, (number, *graph_mutant(number)[:2], str(found))
            assert len(str(found)) < 1000, number
        else:
            sound.append(found)
            check_sound(found, number)
    return sound


def check_sound(found: files.Imported, number: int) -> None:
    topology = found.topology
    assert len(topology) >= 2, number
    for values in (topology.latitude, topology.longitude, topology.length):
        assert np.isfinite(values).all(), number
    assert (np.abs(topology.latitude) <= 90).all(), number
    assert (np.abs(topology.longitude) <= 180).all(), number
    assert (topology.length >= 0).all(), number
    pairs = np.stack([topology.src, topology.dst], axis=1)
    assert (np.unique(pairs, axis=0) == pairs).all(), number
    assert (topology.src != topology.dst).all(), number


@pytest.mark.parametrize("suffix", SOURCES)
def test_what_is_mutated_is_sound_before(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text(SOURCES[suffix], encoding="utf-8")
    assert len(files.read(path).topology) == 3


def test_more_than_two_hundred_mutated_files_are_topologies_or_errors_with_line_or_element(tmp_path):
    assert COUNT >= 200
    sound = check(range(COUNT), tmp_path)
    assert COUNT / 10 < len(sound) < COUNT / 2


@pytest.mark.full
@pytest.mark.parametrize("part", range(4))
def test_thousands_more_are(part, tmp_path):
    assert len(check(range(10_000 + 2000 * part, 12_000 + 2000 * part), tmp_path)) > 200


def test_mutants_are_functions_of_their_number_and_change_their_file():
    assert [graph_mutant(n) for n in range(60)] == [graph_mutant(n) for n in range(60)]
    changed = [graph_mutant(n)[2] != SOURCES[graph_mutant(n)[0].removesuffix(".gz")].encode() for n in range(COUNT)]
    assert sum(changed) > 0.9 * COUNT


@pytest.mark.parametrize("number", range(0, COUNT, 17))
def test_the_command_line_answers_without_a_traceback(number, tmp_path, capsys):
    suffix, _, data = graph_mutant(number)
    path = tmp_path / f"mutant{suffix}"
    path.write_bytes(data)
    code = main(["topo", "show", str(path)])
    told = capsys.readouterr()
    assert code in (0, 2)
    assert "Traceback" not in told.err
    assert code == 0 or f"error: {path}" in told.err


@pytest.mark.parametrize("number", range(5, COUNT, 23))
def test_what_is_sound_survives_the_trip_through_another_format(number, tmp_path):
    found = outcome(number, tmp_path)
    if isinstance(found, ConfigError):
        return
    for suffix in files.SUFFIXES:
        files.write(found.topology, tmp_path / f"again{suffix}")
        again = files.read(tmp_path / f"again{suffix}").topology
        assert again.names == found.topology.names
        assert np.array_equal(again.length, found.topology.length)
