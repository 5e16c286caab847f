"""The whole E-model: published anchors first, then vectors of another implementation, then what holds everywhere."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.quality import delay_impairment, loss_impairment, voice_mos
from meshsim.mesh.quality.codecs import CODECS
from meshsim.mesh.quality.emodel import Connection, Rating, Scale, burst_ratio, narrowband, rate
from meshsim.mesh.quality.voice import mouth_to_ear


def r_of(**parameters: float) -> float:
    return float(narrowband(Connection(**parameters)).rating.value)


def test_the_default_connection_rates_as_published() -> None:
    rating = narrowband(Connection()).rating
    assert float(rating.value) == pytest.approx(93.2, abs=0.05)
    assert float(rating.mos) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "mos", "printed"), [(90, 4.34, 5e-3), (80, 4.03, 1e-2), (70, 3.6, 5e-3), (60, 3.1, 5e-3), (50, 2.58, 5e-3)]
)
def test_ratings_become_the_opinions_of_table_b1(r: float, mos: float, printed: float) -> None:
    assert float(Rating(np.asarray(float(r)), Scale.NARROWBAND).mos) == pytest.approx(mos, abs=printed)


@pytest.mark.parametrize(("codec", "longest"), [("g711", 400), ("gsm_efr", 342), ("g729a", 0), ("g723_1", 251)])
def test_the_longest_delay_is_that_of_janssen(codec: str, longest: int) -> None:
    ie = 10.0 if codec == "g729a" else CODECS[codec].ie  # their G.729 is without VAD
    delays = np.arange(100.0, 500.0)
    enough = 94.0 - ie - narrowband(Connection(ta=delays)).delay >= 70.0
    assert delays[enough].max() == pytest.approx(longest or 294, abs=1.0)


@pytest.mark.parametrize(
    ("codec", "percent", "mos"),
    [
        *(("g711_plc", *point) for point in ((1, 4.328), (3, 4.134), (5, 3.923), (10, 3.411))),
        *(("g729a", *point) for point in ((1, 3.946), (3, 3.632), (5, 3.340), (10, 2.745))),
    ],
)
def test_codecs_under_loss_rate_as_published(codec: str, percent: float, mos: float) -> None:
    assert float(rate(CODECS[codec], loss=percent / 100).mos) == pytest.approx(mos, abs=1.5e-3)


# codec, Ie, Bpl, symmetric path, Ta ms, Ppl %, BurstR, R, Idd, Idte, Idle, Ie,eff, MOS: rows of emodel_g107/vectors.csv
VECTORS = [
    (0.0, 25.1, False, 200.0, 0.0, 1.0, 90.162, 3.044, 0.0, 0.149, 0.0, 4.3429),
    (0.0, 25.1, True, 500.0, 10.0, 1.0, 27.738, 30.636, 6.564, 1.352, 27.066, 1.5182),
    (0.0, 4.3, True, 250.0, 2.0, 1.0, 49.018, 8.917, 4.243, 1.019, 30.159, 2.5235),
    (5.0, 10.0, False, 250.0, 10.0, 1.0, 34.289, 8.917, 0.0, 0.149, 50.0, 1.7946),
    (11.0, 19.0, True, 200.0, 2.0, 1.0, 66.805, 3.044, 3.571, 0.935, 19.0, 3.4438),
    (15.0, 16.1, True, 20.0, 1.0, 1.0, 72.853, 0.0, 0.392, 0.432, 19.678, 3.7278),
    (0.0, 25.1, True, 0.0, 0.0, 1.0, 93.206, 0.0, 0.0, 0.149, 0.0, 4.4094),
    (0.0, 4.3, False, 200.0, 3.0, 1.0, 51.121, 3.044, 0.0, 0.149, 39.041, 2.6339),
    (0.0, 4.3, False, 150.0, 10.0, 1.0, 26.609, 0.164, 0.0, 0.149, 66.434, 1.4749),
]


@pytest.mark.skipif("MESHSIM_DATA_DIR" not in os.environ, reason="MESHSIM_DATA_DIR is not set")
def test_all_tabled_vectors_agree_to_their_last_digit() -> None:
    with (Path(os.environ["MESHSIM_DATA_DIR"]) / "emodel_g107" / "vectors.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    tabled = {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name not in {"codec", "mode"}}
    both = np.array([row["mode"] == "symmetric_path" for row in rows])
    ta = tabled["Ta_ms"]
    said = narrowband(
        Connection(
            ta=ta,
            t=np.where(both, ta, 0.0),
            tr=np.where(both, 2 * ta, 0.0),
            ie=tabled["Ie"],
            bpl=tabled["Bpl"],
            ppl=tabled["Ppl_pct"],
            burst_ratio=tabled["BurstR"],
        )
    )
    ours = {"R": said.rating.value, "Idd": said.delay, "Idte": said.talker_echo, "Idle": said.listener_echo}
    for name, value in (ours | {"Ie_eff": said.equipment}).items():
        assert np.abs(value - tabled[name]).max() < 6e-4, name
    # the cubic of Annex B dips below its own scale where R < 6.5; ours does not
    assert np.abs(said.rating.mos - np.maximum(tabled["MOS"], 1.0)).max() < 1e-4


def test_some_tabled_vectors_agree() -> None:
    for ie, bpl, echo, ta, ppl, ratio, r, idd, idte, idle, equipment, mos in VECTORS:
        said = narrowband(
            Connection(
                ie=ie, bpl=bpl, ta=ta, t=ta if echo else 0.0, tr=2 * ta if echo else 0.0, ppl=ppl, burst_ratio=ratio
            )
        )
        parts = (said.rating.value, said.delay, said.talker_echo, said.listener_echo, said.equipment)
        assert [float(part) for part in parts] == pytest.approx([r, idd, idte, idle, equipment], abs=6e-4)
        assert float(said.rating.mos) == pytest.approx(mos, abs=1e-4)


def test_an_echo_free_call_is_judged_alike_by_the_short_form() -> None:
    opus, delay, loss = CODECS["opus_nb_cbr_11"], np.linspace(0.0, 0.6, 25), np.linspace(0.0, 0.2, 25)
    said = narrowband(Connection(ta=1e3 * delay, ppl=100 * loss, ie=opus.ie, bpl=opus.bpl))
    assert np.abs(said.delay - delay_impairment(delay)).max() < 1e-12
    assert np.abs(said.equipment - loss_impairment(loss)).max() < 5e-3  # voice has Ie and Bpl in two digits
    heard = rate(opus, mouth_to_ear(delay, 0.002), loss).mos
    assert np.abs(heard - voice_mos(delay, 0.002, loss)).max() < 1e-3


# --- scales -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ie", "mos"), [(0.0, 4.5), (1.0, 4.494), (8.0, 4.4206), (13.0, 4.3371), (41.0, 3.5123)])
def test_wideband_ratings_are_read_on_their_own_scale(ie: float, mos: float) -> None:
    assert float(Rating(np.asarray(129.0 - ie), Scale.WIDEBAND).mos) == pytest.approx(mos, abs=5e-4)


def test_no_rating_is_read_on_another_scale() -> None:
    wide, narrow = rate(CODECS["opus_wb_vbr_13"]), rate(CODECS["opus_nb_cbr_11"])
    assert (wide.scale, narrow.scale) == (Scale.WIDEBAND, Scale.NARROWBAND)
    assert float(wide.value) == pytest.approx(129.0 - 19.958882)
    assert float(wide.mos) == pytest.approx(4.183, abs=1e-3)
    assert wide != narrow


def test_bursts_hurt_opus_more_and_are_refused_where_nobody_measured() -> None:
    opus = CODECS["opus_wb_cbr_12"]
    assert float(rate(opus, loss=0.05, bursty=True).value) < float(rate(opus, loss=0.05).value)
    with pytest.raises(ValueError, match="g711 has no published robustness"):
        rate(CODECS["g711"], loss=0.05, bursty=True)


@pytest.mark.parametrize(("scale", "top"), [(Scale.NARROWBAND, 93.2), (Scale.WIDEBAND, 129.0), (Scale.FULLBAND, 148.0)])
def test_a_flawless_codec_reaches_the_top_of_its_scale(scale: Scale, top: float) -> None:
    flawless = type(CODECS["g711"])(name="flawless", scale=scale, ie=0.0, bpl=20.0)
    assert float(rate(flawless).value) == pytest.approx(top, abs=0.6)
    assert float(rate(flawless).mos) > 4.4


def test_a_gilbert_channel_of_random_loss_has_no_bursts() -> None:
    assert burst_ratio([0.01, 0.2], [0.99, 0.8]).tolist() == pytest.approx([1.0, 1.0])
    assert float(burst_ratio(0.01, 0.09)) == pytest.approx(10.0)


# --- everywhere -------------------------------------------------------------------------------------------------------

delays, losses = st.floats(0.0, 2000.0), st.floats(0.0, 100.0)


@given(delays, losses, st.sampled_from(sorted(CODECS)), st.floats(0.0, 500.0))
def test_later_is_never_better_on_any_scale(ta: float, ppl: float, name: str, more: float) -> None:
    codec = CODECS[name]
    now, later = (rate(codec, d / 1e3, ppl / 100) for d in (ta, ta + more))
    assert float(later.value) <= float(now.value) + 1e-9
    assert 1.0 <= float(later.mos) <= float(now.mos) + 1e-9 <= 4.5 + 1e-6


@given(delays, losses, st.sampled_from(sorted(CODECS)), st.floats(0.0, 100.0))
def test_more_loss_is_never_better_on_any_scale(ta: float, ppl: float, name: str, more: float) -> None:
    codec = CODECS[name]
    now, worse = (rate(codec, ta / 1e3, min(p, 100.0) / 100) for p in (ppl, ppl + more))
    assert float(worse.value) <= float(now.value) + 1e-9


@given(st.floats(20.0, 65.0), st.floats(1.0, 400.0), st.floats(0.0, 30.0))
def test_louder_echo_is_never_better(telr: float, t: float, more: float) -> None:
    assert r_of(telr=telr + more, t=t, ta=t) >= r_of(telr=telr, t=t, ta=t) - 1e-9


def test_sidetone_masks_echo_and_its_lack_shows_it() -> None:
    usual = narrowband(Connection(t=50.0, ta=50.0, telr=45.0))
    quiet = narrowband(Connection(t=50.0, ta=50.0, telr=45.0, stmr=21.0))
    assert float(quiet.talker_echo) >= float(usual.talker_echo) - 1.0
    assert float(quiet.talker_echo) == pytest.approx(
        float(np.hypot(_plain_echo(45.0, 50.0, 21.0), quiet.sidetone)), abs=1e-9
    )
    assert float(narrowband(Connection(t=50.0, telr=45.0, stmr=8.0)).talker_echo) < float(usual.talker_echo)


def _plain_echo(telr: float, t: float, stmr: float) -> float:
    """Idte by (7-19) alone, with the noise of a connection of that sidetone."""
    said = narrowband(Connection(stmr=stmr))
    no = (15.0 - float(said.ro)) / 1.5 - 8.0
    terv = telr - 40.0 * np.log10((1 + t / 10) / (1 + t / 150)) + 6.0 * np.exp(-0.3 * t**2)
    half = (-1.5 * (no - 2.0) - 80.0 - 2.5 * (terv - 14.0)) / 2
    return float((half + np.sqrt(half**2 + 100.0) - 1.0) * (1.0 - np.exp(-t)))


def test_quantisation_noise_and_advantage_count() -> None:
    assert r_of(qdu=14.0) < r_of()
    assert r_of(a=10.0) == pytest.approx(r_of() + 10.0)
