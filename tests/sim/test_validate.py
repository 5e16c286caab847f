from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.mesh.errors import ConfigError
from meshsim.sim.kernel.network import PacketLog
from meshsim.sim.validate import (
    CORE,
    Case,
    Computed,
    Row,
    Run,
    choose,
    differences,
    known,
    stations,
    theory,
    verdict,
    verdicts,
)
from meshsim.sim.validate.case import Seen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Samples = Mapping[str, Sequence[float]]

CASES = known()
CALCULATED = [slug for slug, case in CASES.items() if isinstance(case.experiment, Computed) and slug != "coverage"]
CHEAP = ["idle_path", "drop_tail_packets", "cbr_gaps", "loss_trace", "rfc3550_jitter", "codel_first_drop", *CALCULATED]
"""Together under a second once the kernel is compiled."""


def planted(case: Case) -> Case:
    """The same case with a theory that is 3 % off (a bound: half as high; zero: a little more)."""
    wrong = 0.5 if case.relation == "at_most" else 1.03
    return replace(case, theory=lambda: {name: value * wrong or 0.03 for name, value in case.theory().items()})


def shifted(case: Case, name: str) -> Case:
    """The same case with one quantity's theory 3 % off."""
    right, wrong = dict(case.theory()), dict(planted(case).theory())
    return replace(case, theory=lambda: right | {name: wrong[name]})


def judged(case: Case, samples: Samples, together: int = 0) -> list[Row]:
    return verdicts([case], {case.slug: samples}, together)


def test_there_are_forty_cases_and_more_each_with_formula_and_source() -> None:
    assert len(CASES) >= 40
    assert all(case.formula and case.source and case.theory() for case in CASES.values())


def test_at_least_six_cases_run_on_the_python_core_too() -> None:
    twins = [case for case in CASES.values() if isinstance(case.experiment, Run) and case.experiment.core_until]
    assert len(twins) >= 6


@pytest.mark.parametrize(
    "slug",
    ["mm1_50", "mm1_80", "mm1_90", "mm1_95", "md1_50", "md1_80", "md1_90", "md1_95", "mg1_80",
     "mm4_80", "mm1k_90", "erlang_b", "jackson_mesh",
     "tandem_constant", "gilbert_bursts", "max_min_parking_lot", "conservation", "little", "emodel_default"],
)  # fmt: skip
def test_every_row_of_the_reference_is_a_case(slug: str) -> None:
    assert slug in CASES


@pytest.mark.parametrize("slug", [slug for slug, case in CASES.items() if case.relation in {"mean", "near"}])
def test_what_is_drawn_is_drawn_twenty_times_and_held_to_half_of_three_percent(slug: str) -> None:
    assert CASES[slug].replications >= 20
    assert CASES[slug].bias <= (0.015 if slug.endswith(("90", "95")) else 0.01)


@pytest.mark.parametrize("slug", CHEAP)
def test_a_cheap_case_is_as_theory_says_and_misses_a_theory_that_is_off(slug: str) -> None:
    case = CASES[slug]
    samples = case.experiment.sample(case.replications)
    assert all(row.passed for row in judged(case, samples))
    for name in case.theory():
        rows = {row.quantity: row.passed for row in judged(shifted(case, name), samples)}
        assert [quantity for quantity, passed in rows.items() if not passed] == [name]


def short(slug: str, until: float, core_until: float = 0.0) -> Case:
    experiment = CASES[slug].experiment
    assert isinstance(experiment, Run)
    return replace(CASES[slug], experiment=replace(experiment, until=until, core_until=core_until))


def test_a_drawn_case_is_as_theory_says_and_misses_a_theory_that_is_off() -> None:
    case = short("md1_50", 40.0, core_until=1.0)
    samples = case.experiment.sample(20)
    rows = {row.quantity: row for row in judged(case, samples)}
    assert rows[CORE].passed
    assert rows["wait"].passed
    assert rows["wait"].low < rows["wait"].theory < rows["wait"].high
    assert not any(row.passed for row in judged(planted(case), {"wait": samples["wait"]}))


