from __future__ import annotations

import copy
import itertools
import math
import pickle
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.trust import EventKind, Evidence, Severity
from meshsim.trust.abuse import (
    LONGEST_DETAIL,
    SLACK,
    WEEK,
    AbuseDesk,
    Case,
    Category,
    Report,
    Ruling,
    Terms,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ACCUSED = 100


def report(reporter: int, subject: int = ACCUSED, t: float = 0.0, **said: object) -> Report:
    return Report(**{"reporter": reporter, "subject": subject, "category": Category.SPAM, "t": t, **said})  # type: ignore[arg-type]


def file(desk: AbuseDesk, one: Report, credibility: float = 1.0, *, backed: bool = True, now: float = 0.0) -> str:
    return desk.file(one, credibility=credibility, backed=backed, now=now)


def accused(reporters: int, t: float = 0.0, desk: AbuseDesk | None = None, **said: object) -> AbuseDesk:
    """A desk that so many credible, backed reporters have told of one node."""
    desk = desk or AbuseDesk()
    for reporter in range(reporters):
        assert file(desk, report(reporter, t=t, call=t, **said), now=t) == ""
    return desk


def banned(t: float = 0.0, desk: AbuseDesk | None = None) -> AbuseDesk:
    desk = accused(4, t, desk)
    desk.decide(ACCUSED, Ruling.UPHELD, t)
    desk.events()
    return desk


reports = st.lists(
    st.tuples(
        st.builds(
            report,
            reporter=st.integers(0, 9),
            subject=st.integers(100, 101),
            t=st.floats(-2.0 * WEEK, SLACK),
            category=st.sampled_from(Category),
            call=st.integers(0, 3),
        ),
        st.floats(0.0, 1.0),
        st.booleans(),
    ),
    max_size=40,
)
Filed = list[tuple[Report, float, bool]]


def told(filed: Filed) -> AbuseDesk:
    desk = AbuseDesk()
    for one, credibility, backed in filed:
        file(desk, one, credibility, backed=backed)
    return desk


@pytest.mark.parametrize(
    ("reporters", "severity", "suspended"),
    [
        (0, None, False),
        (1, Severity.NORMAL, False),
        (2, Severity.WARNING, False),
        (3, Severity.WARNING, False),
        (4, Severity.CRITICAL, False),
        (5, Severity.CRITICAL, False),
        (6, Severity.CRITICAL, True),
    ],
)
def test_severity_is_what_independent_reporters_come_to(
    reporters: int,
    severity: Severity | None,
    suspended: bool,  # noqa: FBT001 - a parameter
) -> None:
    desk = accused(reporters)
    assert desk.severity(ACCUSED, 0.0) is severity
    assert desk.is_banned(ACCUSED, 0.0) is suspended
    assert desk.weight(ACCUSED, 0.0) == reporters


def test_three_critical_reports_no_longer_ban() -> None:
    assert not accused(3, category=Category.TAMPERING).is_banned(ACCUSED, 0.0)


def test_of_one_reporter_the_heaviest_report_counts() -> None:
    desk = AbuseDesk()
    assert file(desk, report(1, call="a"), 0.4) == ""
    assert file(desk, report(1, call="b"), 0.9) == ""
    assert file(desk, report(1, call="c"), 0.2) == ""
    assert desk.weight(ACCUSED, 0.0) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("credibility", "backed", "guilt", "weight"),
    [
        (1.0, True, 1.0, 1.0),
        (0.5, True, 0.8, 0.4),
        (1.0, False, 1.0, 0.25),
        (0.8, True, 0.1, 0.2),
        (0.4, False, 0.0, 0.1),
    ],
)
def test_weight_is_credibility_times_what_backs_it(
    credibility: float,
    backed: bool,  # noqa: FBT001 - a parameter
    guilt: float,
    weight: float,
) -> None:
    desk = AbuseDesk()
    assert desk.file(report(1), credibility=credibility, backed=backed, guilt=guilt, now=0.0) == ""
    assert desk.weight(ACCUSED, 0.0) == pytest.approx(weight)


