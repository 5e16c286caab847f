from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.trust import EventKind, Evidence, Severity, Status, make_model
from meshsim.trust.change import Chart, design
from meshsim.trust.vigilance import BetaCusum, Vigil

ALL = slice(0, 3)
HALF_LIFE = 100.0


def watch(outcomes: str, *, t: float = 0.0, weight: float = 1.0, **options: float) -> tuple[Vigil, list[int]]:
    """A watch over node 0, with + and - for outcomes, and the places at which it raised an alarm."""
    vigil = Vigil(**{"half_life": HALF_LIFE, **options})  # type: ignore[arg-type]
    return vigil, [k for k, one in enumerate(outcomes) if vigil.observe(0, good=one == "+", weight=weight, t=t)]


def counts(vigil: Vigil, now: float = 0.0, node: int = 0) -> tuple[float, float]:
    good, bad = vigil.counts(slice(node, node + 1), now)
    return float(good[0]), float(bad[0])


def test_four_failures_in_a_row_raise_an_alarm_and_so_do_the_next_four() -> None:
    vigil, alarms = watch("+++" + "-" * 8)
    assert alarms == [6, 10]
    assert vigil.alarms(2).tolist() == [2, 0]


def test_an_alarm_discounts_the_good_from_before_the_change_and_nothing_else() -> None:
    vigil, alarms = watch("+" * 40 + "--+--")
    assert alarms == [44]
    assert counts(vigil) == pytest.approx((1.0 + 0.1 * 40.0, 4.0))
    assert vigil.kept(2).tolist() == pytest.approx([5.0 / 41.0, 1.0])


@pytest.mark.parametrize(("keep", "good"), [(0.0, 0.0), (0.5, 10.0), (1.0, 20.0)])
def test_keep_says_how_much_stays(keep: float, good: float) -> None:
    assert counts(watch("+" * 20 + "----", keep=keep)[0]) == (good, 4.0)


def test_good_since_a_change_counts_in_full_and_so_does_good_after_the_alarm() -> None:
    vigil, _ = watch("+" * 40 + "----" + "+" * 7)
    assert counts(vigil) == pytest.approx((4.0 + 7.0, 4.0))


def test_without_an_alarm_counts_are_plain_counts() -> None:
    vigil, alarms = watch("+-+" * 8 + "+" * 10)
    assert alarms == [] or counts(vigil)[1] == 8.0
    vigil, alarms = watch(("-" + "+" * 6) * 8)
    assert alarms == []
    assert counts(vigil) == (48.0, 8.0)
    assert vigil.kept(1).tolist() == [1.0]


def test_proven_failures_are_remembered_longer() -> None:
    ordinary, proven = watch("---")[0], watch("----")[0]
    assert counts(ordinary, HALF_LIFE) == pytest.approx((0.0, 1.5))
    assert counts(proven, 2.0 * HALF_LIFE) == pytest.approx((0.0, 2.0))
    assert counts(watch("----", grudge=4.0)[0], 4.0 * HALF_LIFE) == pytest.approx((0.0, 2.0))


def test_failures_from_before_the_change_are_not_proven() -> None:
    vigil, _ = watch("-" + "+" * 8 + "----")
    assert counts(vigil, 2.0 * HALF_LIFE)[1] == pytest.approx(0.25 + 2.0)


def test_evidence_fades_while_the_watch_goes_on_as_it_does_when_asked_later() -> None:
    vigil, _ = watch("+" * 16 + "-" * 4)
    before = counts(vigil, HALF_LIFE)
    vigil.observe(0, good=True, weight=0.0, t=HALF_LIFE)
    assert counts(vigil, HALF_LIFE) == pytest.approx(before)
    assert before == pytest.approx((0.8, 4.0 * 2.0**-0.5))