def test_equal_seeds_give_equal_samples() -> None:
    case = short("mm1_50", 2.0)
    assert case.experiment.sample(2) == case.experiment.sample(2)


def test_the_warm_up_is_where_mser5_cuts_the_pilot() -> None:
    steady = short("mm1_90", 20.0).experiment
    assert isinstance(steady, Run)
    assert 0.0 <= steady.end_of_warm_up() < 20.0 / 4.0
    silent = replace(steady, until=0.0)
    assert silent.end_of_warm_up() == 0.0


def drawn(theory_: float, *, bias: float = 0.01, slug: str = "drawn") -> Case:
    return Case(slug=slug, formula="f", source="s", theory=lambda: {"x": theory_}, experiment=Computed(dict), bias=bias)


def test_theory_must_lie_in_the_interval_and_the_mean_near_theory() -> None:
    values = np.random.default_rng(1).normal(10.0, 0.1, 20).tolist()
    assert judged(drawn(10.0), {"x": values})[0].passed
    assert not judged(drawn(10.2, bias=0.5), {"x": values})[0].passed
    noisy = np.random.default_rng(1).normal(10.5, 3.0, 20).tolist()
    (row,) = judged(drawn(10.0), {"x": noisy})
    assert row.low < 10.0 < row.high
    assert not row.passed


def test_intervals_widen_with_the_number_of_quantities() -> None:
    values = np.random.default_rng(1).normal(10.0, 0.1, 20).tolist()
    (alone,) = judged(drawn(10.0), {"x": values})
    cases = [drawn(10.0, slug=f"case{number}") for number in range(50)]
    together = verdicts(cases, {case.slug: {"x": values} for case in cases})
    assert all(row.high - row.low > 1.5 * (alone.high - alone.low) for row in together)
    (still,) = verdicts(cases[:1], {cases[0].slug: {"x": values}}, together=50)
    assert (still.low, still.high) == pytest.approx((together[0].low, together[0].high))


def test_an_approximation_is_held_to_its_allowance_alone() -> None:
    near = replace(drawn(10.02, bias=0.01), relation="near")
    values = (10.0 + 1e-3 * np.random.default_rng(1).normal(size=20)).tolist()
    assert judged(near, {"x": values})[0].passed
    assert not judged(replace(near, relation="mean"), {"x": values})[0].passed
    assert not judged(planted(near), {"x": values})[0].passed
    assert not judged(near, {"x": [*values, math.nan]})[0].passed


def test_nothing_measured_meets_nothing() -> None:
    exact = replace(drawn(1.0), relation="exact")
    bound = replace(drawn(1.0), relation="at_most")
    assert not judged(exact, {"x": [math.nan]})[0].passed
    assert not judged(bound, {"x": [0.5, math.nan]})[0].passed
    assert not judged(drawn(1.0), {"x": [1.0, math.nan, 1.0]})[0].passed


def test_a_bound_holds_for_every_single_run() -> None:
    bound = replace(drawn(1.0), relation="at_most")
    assert judged(bound, {"x": [0.2, 1.0]})[0].passed
    assert not judged(bound, {"x": [0.2, 1.01]})[0].passed


def test_theory_and_experiment_must_speak_of_the_same() -> None:
    with pytest.raises(ValueError, match=r"drawn: theory of \['x'\], measured \['y'\]"):
        judged(drawn(1.0), {"y": [1.0]})


def log(**changes: Sequence[float]) -> PacketLog:
    columns: dict[str, Sequence[float]] = {
        "flow": [0, 0, 1], "number": [0, 1, 0], "sent": [0.0, 1.0, 2.0], "left": [1.0, 2.0, 3.0], "fate": [0, 1, 0]
    }  # fmt: skip
    return PacketLog(**{name: np.array(values) for name, values in (columns | changes).items()})