def test_unbacked_reports_of_a_crowd_open_a_case_and_suspend_nobody() -> None:
    desk = AbuseDesk()
    for reporter in range(20):
        file(desk, report(reporter), backed=False)
    assert desk.severity(ACCUSED, 0.0) is Severity.CRITICAL
    assert not desk.is_banned(ACCUSED, 0.0)


def test_nobody_believes_reporters_without_credibility() -> None:
    desk = AbuseDesk()
    assert [file(desk, report(reporter, subject=-1), 0.0) for reporter in range(5000)] == ["not_credible"] * 5000
    assert desk.weight(-1, 0.0) == 0.0
    assert desk.refused == {"not_credible": 5000}
    assert len(pickle.dumps(desk)) < 2000  # nor are they remembered


def test_reports_fade_and_so_does_a_suspension() -> None:
    desk = accused(7)
    assert desk.weight(ACCUSED, WEEK) == pytest.approx(3.5)
    assert desk.is_banned(ACCUSED, 0.2 * WEEK)
    assert not desk.is_banned(ACCUSED, 0.25 * WEEK)
    assert desk.weight(ACCUSED, -WEEK) == 7.0
    assert desk.severity(ACCUSED, 3.0 * WEEK) is None


def test_an_old_report_that_has_faded_gives_way_to_a_new_one_that_is_lighter() -> None:
    desk = AbuseDesk()
    file(desk, report(1, t=0.0, call=1), 0.9)
    file(desk, report(1, t=0.9 * WEEK, call=2), 0.6, now=0.9 * WEEK)
    assert desk.weight(ACCUSED, 0.9 * WEEK) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"subject": 1}, "oneself"),
        ({"detail": b"x" * (LONGEST_DETAIL + 1)}, "oversized"),
        ({"t": SLACK + 0.1}, "future"),
        ({"t": math.nan}, "future"),
        ({"t": math.inf}, "future"),
        ({"t": -WEEK}, "stale"),
        ({"t": -math.inf}, "stale"),
    ],
)
def test_bad_reports_are_refused_and_counted(wrong: dict[str, object], reason: str) -> None:
    desk = AbuseDesk()
    assert file(desk, report(1, **wrong)) == reason  # type: ignore[arg-type]
    assert desk.refused == {reason: 1}
    assert desk.queue(0.0) == ()
    assert file(desk, report(1)) == ""


def test_reports_at_the_edge_are_taken() -> None:
    desk = AbuseDesk()
    assert file(desk, report(1, detail=b"x" * LONGEST_DETAIL, t=SLACK)) == ""
    assert file(desk, report(2, t=-WEEK + 1.0)) == ""
    assert desk.refused == {}


def test_the_same_matter_is_heard_once() -> None:
    desk = accused(1)
    assert file(desk, report(0, call=0.0), now=3.0) == "duplicate"
    assert file(desk, report(0, call=0.0, category=Category.FRAUD)) == ""
    assert file(desk, report(0, call=0.0), now=1.9 * WEEK) == "stale"
    assert file(desk, report(0, t=1.9 * WEEK, call=0.0), now=1.9 * WEEK) == "duplicate"
    assert file(desk, report(0, t=2.1 * WEEK, call=0.0), now=2.1 * WEEK) == ""
    assert desk.refused == {"duplicate": 2, "stale": 1}


def test_beyond_the_weekly_budget_reports_are_counted_and_do_not_weigh() -> None:
    desk = AbuseDesk()
    answers = [file(desk, report(1, subject=200 + k, t=float(k)), now=float(k)) for k in range(7)]
    assert answers == [""] * 5 + ["over_budget"] * 2
    assert desk.refused == {"over_budget": 2}
    assert desk.weight(206, 6.0) == 0.0
    later = WEEK + SLACK
    assert file(desk, report(1, subject=206, t=WEEK), now=WEEK) == "over_budget"
    assert file(desk, report(1, subject=206, t=later), now=later) == ""
    assert file(desk, report(1, subject=207, t=later), now=later) == "over_budget"
    assert file(desk, report(2, subject=206), now=0.0) == ""


