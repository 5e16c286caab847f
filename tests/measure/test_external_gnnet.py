from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from meshsim.measure.external.gnnet import Sample, find_samples, read_sample
from meshsim.mesh.errors import ConfigError

Write = Callable[..., Path]


def only(folder: Path) -> Sample:
    (place,) = find_samples(folder)
    return read_sample(place)


@pytest.mark.parametrize("year", ["2021", "2022"])
def test_a_flow_goes_by_the_routing_over_links_that_are_there(tmp_path: Path, gnnet: Write, year: str) -> None:
    sample = only(gnnet(tmp_path, year))
    (flow,) = sample.flows
    assert [sample.links[link] for link in flow.route] == [(0, 1), (1, 2)]
    assert (flow.source, flow.target, sample.duration, sample.intensity) == (0, 2, 400.0, 5000.0)
    assert (sample.bandwidth == 10000.0).all()
    assert sample.measured.delay.tolist() == [0.29]
    assert sample.usage.utilisation.tolist() == [0.5] * 4


def test_the_two_years_count_buffers_and_list_sizes_in_their_own_ways(tmp_path: Path, gnnet: Write) -> None:
    old, new = only(gnnet(tmp_path / "a", "2021")), only(gnnet(tmp_path / "b", "2022"))
    assert (old.routers[0].buffer_packets, old.routers[0].buffer_bits) == (32, 0.0)
    assert (new.routers[0].buffer_packets, new.routers[0].buffer_bits) == (0, 8000.0)
    assert old.flows[0].sizes == (300.0, 1700.0)
    assert new.flows[0].sizes == (500.0, 1500.0)
    assert new.routers[0].weights == pytest.approx((0.6, 0.3, 0.1))
    assert new.routers[0].queue_of_tos == (0, 1, 2)
    assert old.usage.sojourn[0, 0] == pytest.approx(0.18)
    assert new.usage.sojourn[0, 0] == pytest.approx(0.18)


def test_an_on_off_flow_sends_one_packet_more_in_every_cycle(tmp_path: Path, gnnet: Write) -> None:
    (flow,) = only(gnnet(tmp_path, "2022")).flows
    assert flow.packet_rate == pytest.approx(5.0 * 0.5 + 0.1)
    assert flow.mean_bits() == 1000.0
    assert flow.mean_bits(2) == 1.25e6


BROKEN = {
    "traffic": (
        "traffic",
        "5000|" + "-1,0,-1,0,0;" * 2 + "0,x,5,10,2,1000,300,1700,0;" + "-1,0,-1,0,0;" * 6,
        "field 1",
    ),
    "cells": ("traffic", "5000|-1,0,-1,0,0;", "1 cells, not 9"),
    "distribution": ("traffic", "5000|" + "-1,0,-1,0,0;" * 2 + "5,1,5,10,2,1000,300,1700,0;" + "-1;" * 6, "0->2"),
    "sizes": ("traffic", "5000|" + "-1;" * 2 + "0,5000,5,10,3,1000,3,300,1700,0;" + "-1;" * 6, "size distribution"),
    "results": ("simulationResults", "5,0,1|" + "1,2,3;" * 9, "3 fields, not 11"),
    "usage": ("linkUsage", "1;" * 9, "1 fields, not 8"),
    "stability": ("stability", "400;0.1;FAIL", "field 2"),
    "inputs": ("input_files", "0;graph.txt", "id;graph;routing"),
    "no graph": ("input_files", "0;absent.txt;routing.txt", "cannot be read"),
    "short": ("simulationResults", "", "no line for sample 0"),
    "loop": ("routing", "0;1;0;2\n", "no loop-free path"),
    "ports": ("routing", "-1,0,0,\n0,-1,9,\n0,0,-1,\n", "leads nowhere"),
    "rows": ("routing", "-1,0,0,\n", "1 rows for 3 nodes"),
    "policy": ("graph", 'graph [\n node [\n id 0\n schedulingPolicy "LIFO"\n levelsQoS 1\n]\n]\n', "no policy 'LIFO'"),
    "no queue": ("graph", 'graph [\n node [\n id 0\n schedulingPolicy "SP"\n levelsQoS 1\n]\n]\n', "queueSizes"),
    "no node": ("graph", "graph [\n]\n", "not numbered from 0"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_is_wrong_is_named_with_its_file_and_place(tmp_path: Path, gnnet: Write, name: str) -> None:
    file, text, told = BROKEN[name]
    gnnet(tmp_path, "2021", **{file: text})
    with pytest.raises(ConfigError, match=told) as caught:
        only(tmp_path)
    assert caught.value.file is not None


def test_a_folder_without_samples_or_with_a_broken_archive_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no archives"):
        find_samples(tmp_path)
    (tmp_path / "results_1.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="cannot be read as an archive"):
        find_samples(tmp_path)


def test_archives_that_hold_no_sample_are_an_error(tmp_path: Path, gnnet: Write) -> None:
    gnnet(tmp_path, "2021", input_files="")
    with pytest.raises(ConfigError, match="hold no sample"):
        find_samples(tmp_path)


def test_an_archive_with_any_byte_changed_is_read_or_named(tmp_path: Path, gnnet: Write) -> None:
    whole = (gnnet(tmp_path, "2021") / "results_1_0.tar.gz").read_bytes()
    named = []
    for place in range(0, len(whole), 7):
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / "results_1_0.tar.gz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert find_samples(folder)
        except ConfigError as error:
            named.append(str(error))
    assert named
    assert all("results_1_0.tar.gz" in told for told in named)


def test_a_graph_of_a_name_that_no_file_can_have_is_an_error(tmp_path: Path, gnnet: Write) -> None:
    gnnet(tmp_path, "2021", input_files="0;gra\0ph.txt;routing.txt\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        only(tmp_path)


DATA = Path(os.environ.get("MESHSIM_DATA_DIR", "")) / "gnnet"


@pytest.mark.full
@pytest.mark.skipif(not DATA.is_dir(), reason="the published samples are not here")
def test_published_samples_agree_with_themselves() -> None:
    places = [place for place in find_samples(DATA) if place.number == 0 and "/300/" not in place.name]
    for sample in map(read_sample, places):
        load = np.zeros(len(sample.links))
        for flow, loss in zip(sample.flows, sample.measured.loss, strict=True):
            nodes = [flow.source, *(sample.links[link][1] for link in flow.route)]
            assert nodes[-1] == flow.target
            assert len(set(nodes)) == len(nodes)
            load[list(flow.route)] += flow.packet_rate * flow.mean_bits() * (1.0 if loss == 0.0 else np.nan)
        assert (sample.measured.delay[~np.isnan(sample.measured.delay)] > 0.0).all()
        # Links that no flow with loss crosses carry what was asked for, but for the sources' randomness.
        np.testing.assert_allclose(
            (load / sample.bandwidth)[~np.isnan(load)], sample.usage.utilisation[~np.isnan(load)], atol=0.01
        )
