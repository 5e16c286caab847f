"""`meshsim topo`: what it lists, shows and converts, and how mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshsim.cli import main
from meshsim.scenario import topologies
from meshsim.scenario.topologies import files

Capture = pytest.CaptureFixture[str]

TOWN = "source,target,latitude,longitude,rate_mbps\na,,0,0,\nb,,0,1,\na,b,,,10\nb,a,,,5\nlone,,1,1,\n"


def answer(capture: Capture, *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capture.readouterr().out)


def complaint(capture: Capture, *words: str) -> str:
    assert main([*words]) == 2
    told = capture.readouterr()
    assert told.out == ""
    return told.err


@pytest.fixture
def town(tmp_path: Path) -> Path:
    path = tmp_path / "town.csv"
    path.write_text(TOWN, encoding="utf-8")
    return path


def test_list_keeps_to_the_family_and_tells_the_use(capsys: Capture) -> None:
    rows = answer(capsys, "topo", "list", "--family", "sndlib/")["topologies"]
    assert {"name": "sndlib/geant", "use": "train"} in rows
    assert {"name": "sndlib/germany50", "use": "evaluate"} in rows
    assert all(row["name"].startswith("sndlib/") for row in rows)


def test_list_keeps_to_the_use_and_tells_sizes(capsys: Capture) -> None:
    rows = answer(capsys, "topo", "list", "--family", "topozoo/P", "--use", "validate", "--sizes")["topologies"]
    assert {"name": "topozoo/Packetexchange", "use": "validate", "nodes": 21, "links": 54} in rows
    assert answer(capsys, "topo", "list", "--family", "topozoo/P", "--use", "train")["topologies"] == []


def test_list_names_data_that_are_not_here_without_a_size(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESHSIM_DATA_DIR", raising=False)
    rows = answer(capsys, "topo", "list", "--family", "freifunk/ulm", "--sizes")["topologies"]
    assert rows == [{"name": "freifunk/ulm", "use": "validate", "nodes": None, "links": None}]


def test_list_is_a_name_a_line_for_people(capsys: Capture) -> None:
    assert main(["topo", "list", "--family", "waxman"]) == 0
    assert capsys.readouterr().out == "waxman  train\n"


def test_show_tells_size_degrees_parts_and_diameter(capsys: Capture) -> None:
    shown = answer(capsys, "topo", "show", "sndlib/polska")
    assert shown["nodes"] == len(shown["places"]) == 12
    assert (shown["links"], shown["components"], shown["diameter_hops"]) == (36, 1, 4)
    assert shown["degree_min"] <= shown["degree_median"] <= shown["degree_max"]
    assert 0 < shown["link_length_mean_km"] <= shown["link_length_max_km"] <= shown["diameter_km"]
    assert (shown["use"], shown["directed"], shown["notes"], shown["said"]) == ("train", False, [], {})


def test_show_tells_what_was_mended_in_a_file(capsys: Capture, town: Path) -> None:
    shown = answer(capsys, "topo", "show", str(town))
    assert shown["name"] == "file/town"
    assert shown["use"] == "evaluate"
    assert shown["said"] == {"rate": 1.0}
    assert shown["notes"] == [
        "parallel edges, of which the shortest stays: 1 left out",
        "nodes without an edge left out: 1 (lone)",
    ]
    whole = answer(capsys, "topo", "show", str(town), "--component", "all", "--directed")
    assert (whole["nodes"], whole["components"], whole["notes"]) == (3, 2, [])


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_show_draws_a_map(capsys: Capture, tmp_path: Path, kind: str) -> None:
    picture = tmp_path / f"map.{kind}"
    assert answer(capsys, "topo", "show", "ring", "--figure", str(picture))["nodes"] == 12
    assert picture.stat().st_size > 1000
    assert "not a picture" in complaint(capsys, "topo", "show", "ring", "--figure", str(tmp_path / "map.doc"))


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_convert_there_and_back_keeps_everything(capsys: Capture, town: Path, suffix: str) -> None:
    there, back = town.with_name(f"there{suffix}.gz"), town.with_name("back.json")
    first = answer(capsys, "topo", "convert", str(town), str(there), "--directed")
    assert (first["nodes"], first["links"]) == (3, 2)
    assert answer(capsys, "topo", "convert", str(there), str(back))["notes"] == []
    one, two = (topologies.load(str(path), component="all") for path in (there, back))
    assert one.names == two.names == ("a", "b", "lone")
    for field in ("latitude", "longitude", "src", "dst", "length", "rate"):
        assert np.array_equal(getattr(one, field), getattr(two, field))


def test_convert_takes_names_and_seeds(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "drawn.gml"
    answer(capsys, "topo", "convert", "waxman", str(path), "--seed", "3")
    assert np.array_equal(topologies.load(str(path)).length, topologies.load("waxman", seed=3).length)


def test_mistakes_are_told_with_file_line_and_what_is_allowed(capsys: Capture, town: Path) -> None:
    assert "did you mean: sndlib" in complaint(capsys, "topo", "list", "--family", "Sndlib")
    assert "did you mean: sndlib/polska" in complaint(capsys, "topo", "show", "sndlib/polskaa")
    town.write_text(TOWN + "b,c,,,fast\n", encoding="utf-8")
    told = complaint(capsys, "topo", "show", str(town))
    assert f"{town}:7: rate_mbps: not a number: 'fast'" in told
    assert "allowed: <number>" in told
    assert "did you mean: .gml" in complaint(capsys, "topo", "convert", "ring", str(town.with_suffix(".gm")))
    assert "No such file" in complaint(capsys, "topo", "show", "absent.gml")
    assert "not a distance" in complaint(capsys, "topo", "show", str(town), "--length", "far")
    assert "length: -5.0" in complaint(capsys, "topo", "show", str(town), "--length=-5 m")


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("sndlib/polska", "--length=5km"),
        ("ring", "--component=all"),
        ("ring", "--directed"),
        ("sndlib/polska", "--seed=3"),
    ],
)
def test_options_that_would_change_nothing_are_refused(capsys: Capture, source: str, option: str) -> None:
    told = complaint(capsys, "topo", "show", source, option)
    assert told.startswith(f"error: {option.partition('=')[0]}: changes nothing of {source}")


def test_a_seed_changes_nothing_of_a_file(capsys: Capture, town: Path) -> None:
    assert "not a generator" in complaint(capsys, "topo", "show", str(town), "--seed", "3")


def test_nothing_is_listed_where_no_topology_has_that_use(capsys: Capture) -> None:
    assert main(["topo", "list", "--family", "topozoo/P", "--use", "train"]) == 0
    assert capsys.readouterr().out == ""