def test_a_budget_of_one_is_one_report_a_week() -> None:
    desk = AbuseDesk(Terms(budget=1, half_life=0.5, ban_half_life=0.5))
    assert [file(desk, report(1, call=k)) for k in range(2)] == ["", "over_budget"]


def test_without_a_budget_nobody_is_heard() -> None:
    assert file(AbuseDesk(Terms(budget=0)), report(1)) == "over_budget"


@given(st.lists(st.floats(0.0, 4.0 * WEEK), max_size=40), st.integers(1, 4))
def test_no_week_ever_holds_more_than_the_budget(times: list[float], budget: int) -> None:
    desk, weighed = AbuseDesk(Terms(budget=budget)), []
    now = 0.0
    for k, t in enumerate(times):
        now = max(now, t)
        if file(desk, report(1, t=t, call=k), now=now) == "":
            weighed.append(t)
    for first in weighed:
        assert sum(first <= t < first + WEEK for t in weighed) <= budget


@given(st.lists(st.floats(-WEEK, SLACK), max_size=20), st.integers(1, 4), st.floats(0.0, 1e6))
def test_however_reports_are_dated_one_instant_takes_no_more_than_the_budget(
    dates: list[float], budget: int, now: float
) -> None:
    desk = AbuseDesk(Terms(budget=budget))
    assert [file(desk, report(1, t=now + t, call=k), now=now) for k, t in enumerate(dates)].count("") <= budget


def test_dates_at_both_edges_share_one_budget() -> None:
    desk = AbuseDesk()
    dates = [-WEEK + 1.0] * 5 + [SLACK] * 5
    assert [file(desk, report(1, t=t, call=k)) for k, t in enumerate(dates)] == [""] * 5 + ["over_budget"] * 5


def busy(desk: AbuseDesk, week: int) -> None:
    """A week with other people and other domains than any before: a ban, a dismissal, a newcomer."""
    t, first = week * WEEK, 100_000 + 1000 * week
    for subject, ruling in ((first, Ruling.UPHELD), (first + 1, Ruling.DISMISSED)):
        for reporter in range(first + 10, first + 14):
            assert file(desk, report(reporter, subject=subject, t=t), now=t) == ""
        desk.decide(subject, ruling, t)
    file(desk, report(first + 20, subject=first + 2, t=t), now=t)
    desk.admit(first, f"domain {week}", t)
    desk.renew(first, t + 1.0)
    desk.events()


def test_memory_is_bounded_however_long_a_desk_stands() -> None:
    desk, sizes = AbuseDesk(), []
    for week in range(1, 121):
        busy(desk, week)
        sizes.append(len(pickle.dumps(desk)))
    assert max(sizes[60:]) < 1.05 * max(sizes[30:60])


def test_rulings_on_a_reporter_outlast_any_flood_and_fade_in_half_a_year() -> None:
    desk = accused(4)
    desk.decide(ACCUSED, Ruling.DISMISSED, 0.0)
    for week in range(1, 26):
        busy(desk, week)
    assert desk.standing(0) == 0.5
    busy(desk, 26)
    assert desk.standing(0) == 1.0


def test_a_ban_is_remembered_while_it_would_lengthen_the_next() -> None:
    desk = banned()
    banned(8.0 * WEEK, desk)  # 1 + 4 / 256
    assert desk.is_banned(ACCUSED, 9.01 * WEEK)


def test_who_is_accused_anew_after_all_has_faded_makes_evidence_anew() -> None:
    desk = accused(2)
    desk.events()
    accused(2, 11.0 * WEEK, desk)
    assert [event.severity for event in desk.events()] == [Severity.NORMAL, Severity.WARNING]


@pytest.mark.parametrize("make", [banned, lambda: accused(6)])
def test_what_stands_against_an_old_name_neither_hits_nor_protects_the_new(make: Callable[[], AbuseDesk]) -> None:
    desk = make()
    desk.events()
    desk.renew(ACCUSED, 1.0)
    assert not desk.is_banned(ACCUSED, 1.0)
    assert desk.queue(1.0) == ()
    assert desk.appeal(ACCUSED, 1.0) == "not_banned"
    for reporter in range(20, 24):
        assert file(desk, report(reporter, t=2.0), now=2.0) == ""
    assert [event.severity for event in desk.events()] == list(Severity)