def test_late_news_weigh_what_they_would_have_weighed_by_now() -> None:
    vigil = Vigil(half_life=HALF_LIFE)
    vigil.observe(0, good=True, weight=1.0, t=HALF_LIFE)
    vigil.observe(0, good=True, weight=1.0, t=0.0)
    vigil.observe(0, good=False, weight=1.0, t=-HALF_LIFE)
    assert counts(vigil, HALF_LIFE) == pytest.approx((1.5, 0.25))
    assert counts(vigil, 0.0) == counts(vigil, HALF_LIFE)


def test_light_evidence_moves_the_chart_as_little() -> None:
    assert watch("-" * 8, weight=0.5)[1] == [7]
    assert watch("-" * 8, weight=2.0)[1] == [3, 7]
    assert watch("-" * 50, weight=0.0)[1] == []


def test_grades_are_looked_at_where_levels_say_so() -> None:
    plain, graded = Vigil(half_life=1.0), Vigil(half_life=1.0, levels=20)
    assert (plain.levels, graded.levels) == (1, 20)
    poor = [[vigil.observe(0, good=True, weight=1.0, t=0.0, grade=0.4) for _ in range(12)] for vigil in (plain, graded)]
    assert [any(alarms) for alarms in poor] == [False, True]
    limit, added = max(design().limit, design(levels=20).limit), design(levels=20).add(0.4)
    assert poor[1].index(True) + 1 == math.ceil(limit / added)
    ungraded = [graded.observe(1, good=False, weight=1.0, t=0.0) for _ in range(4)]
    assert ungraded == [False, False, False, True]  # by the binary chart's weight


def test_nodes_do_not_move_each_other() -> None:
    vigil = Vigil(half_life=HALF_LIFE)
    for _ in range(4):
        vigil.observe(2, good=False, weight=1.0, t=0.0)
    vigil.observe(0, good=True, weight=1.0, t=0.0)
    assert np.stack(vigil.counts(ALL, 0.0)).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 4.0]]
    assert vigil.alarms(5).tolist() == [0, 0, 1, 0, 0]
    vigil.forget(2)
    vigil.forget(77)
    assert np.stack(vigil.counts(ALL, 0.0)).tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


@given(st.text("+-", max_size=60))
def test_discounts_only_take_from_the_good(outcomes: str) -> None:
    vigil, _ = watch(outcomes)
    good, bad = counts(vigil)
    assert 0.0 <= good <= outcomes.count("+") + 1e-9
    assert bad == pytest.approx(outcomes.count("-"))
    assert vigil.kept(1)[0] == pytest.approx(good / max(1, outcomes.count("+")) if "+" in outcomes else 1.0)


@given(st.text("+-", max_size=60), st.floats(0.1, 1.0))
def test_a_chart_is_pages_recursion(outcomes: str, weight: float) -> None:
    chart: Chart = design()
    held, expected = 0.0, []
    for k, one in enumerate(outcomes):
        held = max(0.0, held + weight * chart.weights[one == "+"])
        if held >= chart.limit:
            held = 0.0
            expected.append(k)
    assert watch(outcomes, weight=weight)[1] == expected


@pytest.mark.parametrize(
    "wrong", [{"half_life": 0.0}, {"keep": -0.1}, {"keep": 1.1}, {"grudge": 0.9}, {"grudge": math.inf}]
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"nothing to watch by: .*{next(iter(wrong))}="):
        watch("", **wrong)


def test_charts_tell_apart_what_they_are_asked_to() -> None:
    asked = Vigil(half_life=1.0, normal=0.01, changed=0.2, false_alarms=1e-3, levels=4)
    assert asked._binary == design(normal=0.01, changed=0.2, false_alarms=1e-3)
    assert asked._graded == design(normal=0.01, changed=0.2, false_alarms=1e-3, levels=4)
    assert Vigil(half_life=0.5, keep=0.0, grudge=1.0).grudge == 1.0