def test_logs_are_compared_packet_by_packet() -> None:
    assert differences(log(), log()) == 0
    assert differences(log(), log(left=[1.0, 2.0 + 1e-8, 3.0])) == 1
    assert differences(log(), log(left=[1.0, 2.0 + 1e-12, 3.0])) == 0
    assert differences(log(), log(fate=[1, 1, 1])) == 2
    longer = log(flow=[0, 0, 1, 1], number=[0, 1, 0, 1], sent=[0, 1, 2, 3], left=[1, 2, 3, 4], fate=[0, 1, 0, 0])
    assert differences(log(), longer) == 1


def test_a_run_without_a_log_has_none_to_read() -> None:
    results = Seen(None, type("Bare", (), {"log": None})(), 0.0, 1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kept no log"):
        _ = results.log


def test_an_unknown_case_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="mm1_80"):
        choose(["mm1_8"])
    assert [case.slug for case in choose(["little", "burke"])] == ["little", "burke"]
    assert len(choose([])) == len(CASES)


def test_published_vectors_are_read_where_they_are(tmp_path: Path) -> None:
    assert known(tmp_path).keys() == CASES.keys()
    folder = tmp_path / "emodel_g107"
    folder.mkdir()
    (folder / "anchors_published.csv").write_text(
        "quantity,input,expected,tolerance,source\nMOS,R=70,3.6,0.005,book\nR,all defaults,93.2,0.05,book\n"
    )
    (folder / "vectors.csv").write_text(
        "codec,Ie,Bpl,mode,Ta_ms,Ppl_pct,BurstR,R,MOS,Idd,Idte,Idle,Ie_eff\n"
        "G,0,25.1,delay_only,200,0,1,90.162,4.3429,3.044,0,0.149,0.0\n"
        "G,11,19.0,symmetric_path,200,2,1,66.805,3.4438,3.044,3.571,0.935,19.0\n"
    )
    (folder / "opus_ie_bpl.csv").write_text(
        "bandwidth,mode,bitrate_kbps,Ie,Bpl_random,Bpl_bursty\nnb,cbr,11,2.03,15.95,10\nnb,vbr,11,9,9,9\n"
    )
    cases = [known(tmp_path)[slug] for slug in ("emodel_published", "emodel_vectors", "emodel_opus")]
    for case in cases:
        assert all(row.passed for row in judged(case, case.experiment.sample(1))), case.slug


def test_published_vectors_of_the_data_folder_hold() -> None:
    named = os.environ.get("MESHSIM_DATA_DIR")
    if not named:
        pytest.skip("MESHSIM_DATA_DIR is not set")
    for slug in ("emodel_published", "emodel_vectors", "emodel_opus"):
        case = known(Path(named))[slug]
        assert all(row.passed for row in judged(case, case.experiment.sample(1)))


def test_textbook_values() -> None:
    assert theory.erlang_c(3.2, 4) == pytest.approx(0.59643, abs=5e-6)
    assert theory.mm1k(0.9, 10)[0] == pytest.approx(0.050814, abs=5e-7)
    assert theory.md1k(0.5, 2) == pytest.approx(1.0 - 1.0 / (math.exp(-0.5) + 0.5))
    assert theory.md1k(0.8, 60) == pytest.approx(0.0, abs=1e-9)
    assert theory.cobham([0.5], [1.0], [2.0]) == [pytest.approx(theory.mg1_wait(0.5))]


def test_intervals_of_runs_of_the_kernel_hold_the_truth_about_as_often_as_they_say() -> None:
    assert 0.85 <= stations.covered(60, 8_000) <= 1.0


@pytest.mark.full
@pytest.mark.parametrize("slug", [slug for slug in CASES if slug not in CHEAP])
def test_no_case_is_unable_to_fail(slug: str) -> None:
    case = CASES[slug]
    samples = case.experiment.sample(case.replications)
    together = verdict.drawn(CASES.values())  # the level that the case has among all, as the command judges
    assert all(row.passed for row in judged(case, samples, together))
    told = {name: samples[name] for name in case.theory()}
    assert not any(row.passed for row in judged(planted(case), told, together))