def test_a_new_name_takes_another_place_and_after_a_ban_a_narrower_door() -> None:
    desk = AbuseDesk(Terms(newcomers=4))
    desk.admit(ACCUSED, "a", 0.0)
    desk.renew(ACCUSED, 1.0)
    assert [desk.admit(node, "a", 1.0) for node in (ACCUSED, 200, 201, 202)] == [True, True, True, False]
    shut = AbuseDesk(Terms(newcomers=4))
    shut.admit(ACCUSED, "a", 0.0)
    banned(0.0, shut)
    shut.renew(ACCUSED, 1.0)
    assert [shut.admit(node, "a", 1.0) for node in (ACCUSED, 200)] == [True, False]  # two places, one left behind
    assert shut.admit(200, "a", WEEK)


def test_a_reporter_under_a_new_name_has_not_said_what_the_old_one_said() -> None:
    desk = accused(2)
    desk.renew(0, 1.0)
    assert desk.weight(ACCUSED, 0.0) == 1.0
    desk.renew(1, 1.0)
    assert desk.queue(1.0) == ()


@given(reports, st.randoms(use_true_random=False))
def test_the_order_of_independent_reports_is_no_matter(filed: Filed, order: object) -> None:
    independent = list({one.reporter: (one, credibility, backed) for one, credibility, backed in filed}.values())
    shuffled = list(independent)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = told(independent), told(shuffled)
    assert one.queue(0.0) == other.queue(0.0)
    assert [one.is_banned(node, 0.0) for node in (100, 101)] == [other.is_banned(node, 0.0) for node in (100, 101)]
    assert one.refused == other.refused
    levels = [sorted((event.node, event.severity) for event in desk.events()) for desk in (one, other)]
    assert levels[0] == levels[1]


@given(reports, reports)
def test_more_evidence_never_lightens_a_case(filed: Filed, more: Filed) -> None:
    desk = told(filed)
    before = [(desk.weight(node, 0.0), desk.is_banned(node, 0.0)) for node in (100, 101)]
    for one, credibility, backed in more:
        file(desk, one, credibility, backed=backed)
    for node, (weight, was) in zip((100, 101), before, strict=True):
        assert desk.weight(node, 0.0) >= weight - 1e-12
        assert desk.is_banned(node, 0.0) >= was


@given(reports)
def test_filing_everything_again_changes_nothing(filed: Filed) -> None:
    desk = told(filed)
    before = (desk.queue(0.0), desk.weight(100, 0.0), desk.events())
    for one, credibility, backed in filed:
        assert file(desk, one, credibility, backed=backed) != ""
    assert (desk.queue(0.0), desk.weight(100, 0.0), desk.events()) == (*before[:2], ())


@given(reports)
def test_one_reporter_never_outweighs_one_credible_word(filed: Filed) -> None:
    desk = told(filed)
    for node in (100, 101):
        assert desk.weight(node, 0.0) <= len({one.reporter for one, _, _ in filed}) + 1e-9


def test_rising_severity_makes_evidence_once_for_each_step() -> None:
    desk = accused(6)
    events = desk.events()
    assert [event.severity for event in events] == [Severity.NORMAL, Severity.WARNING, Severity.CRITICAL]
    assert [event.raters for event in events] == [(0,), (0, 1), (0, 1, 2, 3)]
    assert {(event.kind, event.node, event.t, event.weight) for event in events} == {
        (EventKind.ABUSE_REPORT, ACCUSED, 0.0, 0.5)
    }
    assert desk.events() == ()


def test_one_heavy_step_tells_of_all_it_passes() -> None:
    desk = AbuseDesk(Terms(review=0.5, warning=1.0, critical=1.0))
    file(desk, report(3))
    assert [event.severity for event in desk.events()] == list(Severity)


