"""Measured latency as underlays: as slow as measured, routed directly, with gaps by the rule of distance."""

from __future__ import annotations

import csv
import gzip

import numpy as np
import pytest

from meshsim import scenario
from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.topology import Topology
from meshsim.scenario import topologies, underlay
from meshsim.scenario.network import UnderlayConfig
from meshsim.scenario.topologies import measured, registry
from meshsim.scenario.underlay import build_underlay

HAS_DATA = pytest.mark.skipif(registry.data_folder() is None, reason="MESHSIM_DATA_DIR is not set")
PLACES = {"ethshadow": 16, "planetlab490": 490, "simblock": 12, "wondernetwork": 242}


def on_sphere(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Degrees of random places, and the great-circle metres between them."""
    draw = np.random.default_rng(seed)
    at = np.stack([np.degrees(np.arcsin(draw.uniform(-1, 1, count))), draw.uniform(-180, 180, count)], axis=1)
    return at, geo.distance(at[:, None, 0], at[:, None, 1], at[:, 0], at[:, 1])


@HAS_DATA
@pytest.mark.parametrize("name", sorted(PLACES))
def test_a_measured_underlay_is_complete_and_routes_take_its_one_edge(name: str) -> None:
    topology = topologies.load(f"measured/{name}")
    count = PLACES[name]
    assert (len(topology), len(topology.src)) == (count, count * (count - 1))
    built = build_underlay(UnderlayConfig(), topology, SeedTree(1))
    for a, b in ((0, 1), (count - 1, 0), (3, count - 2)):
        (edge,) = built.route(a, b).tolist()
        assert (topology.src[edge], topology.dst[edge]) == (a, b)
        assert built.propagation[edge] == topology.delay[edge]
    assert len(built.route(2, 2)) == 0
    assert (topology.delay > 0).all()


@HAS_DATA
def test_pings_of_wondernetwork_are_kept_pair_by_pair_in_both_directions() -> None:
    topology = topologies.load("measured/wondernetwork")
    index = {city: i for i, city in enumerate(topology.names)}
    edge = {pair: i for i, pair in enumerate(zip(topology.src.tolist(), topology.dst.tolist(), strict=True))}
    with gzip.open(registry.data_file("wondernetwork", "rtt_pairs.csv.gz"), "rt") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows[:: len(rows) // 50]:
        i = edge[index[row["src"]], index[row["dst"]]]
        assert 2e3 * topology.delay[i] == pytest.approx(float(row["rtt_avg_ms"]))
        assert topology.jitter[i] * 2**0.5 == pytest.approx(1e-3 * float(row["rtt_mdev_ms"]))
    there = topology.delay[[edge[a, b] for a, b in zip(topology.src, topology.dst, strict=True)]]
    back = topology.delay[[edge[b, a] for a, b in zip(topology.src, topology.dst, strict=True)]]
    assert np.median(np.abs(there - back) / there) == pytest.approx(0.002, abs=0.002)
    assert (there != back).mean() > 0.3


@HAS_DATA
def test_gaps_of_the_measurement_go_by_distance_and_are_counted() -> None:
    assert measured.gaps("measured/wondernetwork") == 242 * 241 - 57_807
    assert measured.gaps("measured/planetlab490") == 0


@HAS_DATA
def test_a_city_without_coordinates_lies_at_its_nearest_neighbour() -> None:
    topology = topologies.load("measured/wondernetwork")
    lost = topology.names.index("Westpoort")
    assert np.isfinite(topology.latitude).all()
    shares = (topology.latitude == topology.latitude[lost]) & (topology.longitude == topology.longitude[lost])
    assert shares.sum() >= 2


@HAS_DATA
def test_detours_that_are_shorter_than_the_direct_way_stay() -> None:
    for name in ("wondernetwork", "planetlab490"):
        topology = topologies.load(f"measured/{name}")
        delay = np.zeros((len(topology), len(topology)))
        delay[topology.src, topology.dst] = topology.delay
        np.fill_diagonal(delay, np.inf)
        draw = np.random.default_rng(4)
        a, b = draw.integers(len(topology), size=(2, 3000))
        a, b = a[a != b], b[a != b]
        best = np.min(delay[a] + delay[:, b].T, axis=1)
        share = float((best < delay[a, b]).mean())
        assert 0.6 < share < 0.98, (name, share)  # REFERENCE: the best relay wins for about 80 % of pairs


@HAS_DATA
def test_a_region_and_itself_are_as_far_apart_as_the_tables_say() -> None:
    simblock, ethshadow = (topologies.load(f"measured/{name}") for name in ("simblock", "ethshadow"))
    for topology, a, b, milliseconds in (
        (simblock, "europe-0", "europe-1", 11.0),
        (simblock, "europe-0", "japan-1", 252.0),
        (ethshadow, "europe-1", "na_west-0", 110.0),
        (ethshadow, "south_america-0", "south_america-1", 7.0),
    ):
        pair = topology.names.index(a), topology.names.index(b)
        (i,) = np.flatnonzero((topology.src == pair[0]) & (topology.dst == pair[1])).tolist()
        assert topology.delay[i] == pytest.approx(milliseconds / 1e3)


@pytest.mark.parametrize("seed", range(4))
def test_hosts_without_places_are_embedded_as_far_apart_as_their_round_trips_say(seed: int) -> None:
    _, metres = on_sphere(60, seed)
    at = measured.embed(geo.predicted_rtt(metres))
    again = geo.distance(at[:, None, 0], at[:, None, 1], at[:, 0], at[:, 1])
    assert again == pytest.approx(metres, abs=1e3)


def test_an_embedding_of_noise_is_finite_and_shuffled_round_trips_are_not_recovered() -> None:
    _, metres = on_sphere(40, 1)
    draw = np.random.default_rng(2)
    noisy = np.triu(geo.predicted_rtt(metres)[draw.permutation(40)], 1)
    at = measured.embed(noisy + noisy.T)
    again = geo.distance(at[:, None, 0], at[:, None, 1], at[:, 0], at[:, 1])
    assert np.isfinite(at).all()
    assert np.corrcoef(again.ravel(), metres.ravel())[0, 1] < 0.6


def test_a_pair_that_nobody_measured_gets_the_rule_of_distance() -> None:
    at, metres = on_sphere(5, 3)
    told = np.full((5, 5), 0.080)
    told[1, 3] = np.nan
    topology = measured.complete("measured/own", list("abcde"), at, told)
    (gap,) = np.flatnonzero((topology.src == 1) & (topology.dst == 3)).tolist()
    assert topology.delay[gap] == pytest.approx(geo.predicted_rtt(metres[1, 3]) / 2)
    assert (np.delete(topology.delay, gap) == 0.040).all()
    assert topology.jitter is None


def test_a_topology_tells_delay_and_jitter_of_some_edges_and_the_rest_go_by_length() -> None:
    plain = topologies.load("sndlib/polska")
    delay, jitter = np.full((2, len(plain.src)), np.nan)
    delay[4], jitter[5] = 0.5, 0.25
    told = Topology(**{**vars(plain), "delay": delay, "jitter": jitter})
    one, other = (build_underlay(UnderlayConfig(), topology, SeedTree(1)) for topology in (plain, told))
    assert (np.flatnonzero(one.propagation != other.propagation) == [4]).all()
    assert other.propagation[4] == 0.5
    assert np.flatnonzero(other.jitter).tolist() == [5]
    assert (one.jitter == 0).all()
    assert np.array_equal(one.route_edge, other.route_edge)


def test_routes_that_no_memory_would_hold_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    ring = topologies.load("ring", places=201)  # routes of 50 hops on average
    assert len(build_underlay(UnderlayConfig(routing_inflation=0.0), ring, SeedTree(1)).route_edge) == 201 * 10_100
    monkeypatch.setattr(underlay, "MOST_HOPS", 2_000_000)
    with pytest.raises(ConfigError, match="more than 2,000,000 hops"):
        build_underlay(UnderlayConfig(routing_inflation=0.0), ring, SeedTree(1))


def test_without_data_a_scenario_on_measured_latency_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.VARIABLE, raising=False)
    measured.load.cache_clear()
    named = scenario.change(scenario.Scenario(), ["underlay.topology=measured/simblock"])
    with pytest.raises(ConfigError, match="MESHSIM_DATA_DIR is not set") as caught:
        named.topology(1)
    assert "MESHSIM_DATA_DIR" in caught.value.allowed[0]


def test_a_damaged_table_of_pings_is_told_by_name(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "wondernetwork"
    folder.mkdir()
    (folder / "cities.csv").write_text("city,lat,lon,population\nOslo,59.9,10.7,700000\nRome,41.9,12.5,2800000\n")
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    measured.load.cache_clear()
    for content in (
        b"\x1f\x8bnothing",
        gzip.compress(b"src,dst,distance_km,rtt_avg_ms,rtt_mdev_ms\nOslo,Rome,2000,x,1\n"),
    ):
        (folder / "rtt_pairs.csv.gz").write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            measured.load("measured/wondernetwork")
        assert caught.value.file.endswith("rtt_pairs.csv.gz")
    measured.load.cache_clear()


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("wondernetwork", "cities.csv", b"city,lat,lon,population\nUlm,north,10,5\n"),
        ("planetlab490", "planetlab490_median.npz", b"no archive"),
        ("simblock", "regions.json", b"{"),
        ("ethshadow", "regions.json", b'{"latency": {}}'),
    ],
)
def test_files_that_are_something_else_are_refused_by_name(name, file, content, tmp_path, monkeypatch):
    folder = f"{name}_regions" if file == "regions.json" else name
    (tmp_path / folder).mkdir()
    (tmp_path / folder / file).write_bytes(content)
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path))
    measured.load.cache_clear()
    with pytest.raises(ConfigError, match="is not as it must be") as refused:
        measured.load(f"measured/{name}")
    assert refused.value.file == str(tmp_path / folder / file)
    assert f"meshsim data verify {folder}" in str(refused.value)