def told(model: BetaCusum, outcomes: str, **said: object) -> None:
    for one in outcomes:
        kind = EventKind.SUCCESSFUL_CALL if one == "+" else EventKind.CALL_DROPPED
        model.observe(0, Evidence(kind=kind, node=0, t=0.0, **said))  # type: ignore[arg-type]


def test_the_model_scores_what_the_watch_has_left() -> None:
    plain, changed = make_model("beta"), make_model("beta-cusum")
    told(plain, "+" * 30 + "----")  # type: ignore[arg-type]
    told(changed, "+" * 300 + "----")  # type: ignore[arg-type]
    assert changed.score(0, 0.0) == plain.score(0, 0.0)
    assert changed.table(1, 0.0).evidence.tolist() == [34.0]


def test_without_a_change_the_model_is_beta() -> None:
    plain, watched = make_model("beta", half_life=50.0), make_model("beta-cusum", half_life=50.0)
    for model in (plain, watched):
        told(model, ("+" * 12 + "-") * 5)  # type: ignore[arg-type]
    assert watched.score(0, 25.0).mean == pytest.approx(plain.score(0, 25.0).mean)
    assert watched.half_life == 2.0 * plain.half_life


def test_severity_weighs_and_praise_of_oneself_does_not() -> None:
    model = BetaCusum()
    told(model, "-", severity=Severity.CRITICAL, weight=0.5)
    told(model, "+", raters=(0,), weight=100.0)
    told(model, "+", raters=(1,))
    model.observe(0, Evidence(kind=EventKind.HELPED_RELAY, node=0, t=0.0))
    assert counts(model.vigil) == (1.0, 1.0)


def test_severity_makes_no_praise_greater() -> None:
    model = BetaCusum(minimum=0.0, false_alarms=1e-3)
    told(model, "+", severity=Severity.CRITICAL)
    assert counts(model.vigil) == (1.0, 0.0)
    assert model.vigil._binary == design(false_alarms=1e-3)


def test_a_little_praise_counts_as_what_is_left_of_it() -> None:
    vigil = watch("+----", weight=0.8)[0]
    assert vigil.kept(1)[0] == 1.0
    assert watch("+----", weight=0.99)[0].kept(1)[0] == pytest.approx(0.1)


def test_grades_reach_the_chart_of_a_model_with_levels() -> None:
    blind, seeing = BetaCusum(), BetaCusum(levels=20.0)
    for model in (blind, seeing):
        told(model, "+" * 6, grade=0.4)
    assert [int(model.vigil.alarms(1)[0]) for model in (blind, seeing)] == [0, 1]


def test_the_status_waits_for_the_minimum_of_evidence() -> None:
    model = BetaCusum(minimum=50.0)
    told(model, "+" * 49)
    assert model.score(0, 0.0).status is Status.NEW
    told(model, "+")
    assert model.score(0, 0.0).status is Status.TRUSTED
    with pytest.raises(ValueError, match="minimum=-1"):
        BetaCusum(minimum=-1.0)


@pytest.mark.parametrize("levels", [1.5, math.inf, math.nan, 1e9, 0.0])
def test_levels_that_nobody_can_count_are_refused(levels: float) -> None:
    with pytest.raises(ValueError, match="levels="):
        BetaCusum(levels=levels)


def test_parameters_reach_the_watch() -> None:
    model = make_model("beta-cusum", parameters={"keep": 0.3, "grudge": 5.0, "false_alarms": 1e-2, "levels": 4.0})
    assert isinstance(model, BetaCusum)
    assert (model.vigil.keep, model.vigil.grudge, model.vigil.levels) == (0.3, 5.0, 4)
    assert watch("---", false_alarms=1e-2)[1] == [1]


def test_a_watch_survives_pickling() -> None:
    vigil, _ = watch("+" * 30 + "---")
    twin = pickle.loads(pickle.dumps(vigil))  # noqa: S301 - our own
    assert twin.observe(0, good=False, weight=1.0, t=1.0)
    assert counts(vigil) == (30.0, 3.0)
