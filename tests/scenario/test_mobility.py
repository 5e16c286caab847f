"""People who move: the laws of their ways, the cells they pass, and what their last mile then is."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest
from scipy import stats

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import Role
from meshsim.scenario import Scenario, compile_plan
from meshsim.scenario.mobility import MobilityConfig, _mean_leg, gauss_markov, random_waypoint

SIZE = np.array([3000.0, 2000.0])

CITY = {
    "duration": 300,
    "warmup": 0,
    "underlay": {"topology": {"generator": "grid", "rows": 3, "columns": 3, "spacing": "1.5 km"}},
    "nodes": {"count": 30, "roles": {"relay": 6}, "scatter": 0},
    "mobility": {"model": "random_waypoint", "share": 0.5},
}


def ways(walk, config, times, number, seed=1):
    seeds = SeedTree(seed)
    return np.array([walk(config, times, SIZE, seeds.generator("way", i)) for i in range(number)])


def test_the_mean_distance_of_two_points_of_a_rectangle_is_as_drawn():
    draw = np.random.default_rng(2)
    a, b = SIZE * draw.random((200_000, 2)), SIZE * draw.random((200_000, 2))
    assert _mean_leg(SIZE) == pytest.approx(np.hypot(*(a - b).T).mean(), rel=0.005)
    assert _mean_leg(np.array([1.0, 1.0])) == pytest.approx(0.521405, abs=1e-6)


@pytest.mark.parametrize("pause", [0.0, 200.0])
def test_random_waypoint_starts_in_its_steady_state(pause):
    config = MobilityConfig(model="random_waypoint", pause=pause, speed={"low": 1.0, "high": 15.0})
    times = np.array([0.0, 0.01, 900.0, 900.01])
    found = ways(random_waypoint, config, times, 1500)
    for first, last in ((found[:, 0], found[:, 2]),):
        for axis in range(2):
            assert stats.ks_2samp(first[:, axis], last[:, axis]).pvalue > 0.01
    speed = [np.hypot(*(found[:, k + 1] - found[:, k]).T) / 0.01 for k in (0, 2)]
    assert stats.ks_2samp(speed[0], speed[1]).pvalue > 0.01


def test_speeds_of_the_steady_state_have_the_density_one_over_v():
    config = MobilityConfig(model="random_waypoint", pause=0.0, speed={"low": 1.0, "high": 15.0})
    found = ways(random_waypoint, config, np.array([0.0, 0.001]), 3000)
    speed = np.hypot(*(found[:, 1] - found[:, 0]).T) / 0.001
    law = lambda v: np.log(np.clip(v, 1.0, 15.0)) / math.log(15.0)  # noqa: E731 - the distribution function
    assert stats.kstest(speed, law).pvalue > 0.01
    assert stats.kstest(speed, stats.uniform(1.0, 14.0).cdf).pvalue < 1e-6


def test_the_share_that_pauses_is_that_of_the_renewal_theorem():
    config = MobilityConfig(model="random_waypoint", pause=300.0, speed={"low": 1.0, "high": 15.0})
    found = ways(random_waypoint, config, np.array([0.0, 0.5]), 4000)
    still = (np.hypot(*(found[:, 1] - found[:, 0]).T) < 1e-9).mean()
    travel = _mean_leg(SIZE) * math.log(15.0) / 14.0
    assert still == pytest.approx(150.0 / (150.0 + travel), abs=0.03)


def test_gauss_markov_fills_the_area_evenly_at_its_mean_speed_and_remembers_its_course():
    config = MobilityConfig(model="gauss_markov", memory=0.9, period=5.0, speed={"low": 2.0, "high": 8.0})
    times = np.arange(0.0, 1000.0, 5.0)
    found = ways(gauss_markov, config, times, 400)
    assert (found >= 0).all()
    assert (found <= SIZE).all()
    assert stats.kstest(found[:, -1, 0], stats.uniform(0, SIZE[0]).cdf).pvalue > 0.01
    step = np.diff(found, axis=1)
    inside = (np.abs(found[:, :-2] - SIZE / 2) < SIZE / 2 - 400).all(axis=2)
    assert np.hypot(*step[:, :-1][inside].T).mean() / 5.0 == pytest.approx(5.0, rel=0.03)
    now, then = step[:, :-1][inside][:, 0], step[:, 1:][inside][:, 0]
    assert np.corrcoef(now, then)[0, 1] == pytest.approx(0.9, abs=0.02)


def test_a_longer_episode_begins_like_a_shorter_one():
    short = compile_plan(Scenario.model_validate(CITY), 4).moves
    long = compile_plan(Scenario.model_validate({**CITY, "duration": 600}), 4).moves
    for name in ("at", "node", "router", "up", "loss"):
        assert np.array_equal(getattr(long, name)[: len(short)], getattr(short, name))


@pytest.mark.parametrize("model", ["random_waypoint", "gauss_markov"])
def test_peers_move_from_cell_to_cell_and_nobody_else_does(model):
    plan = compile_plan(Scenario.model_validate({**CITY, "mobility": {"model": model, "share": 0.5}}), 4)
    moves = plan.moves
    assert (plan.nodes.role[moves.node] == Role.PEER).all()
    assert 6 <= len(set(moves.node.tolist())) <= 18
    assert len(set(moves.router.tolist())) == 9
    assert (np.diff(moves.at) >= 0).all()
    assert ((moves.loss == 1.0) | (moves.loss < 0.01)).all()


def test_nearer_to_the_station_rates_are_higher():
    noisy = {**CITY["mobility"], "cell": {"shadowing": 0, "noise": -65}}  # so that nobody gets the most there is
    plan = compile_plan(Scenario.model_validate({**CITY, "mobility": noisy}), 4)
    moves, topology = plan.moves, plan.underlay.topology
    north = (moves.latitude - topology.latitude[moves.router]) * 111_195
    east = (moves.longitude - topology.longitude[moves.router]) * 111_195
    gap = np.hypot(north, east)
    assert moves.down.max() / moves.down.min() > 5
    assert stats.spearmanr(gap, moves.down).statistic < -0.99


def test_who_does_not_move_draws_nothing_and_changes_nothing():
    still = compile_plan(Scenario.model_validate({**CITY, "mobility": {}}), 4)
    moving = compile_plan(Scenario.model_validate(CITY), 4)
    assert len(still.moves) == 0
    assert np.array_equal(still.calls.start, moving.calls.start)
    assert np.array_equal(still.nodes.router, moving.nodes.router)


def test_a_trace_of_positions_is_followed(tmp_path):
    file = tmp_path / "way.csv"
    file.write_text(
        "node,t_s,latitude,longitude\npeer-000,0,-0.0135,-0.0135\npeer-000,300,0.0135,0.0135\nnobody,0,0,0\n"
    )
    plan = compile_plan(Scenario.model_validate({**CITY, "mobility": {"model": "trace", "trace": str(file)}}), 1)
    assert {plan.nodes.names[node] for node in plan.moves.node} == {"peer-000"}
    assert plan.moves.latitude[0] == pytest.approx(-0.0135, abs=1e-6)
    assert plan.moves.latitude[30] == pytest.approx(0.0, abs=1e-3)
    assert len(set(plan.moves.router.tolist())) >= 3


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("node,t_s\na,1\n", 1),
        ("node,t_s,latitude,longitude\npeer-000,x,0,0\n", 2),
        ("node,t_s,latitude,longitude\npeer-000,1,0,0\npeer-000,2,99,0\n", 3),
        ("node,t_s,latitude,longitude\npeer-000,1\n", 2),
    ],
)
def test_a_trace_that_is_none_is_refused_with_its_line(tmp_path, text, line):
    file = tmp_path / "way.csv"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        compile_plan(Scenario.model_validate({**CITY, "mobility": {"model": "trace", "trace": str(file)}}), 1)
    assert error.value.line == line
    assert error.value.file == str(file)


@pytest.mark.parametrize("model", ["random_waypoint", "gauss_markov"])
def test_a_line_without_a_margin_is_no_area_to_walk_in(model):
    line = {"topology": {"generator": "grid", "rows": 1, "columns": 3}}
    with pytest.raises(ConfigError, match="no area") as refused:
        compile_plan(Scenario.model_validate({**CITY, "underlay": line, "mobility": {"model": model, "margin": 0}}), 1)
    assert refused.value.key == "mobility.margin"


def _packed() -> bytes:
    """A gzipped file that was damaged."""
    whole = bytearray(gzip.compress(b"node,t_s,latitude,longitude\n" + b"peer-000,1,2,3\n" * 999))
    whole[12:16] = b"\xff" * 4
    return bytes(whole)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("way.csv.gz", _packed()),
        ("way.csv.gz", b"node,t_s,latitude,longitude\n"),
        ("way.csv", b"node,t_s,latitude,longitude\npeer-000,1,0," + b"9" * 200_000),
        ("way.csv", b"node,t_s,latitude,longitude\npeer-000,1,0,\xff"),
    ],
)
def test_a_trace_that_cannot_be_read_is_refused_by_file(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        compile_plan(Scenario.model_validate({**CITY, "mobility": {"model": "trace", "trace": str(file)}}), 1)
    assert error.value.file == str(file)


@pytest.mark.parametrize("text", ["", "node,t_s,latitude,longitude\nnobody,1,0,0\n"])
def test_a_trace_without_a_node_of_the_scenario_is_refused(tmp_path, text):
    file = tmp_path / "way.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"knows no node|not a trace"):
        compile_plan(Scenario.model_validate({**CITY, "mobility": {"model": "trace", "trace": str(file)}}), 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"control": {"mode": "agents"}}, "modelled control plane"),
        ({"media": {"mode": "packet"}}, "media as flows"),
        ({"mobility": {"model": "trace"}}, "go together"),
        ({"mobility": {"speed": {"low": 5, "high": 2}}}, "above the most"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        Scenario.model_validate({**CITY, **change})
