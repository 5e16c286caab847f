"""AIC in simulations: applied on paths that carry it and nowhere else, saving what it says at the cost it says."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure.metrics import METRICS
from meshsim.measure.trace import Trace
from meshsim.mesh.media import PROFILES, AicPolicy, MediaType, demand
from meshsim.mesh.quality import mos
from meshsim.scenario import Scenario, compile_plan
from meshsim.sim.compression import AicWishes, Compression

if TYPE_CHECKING:
    from meshsim.scenario.plan import Plan

PREFER = {"calls": {"aic": {"prefer": 1.0}}}


def plan_with(able: list[bool], **parts: Any) -> Plan:
    plan = compile_plan(Scenario.model_validate({"nodes": {"count": 8, "roles": {"relay": 2}}, **parts}), 1)
    plan.nodes.aic[: len(able)] = able
    return plan


def calls_of(result):
    return Trace(result.trace).columns("calls")


# --- profiles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media", [MediaType.AUDIO, MediaType.AUDIO_VIDEO])
@pytest.mark.parametrize("name", sorted(PROFILES))
def test_headers_are_never_compressed(name: str, media: MediaType) -> None:
    profile, plain = PROFILES[name], demand(media)
    packed = profile.compressed(media)
    assert packed.packets_per_second == pytest.approx(plain.packets_per_second)
    assert plain.rate_bps - packed.rate_bps == pytest.approx(profile.saved_bps(media))
    assert packed.packet_bytes > 50


def test_lyra_saves_41_percent_of_the_wire_of_a_voice() -> None:
    saved = PROFILES["lyra"].saved_bps(MediaType.AUDIO) / demand(MediaType.AUDIO).rate_bps
    assert saved == pytest.approx(0.409, abs=5e-4)


def test_data_are_not_compressed() -> None:
    assert not any(profile.saves(MediaType.DATA) for profile in PROFILES.values())
    plan = plan_with([], calls={"aic": {"require": 1.0}})
    assert AicWishes(plan).of(0, MediaType.DATA) is AicPolicy.OFF


def test_a_profile_that_saves_all_or_costs_nothing_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        type(PROFILES["brief"])(name="magic", voice_saving=1.0, video_saving=0.0, delay=0.0, quality_cost=0.0)
    with pytest.raises(ValueError, match="neither gains"):
        type(PROFILES["brief"])(name="magic", voice_saving=0.5, video_saving=0.0, delay=-0.1, quality_cost=0.0)


def test_a_scenario_changes_what_it_says_of_a_profile_and_no_more() -> None:
    scenario = Scenario.model_validate({"aic": {"profile": "lyra", "saving": 0.5, "delay": 0.04, "quality_cost": 0.1}})
    codec = scenario.aic.codec()
    assert (codec.voice_saving, codec.video_saving, codec.delay, codec.quality_cost) == (0.5, 0.5, 0.04, 0.1)
    assert codec.cpu == PROFILES["lyra"].cpu


# --- who asks, and where it is applied --------------------------------------------------------------------------------


def test_wishes_come_in_the_shares_that_were_said_and_stay_with_their_call() -> None:
    plan = plan_with([], calls={"aic": {"off": 0.5, "prefer": 0.3, "require": 0.2}})
    wishes = AicWishes(plan)
    drawn = [wishes.of(number, MediaType.AUDIO) for number in range(4000)]
    shares = [drawn.count(policy) / len(drawn) for policy in AicPolicy]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    assert [AicWishes(plan).of(number, MediaType.AUDIO) for number in (7, 3)] == [drawn[7], drawn[3]]


def test_one_plain_node_leaves_the_path_plain() -> None:
    aic = Compression(plan_with([True, True, False, True], **PREFER))
    assert aic.applies(0, MediaType.AUDIO, (0, 1, 3))
    for path in ((0, 2, 3), (2, 1), (0, 2)):
        assert not aic.applies(0, MediaType.AUDIO, path)
        assert aic.demand(0, MediaType.AUDIO, path) == demand(MediaType.AUDIO)
    assert aic.demand(0, MediaType.AUDIO, (0, 1)).rate_bps < demand(MediaType.AUDIO).rate_bps


def test_a_failover_to_a_plain_path_drops_it_and_what_was_saved_stays_saved() -> None:
    aic, media, lived = Compression(plan_with([True, True, False], **PREFER)), MediaType.AUDIO, (0.1, 0.001, 0.0)
    aic.begin(5, media, (0, 1), 10.0)
    aic.end(5, 40.0)
    aic.begin(5, media, (0, 2, 1), 41.0)
    aic.end(5, 71.0)
    verdict = aic.judge(5, media, lived, 71.0)
    saved, codec = PROFILES["brief"].saved_bps(media), PROFILES["brief"]
    assert verdict.saved_bytes == pytest.approx(2 * saved * 30.0 / 8)
    assert verdict.mos == pytest.approx(float(mos(media, 0.05 + codec.delay / 2, 0.001, 0.0)))
    assert aic.judge(5, media, lived, 71.0) == aic.judge(6, media, lived, 71.0)


def test_a_codec_costs_delay_and_opinion() -> None:
    aic = Compression(plan_with([True] * 8, aic={"profile": "gfvc"}, **PREFER))
    aic.begin(1, MediaType.AUDIO_VIDEO, (0, 1, 2), 0.0)
    aic.end(1, 10.0)
    verdict = aic.judge(1, MediaType.AUDIO_VIDEO, (0.1, 0.001, 0.0), 10.0)
    later = float(mos(MediaType.AUDIO_VIDEO, 0.05 + 0.1, 0.001, 0.0))
    assert verdict.mos == pytest.approx(later - 0.3)
    assert verdict.saved_bytes == pytest.approx(2 * 0.9e6 * 2 * 10.0 / 8)
    late = Compression(plan_with([True] * 8, aic={"profile": "gfvc"}, **PREFER))
    late.begin(1, MediaType.AUDIO_VIDEO, (0, 1), 0.0)
    late.end(1, 10.0)
    assert late.judge(1, MediaType.AUDIO_VIDEO, (0.2, 0.001, 0.0), 10.0).poor  # 200 ms of network, 200 of codec


# --- episodes ---------------------------------------------------------------------------------------------------------


def test_no_call_has_aic_over_a_plain_node(small, run) -> None:
    plan = small(**PREFER)
    calls = calls_of(run(plan))
    used = np.asarray(calls["aic"])
    assert used.any()
    assert not used.all()
    for path, last, with_aic, swaps in zip(calls["path"], calls["final_path"], used, calls["failovers"], strict=True):
        if with_aic and not swaps:
            assert plan.nodes.aic[path].all()
            assert plan.nodes.aic[last].all()
    assert (np.asarray(calls["saved_bytes"])[~used] == 0.0).all()


def test_required_aic_is_never_a_plain_path(small, run) -> None:
    plan = small(calls={"aic": {"require": 1.0}})
    calls = calls_of(run(plan))
    for path in calls["path"]:
        assert plan.nodes.aic[list(path)].all()
    reached = np.isfinite(np.asarray(calls["mos"], dtype=float))
    assert (np.asarray(calls["aic"]) == reached).all()


def test_switched_off_the_codec_changes_nothing(small, run) -> None:
    def tables(result) -> str:
        parts = sorted(path for path in result.trace.rglob("*.parquet"))
        return hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()

    assert tables(run(small())) == tables(run(small(aic={"profile": "gfvc"})))


def test_aic_takes_load_off_the_mesh_and_the_metrics_say_so(small, run) -> None:
    result = run(small(**PREFER, aic={"saving": 0.5}))
    trace = Trace(result.trace)
    share, saved = METRICS["aic_call_rate"].value(trace), METRICS["saved_bytes"].value(trace)
    assert 0.0 < share < 1.0
    assert saved > 0.0
    more = METRICS["saved_bytes"].value(Trace(run(small(**PREFER, aic={"saving": 0.8})).trace))
    assert more / saved == pytest.approx(1.6, rel=0.05)
    assert math.isfinite(METRICS["audio_mos"].value(trace))


def test_agents_apply_it_on_the_same_terms(small, run) -> None:
    agents = {"duration": 90.0, "control": {"mode": "agents"}, "churn": {"enabled": False}, "misbehaviour": []}
    plan = small(**agents, **PREFER)
    calls = calls_of(run(plan))
    used = np.asarray(calls["aic"])
    assert used.any()
    for path, with_aic, swaps in zip(calls["path"], used, calls["failovers"], strict=True):
        if not swaps and len(path):
            assert not with_aic or plan.nodes.aic[path].all()
    assert (np.asarray(calls["saved_bytes"])[used] > 0.0).all()
    assert (np.asarray(calls["saved_bytes"])[~used] == 0.0).all()