def test_reviewers_see_appeals_first_then_what_weighs_most_then_what_waits_longest() -> None:
    desk = banned()
    assert desk.appeal(ACCUSED, 1.0) == ""
    for subject, reporters, t in ((1, 2, 5.0), (2, 3, 5.0), (3, 2, 4.0), (4, 2, 4.0), (5, 0, 0.0)):
        for reporter in range(20 * subject, 20 * subject + reporters):
            file(desk, report(reporter, subject=subject, t=t), now=t)
    file(desk, report(999, subject=6), 0.9)
    queue = desk.queue(5.0)
    assert [case.subject for case in queue] == [ACCUSED, 2, 1, 3, 4]
    assert queue[0].weight == pytest.approx(2.0 ** (-5.0 / WEEK))
    assert queue[0][2:] == (Severity.CRITICAL, (0, 1, 2, 3), 0.0, True)
    assert queue[3] == Case(3, desk.weight(3, 5.0), Severity.NORMAL, (60, 61), 4.0, appeal=False)


def test_equal_cases_are_seen_by_age_then_by_number() -> None:
    desk = AbuseDesk(Terms(half_life=math.inf))
    for subject, t in ((7, 3.0), (6, 2.0), (5, 2.0)):
        file(desk, report(1, subject=subject, t=t), now=3.0)
    assert [case.subject for case in desk.queue(3.0)] == [5, 6, 7]
    assert [case.since for case in desk.queue(3.0)] == [2.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        (Category.SPAM, EventKind.SPAM_DETECTED),
        (Category.HARASSMENT, EventKind.ABUSE_REPORT),
        (Category.FRAUD, EventKind.MALICIOUS_BEHAVIOR),
        (Category.TAMPERING, EventKind.SECURITY_VIOLATION),
    ],
)
def test_what_is_upheld_is_evidence_of_its_kind(category: Category, kind: EventKind) -> None:
    desk = accused(2, category=category)
    desk.events()
    desk.decide(ACCUSED, Ruling.UPHELD, 7.0)
    assert desk.events() == (
        Evidence(kind=kind, node=ACCUSED, t=7.0, weight=1.0, severity=Severity.NORMAL, raters=(0, 1)),
    )
    assert not desk.is_banned(ACCUSED, 7.0)
    assert desk.queue(7.0) == ()
    assert desk.weight(ACCUSED, 7.0) == 0.0


def test_an_accusation_is_of_what_most_of_its_weight_is_about() -> None:
    desk = accused(2, category=Category.HARASSMENT)
    for reporter in (5, 6, 7):
        file(desk, report(reporter, category=Category.FRAUD), 0.6)
    desk.events()
    desk.decide(ACCUSED, Ruling.UPHELD, 0.0)
    assert [event.kind for event in desk.events()] == [EventKind.ABUSE_REPORT]


def test_weights_of_many_lighter_reports_add_up_to_the_accusation() -> None:
    desk = AbuseDesk()
    for reporter, credibility, category in (
        (1, 0.9, Category.HARASSMENT),
        (2, 0.6, Category.FRAUD),
        (3, 0.6, Category.FRAUD),
    ):
        file(desk, report(reporter, category=category), credibility)
    desk.events()
    desk.decide(ACCUSED, Ruling.UPHELD, 0.0)
    assert [event.kind for event in desk.events()] == [EventKind.MALICIOUS_BEHAVIOR]


def test_what_is_grave_and_upheld_bans_for_a_week() -> None:
    desk = banned(50.0)
    assert desk.is_banned(ACCUSED, 50.0)
    assert desk.is_banned(ACCUSED, 49.0 + WEEK)
    assert not desk.is_banned(ACCUSED, 50.0 + WEEK)
    assert not desk.is_banned(ACCUSED + 1, 50.0)


def offended(weights: tuple[int, ...], t: float = 0.0) -> AbuseDesk:
    """A desk that has upheld so many backed reports of one node, case by case."""
    desk = AbuseDesk()
    for number, weight in enumerate(weights):
        for reporter in range(weight):
            file(desk, report(100 * number + reporter, subject=9, t=t), now=t)
        desk.decide(9, Ruling.UPHELD, t)
    return desk


