from __future__ import annotations

import gzip
import io
import math
import os
from pathlib import Path

import networkx as nx
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import LinkParameters, Radio, compiled, link_quality, radio_link
from meshsim.links.radio import (
    RATES,
    airtime,
    best_rate,
    delivery,
    faded_delivery,
    half_delivery,
    path_loss,
    signal_to_noise,
)
from meshsim.mesh.errors import ConfigError

RADIO = Radio()
distances, normals = st.floats(0.1, 10_000.0), st.floats(-4.0, 4.0)
snrs, sizes = st.floats(-40.0, 60.0), st.floats(20.0, 2000.0)
required = st.sampled_from([snr for _, snr in RATES])


@given(distances, distances, normals, normals)
def test_farther_links_are_never_better(one: float, other: float, shadow: float, side: float) -> None:
    near, far = sorted((one, other))
    assert path_loss(near, 46.7, 3.0) <= path_loss(far, 46.7, 3.0)
    assert 1.0 >= link_quality(near, shadow, side, RADIO) >= link_quality(far, shadow, side, RADIO) >= 0.0
    good, bad = (radio_link(metres, shadow, side, RADIO) for metres in (near, far))
    assert good.rate_bps * (1.0 - good.loss) >= bad.rate_bps * (1.0 - bad.loss) * (1.0 - 1e-9)
    assert good.propagation <= bad.propagation


def test_ten_times_the_distance_costs_ten_times_the_exponent_in_decibels() -> None:
    assert path_loss(500.0, 40.0, 3.2) - path_loss(50.0, 40.0, 3.2) == pytest.approx(32.0)


@given(snrs, snrs, required, sizes)
def test_delivery_is_a_share_that_grows_with_the_signal(one: float, other: float, need: float, size: float) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= delivery(low, need, size) <= delivery(high, need, size) <= 1.0
    assert 0.0 <= faded_delivery(low, need, size, 5.0) <= faded_delivery(high, need, size, 5.0) <= 1.0