@pytest.mark.parametrize(
    ("weights", "bans"),
    [((1,), 0), ((1, 1), 0), ((1, 1, 1), 0), ((1, 1, 1, 1), 1), ((3,), 0), ((3, 1), 1)],
)
def test_what_was_upheld_before_adds_to_the_next_offence_until_it_bans(weights: tuple[int, ...], bans: int) -> None:
    assert offended(weights).is_banned(9, 0.0) == bool(bans)


def test_what_was_upheld_fades_like_reports_do() -> None:
    desk = offended((3,))
    assert file(desk, report(50, subject=9, t=WEEK), now=WEEK) == ""
    assert desk.queue(WEEK)[0].severity is Severity.WARNING  # 1 and half of 3
    assert desk.severity(9, WEEK) is Severity.WARNING
    assert desk.weight(9, WEEK) == pytest.approx(1.0)


def test_what_was_upheld_neither_opens_a_case_nor_suspends() -> None:
    desk = offended((3, 3))
    assert desk.queue(0.0) == ()
    assert desk.severity(9, 0.0) is None
    assert not offended((3,)).is_banned(9, 0.0)


def test_what_was_dismissed_or_appealed_with_success_is_on_no_record() -> None:
    desk = accused(3)
    desk.decide(ACCUSED, Ruling.DISMISSED, 0.0)
    assert accused(1, 1.0, desk).severity(ACCUSED, 1.0) is not Severity.CRITICAL
    lifted = banned()
    assert lifted.appeal(ACCUSED, 0.0) == ""
    lifted.decide(ACCUSED, Ruling.DISMISSED, 0.0)
    assert accused(2, 1.0, lifted).severity(ACCUSED, 1.0) is Severity.NORMAL


def test_a_new_name_has_no_record() -> None:
    desk = offended((3,))
    desk.renew(9, 0.0)
    file(desk, report(50, subject=9, t=1.0), now=1.0)
    assert desk.severity(9, 1.0) is Severity.NORMAL


def test_a_record_is_forgotten_when_it_has_faded() -> None:
    desk = offended((3,))
    long = 10.0 * WEEK
    file(desk, report(50, subject=8, t=long - 1.0), now=long - 1.0)
    assert 9 in desk._upheld
    desk = offended((3,))
    file(desk, report(50, subject=8, t=long + 1.0), now=long + 1.0)
    assert 9 not in desk._upheld


def test_bans_of_those_who_do_it_again_last_longer() -> None:
    desk = banned()
    banned(WEEK, desk)  # the first ban lingers at half its strength: 1 + 4 / 2 = 3
    end = WEEK * (1.0 + math.log2(3.0 / 0.5))
    assert desk.is_banned(ACCUSED, end - 1.0)
    assert not desk.is_banned(ACCUSED, end + 1.0)
    late = banned(20.0 * WEEK, banned())
    assert not late.is_banned(ACCUSED, 21.01 * WEEK)


def test_what_is_dismissed_is_gone_and_costs_the_reporters_credibility() -> None:
    desk = accused(4)
    desk.events()
    desk.decide(ACCUSED, Ruling.DISMISSED, 0.0)
    assert desk.events() == ()
    assert desk.queue(0.0) == ()
    assert not desk.is_banned(ACCUSED, 0.0)
    assert [desk.standing(node) for node in (0, 3, 4)] == [0.5, 0.5, 1.0]
    file(desk, report(0, subject=7))
    file(desk, report(9, subject=7))
    assert desk.weight(7, 0.0) == 1.5


def test_being_right_wins_standing_back_slowly() -> None:
    desk, seen = AbuseDesk(), []
    for k, ruling in enumerate([Ruling.DISMISSED, *[Ruling.UPHELD] * 4]):
        for reporter in (1, 10 + k):
            file(desk, report(reporter, subject=50 + k, t=k * WEEK), now=k * WEEK)
        desk.decide(50 + k, ruling, k * WEEK)
        seen.append(desk.standing(1))
    assert seen == [2 / 4, 3 / 5, 4 / 6, 5 / 7, 6 / 8]


def test_what_does_not_wait_cannot_be_decided() -> None:
    with pytest.raises(LookupError, match="node 100"):
        AbuseDesk().decide(ACCUSED, Ruling.UPHELD, 0.0)
    with pytest.raises(LookupError, match="node 100"):
        banned().decide(ACCUSED, Ruling.UPHELD, 0.0)


def test_a_ban_can_be_appealed_once() -> None:
    desk = banned()
    assert desk.queue(0.0) == ()
    assert desk.appeal(ACCUSED, 1.0) == ""
    assert desk.is_banned(ACCUSED, 1.0)
    assert desk.appeal(ACCUSED, 2.0) == "appealed_before"
    desk.decide(ACCUSED, Ruling.UPHELD, 3.0)
    assert desk.is_banned(ACCUSED, 3.0)
    assert desk.queue(3.0) == ()
    assert desk.appeal(ACCUSED, 4.0) == "appealed_before"
    assert desk.standing(0) == 1.0
    assert desk.events() == ()


def test_an_appeal_that_is_heard_lifts_the_ban_at_the_reporters_cost() -> None:
    desk = banned()
    desk.appeal(ACCUSED, 1.0)
    desk.decide(ACCUSED, Ruling.DISMISSED, 3.0)
    assert not desk.is_banned(ACCUSED, 3.0)
    assert desk.standing(0) == 3 / 5
    assert desk.appeal(ACCUSED, 4.0) == "not_banned"
    banned(5.0, desk)
    assert not desk.is_banned(ACCUSED, 5.0 + WEEK)  # a first ban again


def test_only_bans_can_be_appealed() -> None:
    assert AbuseDesk().appeal(ACCUSED, 0.0) == "not_banned"
    assert accused(6).appeal(ACCUSED, 0.0) == "not_banned"
    desk = banned()
    assert desk.appeal(ACCUSED, WEEK) == "not_banned"
    assert desk.appeal(ACCUSED, WEEK - 1.0) == ""
    assert [case.subject for case in desk.queue(WEEK - 1.0)] == [ACCUSED]
    assert desk.queue(WEEK) == ()


def test_a_new_ban_can_be_appealed_anew() -> None:
    desk = banned()
    desk.appeal(ACCUSED, 1.0)
    desk.decide(ACCUSED, Ruling.UPHELD, 1.0)
    banned(2.0, desk)
    assert desk.appeal(ACCUSED, 3.0) == ""


def test_a_suspension_lasts_until_somebody_has_looked() -> None:
    freed, condemned = accused(6), accused(6)
    freed.decide(ACCUSED, Ruling.DISMISSED, 0.0)
    condemned.decide(ACCUSED, Ruling.UPHELD, 0.0)
    assert (freed.is_banned(ACCUSED, 0.0), condemned.is_banned(ACCUSED, 0.0)) == (False, True)


def test_the_banned_have_no_voice() -> None:
    desk = banned()
    assert file(desk, report(ACCUSED, subject=3)) == "banned"
    assert file(desk, report(ACCUSED, subject=3, t=WEEK), now=WEEK) == ""


def test_a_domain_has_so_many_newcomers_a_week() -> None:
    desk = AbuseDesk(Terms(newcomers=3))
    assert [desk.admit(node, "a", float(node)) for node in range(5)] == [True, True, True, False, False]
    assert desk.admit(1, "a", 9.0)
    assert desk.admit(7, "b", 9.0)
    assert not desk.admit(4, "a", WEEK - 1.0)
    assert desk.admit(4, "a", WEEK)
    assert not desk.admit(5, "a", WEEK)


def test_who_comes_back_under_another_name_finds_a_narrower_door() -> None:
    desk = AbuseDesk()
    assert desk.admit(ACCUSED, "a", 0.0)
    banned(0.0, desk)
    assert not desk.admit(ACCUSED, "a", 0.0)
    again = [desk.admit(node, "a", 1.0) for node in range(200, 208)]
    assert again == [True] * 3 + [False] * 5  # four of eight places, one of them the banned one's
    assert all(desk.admit(node, "b", 1.0) for node in range(300, 308))