@given(snrs, required, sizes, sizes)
def test_larger_packets_are_lost_more_often(snr: float, need: float, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert delivery(snr, need, large) <= delivery(snr, need, small) + 1e-12


@pytest.mark.parametrize("need", [snr for _, snr in RATES])
def test_a_rate_passes_nine_of_ten_packets_at_the_signal_that_the_standard_asks_for(need: float) -> None:
    assert delivery(need, need, 1000.0) == pytest.approx(0.9)
    assert delivery(half_delivery(need, 1000.0), need, 1000.0) == pytest.approx(0.5)


def test_a_step_over_a_wide_fading_is_the_average_of_the_curve() -> None:
    fading = np.random.default_rng(2).normal(0.0, 5.0, 200_000)
    for snr in (0.0, 3.0, 8.0):
        mean = np.mean([delivery(snr + offset, 4.0, 1500.0) for offset in fading[:20_000].tolist()])
        assert faded_delivery(snr, 4.0, 1500.0, 5.0) == pytest.approx(mean, abs=0.02)


def test_airtime_of_the_fastest_rate_is_that_of_the_standard_by_hand() -> None:
    symbols = 57  # of 216 bits: 1,536 bytes with service and tail bits
    assert airtime(54e6, 1500.0) == pytest.approx((34 + 67.5 + 20 + 4 * symbols + 16 + 20 + 4 * 6) * 1e-6)


@given(snrs, sizes)
def test_no_other_rate_would_deliver_more(snr: float, size: float) -> None:
    chosen, share = best_rate(snr, size, 5.0)
    goodput = {rate: faded_delivery(snr, need, size, 5.0) / airtime(rate, size) for rate, need in RATES}
    assert goodput[chosen] == max(goodput.values())
    assert share == pytest.approx(goodput[chosen] * airtime(chosen, size), rel=1e-12, abs=1e-300)


def test_directions_differ_as_in_the_freifunk_networks() -> None:
    # What the data folder's README says of five networks: median TQ .66-.85, mean |forward - reverse| .09-.14.
    generator = np.random.default_rng(4)
    for metres in (84.0, 92.0, 100.0):
        quality = qualities(metres, generator.standard_normal((10_000, 3)))
        assert 0.66 <= np.median(quality) <= 0.85
        assert 0.09 <= np.abs(quality[:, 0] - quality[:, 1]).mean() <= 0.14
        assert abs(float((quality[:, 0] - quality[:, 1]).mean())) < 0.005


def qualities(metres: float, draws: np.ndarray) -> np.ndarray:
    """Quality of both directions, shape (N, 2), for rows of a shared and two own draws."""
    rows = draws.tolist()
    return np.array([[link_quality(metres, shadow, side, RADIO) for side in sides] for shadow, *sides in rows])


@pytest.mark.parametrize("network", ["aachen", "altdorf", "cologne-bonn-area"])
def test_directions_differ_as_much_as_measured_where_links_are_as_good(network: str) -> None:
    folder = os.environ.get("MESHSIM_DATA_DIR")
    if not folder:
        pytest.skip("MESHSIM_DATA_DIR is not set")
    graph = nx.read_graphml(io.BytesIO(gzip.decompress((Path(folder) / f"freifunk/{network}.graphml.gz").read_bytes())))
    edges = [edge for _, _, edge in graph.edges(data=True) if edge.get("type") == "wifi"]
    measured = np.array([(edge.get("tq_fwd", 0.0), edge.get("tq_rev", 0.0)) for edge in edges], float)
    measured = measured[(measured > 0.0).all(axis=1)]  # 0 means that there is no value
    draws = np.random.default_rng(8).standard_normal((3000, 3))
    metres = min(range(60, 110, 2), key=lambda d: abs(np.median(qualities(d, draws[:500])) - np.median(measured)))
    model = qualities(metres, draws)
    differs = [np.abs(both[:, 0] - both[:, 1]).mean() for both in (model, measured)]
    assert differs[0] == pytest.approx(differs[1], abs=0.02)


@given(distances, normals, normals)
def test_a_radio_link_is_a_valid_link_that_repeats_make_slower_than_its_rate(
    metres: float, shadow: float, side: float
) -> None:
    link = radio_link(metres, shadow, side, RADIO)
    assert isinstance(link, LinkParameters)
    rate, share = best_rate(signal_to_noise(metres, shadow, side, RADIO), 1500.0, RADIO.fading_db)
    assert link.rate_bps <= 12_000.0 / airtime(rate, 1500.0) * (1.0 + 1e-12)
    assert link.loss <= 1.0 - share + 1e-12


def test_a_station_out_of_reach_loses_everything_and_pays_for_every_attempt() -> None:
    link = radio_link(1e9, -4.0, -4.0, RADIO)
    assert link.loss == 1.0
    assert link.rate_bps == pytest.approx(12_000.0 / (7 * airtime(6e6, 1500.0)))


@pytest.mark.parametrize("wrong", [{"fading_db": 0.0}, {"fading_db": math.nan}, {"attempts": 0}])
def test_stations_that_nothing_could_be_said_of_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        radio_link(50.0, 0.0, 0.0, RADIO._replace(**wrong))


def test_unicast_with_repeats_loses_far_less_than_broadcast() -> None:
    assert radio_link(100.0, 0.0, 0.0, RADIO).loss < 0.1 * (1.0 - link_quality(100.0, 0.0, 0.0, RADIO))


def test_compiled_quality_is_the_plain_one() -> None:
    fast = compiled(link_quality, numba.njit)
    for metres in (3.0, 80.0, 300.0):
        assert fast(metres, 0.3, -0.5, RADIO) == pytest.approx(link_quality(metres, 0.3, -0.5, RADIO), rel=1e-12)
    assert math.isfinite(fast(1e9, 0.0, 0.0, RADIO))