@given(st.integers(1, 8))
def test_rejoining_never_pays(times: int) -> None:
    stays, leaves = AbuseDesk(), AbuseDesk()
    for desk in (stays, leaves):
        desk.admit(ACCUSED, "a", 0.0)
        banned(0.0, desk)
    names = [node for node in range(500, 500 + times) if leaves.admit(node, "a", 0.0)]
    assert len(names) < leaves.terms.newcomers // 2
    assert all(leaves.weight(node, 0.0) == 0.0 for node in names)
    assert leaves.is_banned(ACCUSED, 0.0)  # the old name stays as it was
    assert stays.is_banned(ACCUSED, 0.0)


def test_a_desk_is_plain_data() -> None:
    desk = banned()
    desk.appeal(ACCUSED, 1.0)
    for twin in (copy.deepcopy(desk), pickle.loads(pickle.dumps(desk))):  # noqa: S301 - our own
        assert twin.queue(1.0) == desk.queue(1.0)
        twin.decide(ACCUSED, Ruling.DISMISSED, 1.0)
        assert desk.is_banned(ACCUSED, 1.0)


@pytest.mark.parametrize(("credibility", "guilt"), [(-0.1, 1.0), (1.1, 1.0), (1.0, -0.1), (1.0, 1.1), (math.nan, 1.0)])
def test_shares_out_of_range_are_refused(credibility: float, guilt: float) -> None:
    with pytest.raises(ValueError, match="shares are within 0 and 1: credibility="):
        AbuseDesk().file(report(1), credibility=credibility, backed=True, guilt=guilt, now=0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": -1},
        {"newcomers": -1},
        {"half_life": 0.0},
        {"ban_half_life": 0.0},
        {"escalation": -1.0},
        {"unbacked": 1.1},
        {"unbacked": -0.1},
        {"unreviewed": 1.1},
        {"unreviewed": -0.1},
        {"review": 0.0},
        {"review": 2.1},
        {"warning": 4.1},
        {"critical": 6.1},
    ],
)
def test_terms_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no terms to work by: Terms"):
        Terms(**wrong)  # type: ignore[arg-type]


def test_terms_at_the_edge_are_taken() -> None:
    for unbacked, unreviewed in itertools.product((0.0, 1.0), repeat=2):
        Terms(
            unbacked=unbacked, unreviewed=unreviewed, escalation=0.0, newcomers=0, review=6.0, warning=6.0, critical=6.0
        )


def test_an_appeal_costs_a_reporter_under_its_new_name_nothing() -> None:
    desk = banned()
    desk.renew(0, 0.0)
    assert desk.appeal(ACCUSED, 0.0) == ""
    desk.decide(ACCUSED, Ruling.DISMISSED, 0.0)
    assert desk.standing(0) == 1.0
    assert desk.standing(1) < 1.0


def test_an_appeal_is_heard_even_if_all_who_reported_have_new_names() -> None:
    desk = banned()
    for reporter in range(4):
        desk.renew(reporter, 0.0)
    assert desk.appeal(ACCUSED, 0.0) == ""
    desk.decide(ACCUSED, Ruling.DISMISSED, 0.0)
    assert not desk.is_banned(ACCUSED, 0.0)


def test_the_accusation_is_weighed_before_the_ruling_changes_what_words_are_worth() -> None:
    desk = AbuseDesk()
    file(desk, report(2, subject=50, t=0.0))
    desk.decide(50, Ruling.DISMISSED, 0.0)
    file(desk, report(1, subject=9, category=Category.SPAM), credibility=0.55)
    file(desk, report(2, subject=9, category=Category.FRAUD))
    desk.events()
    desk.decide(9, Ruling.UPHELD, 0.0)
    assert [event.kind for event in desk.events()] == [EventKind.SPAM_DETECTED]


@pytest.mark.parametrize("name", ["half_life", "ban_half_life", "escalation"])
def test_no_term_is_a_number_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no terms"):
        Terms(**{name: math.nan})
